"""Garbage collection of a program that has started."""

import gc
from typing import Final

_YOUNG: Final = 5_000


def settle() -> None:
    """Exempt all present objects from collection, and collect less often.

    Reference counting frees nearly all garbage. Python's default threshold of 700 objects would start a collection for
    each group of updates.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG)
