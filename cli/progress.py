"""The progress of a long command on stderr: a bar on a terminal, else a line every few seconds."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cli.output import note

LINE_SECONDS: Final = 10.0
"""How often a line is printed where there is no terminal."""


class Reporter:
    """Reports how far a command has come. `verb` is such as `imported`, and `total` what the whole is, if it is known.

    A part of the whole is in the unit of `total`, such as bytes of a file; rates are in users.
    """

    def __init__(
        self, verb: str, total: int | None, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._verb = verb
        self._total = total or None
        self._clock = clock
        self._started = self._printed = clock()
        self._quiet = quiet
        self._bar: Progress | None = None
        if not quiet and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(verb, total=self._total, rate="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._started

    def advance(self, done: int, users: int, remark: str = "") -> None:
        """Say that `done` of the whole is done, and `users` users in this run. `remark` is appended to the count."""
        rate = users / max(self.seconds, 0.001)
        text = f"{self._verb} {users:,}{remark}"
        if self._bar:
            self._bar.update(self._task, completed=done, description=text, rate=f"{rate:,.0f}/s")
            return
        if self._quiet or self._clock() - self._printed < LINE_SECONDS:
            return
        self._printed = self._clock()
        line = f"{text}, {rate:,.0f}/s"
        if self._total and 0 < done < self._total:
            left = self.seconds * (self._total - done) / done
            line += f", {done / self._total:.0%}, {left:,.0f} s left"
        note(line)

    def say(self, message: str) -> None:
        """Print a remark, above the bar if there is one."""
        if self._bar:
            self._bar.console.print(message, markup=False, highlight=False)
        else:
            note(message)
