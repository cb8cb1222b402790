"""`python -m tests.stalls.call_counter`: a program that counts the function calls of each callback of its event loop.

COUNTED_PROGRAM names the program. On SIGUSR1 it writes JSON to the file of COUNTED_FILE: the largest count of one
callback since the last signal, and the count of all callbacks together. A call of a C function counts as one, whatever
it does; calls of other threads do not count. The loop is asyncio's own, whose callbacks can be watched.
"""

import asyncio
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import uvloop

_FILE: Final = "COUNTED_FILE"
_PROGRAM: Final = "COUNTED_PROGRAM"


class _Counter:
    """The calls of the current callback, the largest count of one callback, and the count of all."""

    def __init__(self) -> None:
        self.calls = self.largest = self.total = 0

    def watch(self, frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            self.calls += 1

    def ended(self) -> None:
        self.largest = max(self.largest, self.calls)
        self.total += self.calls
        self.calls = 0

    def write(self) -> None:
        path = Path(os.environ[_FILE])
        # The reader never sees a part of the file.
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps({"largest": self.largest, "total": self.total}))
        draft.rename(path)
        self.largest = self.total = 0


def _count() -> None:
    counter = _Counter()
    handles: Any = asyncio.Handle
    run = handles._run

    def counted(handle: asyncio.Handle) -> None:
        counter.calls = 0
        run(handle)
        counter.ended()

    handles._run = counted

    def run_loop(main: Any) -> Any:
        async def watched() -> Any:
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, counter.write)
            sys.setprofile(counter.watch)
            return await main

        return asyncio.run(watched())

    uvloop.run = run_loop  # type: ignore[assignment]


if __name__ == "__main__":
    _count()
    sys.exit(importlib.import_module(f"{os.environ[_PROGRAM]}.__main__").main())
