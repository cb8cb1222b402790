"""`python -m tests.operations.stopping_server`: a server that stops for ever in the middle of an absorption."""

import asyncio
import sys
from typing import Any

from server import __main__
from server.mongo.identity.absorption import Absorption


async def _give(*_: object) -> bool:
    await asyncio.Event().wait()
    return False


if __name__ == "__main__":
    absorption: Any = Absorption
    absorption._give = _give
    sys.exit(__main__.main())
