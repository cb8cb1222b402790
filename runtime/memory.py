"""How a program that has started looks for garbage from then on."""

import gc
from typing import Final

_YOUNG: Final = 5_000


def settle() -> None:
    """Keep all that is there by now out of every collection, and collect less often.

    Nearly all garbage is freed without a collection, but Python's default looks for the rest after every 700 objects:
    at each group of updates, for 2 to 3 % of a program's time. So many make a few MB.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG)
