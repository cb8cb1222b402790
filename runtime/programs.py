"""Child processes that report when they are ready: the programs of a stack, or the workers of one program.

A program is ready when it prints a line `userfold-NAME ready KEY=VALUE ...` on stdout.
"""

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NoReturn, Self

from runtime.child import describe_end, signals_held, start_child, stop_child

_START_SECONDS = 60
_READY = re.compile(rb"userfold-\w+ ready (.*)")


class ProgramFailed(Exception):
    """A program did not become ready, or ended by itself. The message says which, and how."""


class Programs:
    """Child processes by name, in the order of their start.

    Their output is written to stderr, except for the ready line. At the end of the block all are stopped, the last one
    first.
    """

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._outputs = selectors.DefaultSelector()
        self._partial_lines: dict[str, bytes] = {}
        self._ready: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes.values()):
            # Their output is still read: a process whose pipe is full could not end.
            stop_child(process, idle=self._pass_output_on)

    def watch(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Watch a process that was started elsewhere."""
        self._processes[name] = process
        if process.stdout:
            self._outputs.register(process.stdout, selectors.EVENT_READ, name)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a program, in place of an ended one of the same name. Raises OSError."""
        self._ready.pop(name, None)
        self._partial_lines.pop(name, None)
        if (before := self._processes.get(name)) and before.stdout:
            with suppress(KeyError):  # It was unregistered when its end was read.
                self._outputs.unregister(before.stdout)
            before.stdout.close()
        with signals_held():
            process = start_child(command, environment=environment, stdout=subprocess.PIPE)
            self.watch(name, process)
        return process

    def terminate(self) -> None:
        """Tell all to stop, without waiting for them: those that need no order then stop at the same time."""
        for process in self._processes.values():
            process.terminate()

    def wait_until_ready(self, name: str) -> dict[str, str]:
        """The fields of the ready line. Raises ProgramFailed where one of the programs ends, or after a minute."""
        deadline = time.monotonic() + _START_SECONDS
        while name not in self._ready:
            self.check()
            if time.monotonic() > deadline:
                raise ProgramFailed(f"the {name} is not ready after {_START_SECONDS} seconds")
        return self._ready[name]

    def check(self) -> None:
        """Pass output on for up to 0.2 seconds. Raises ProgramFailed if a program has ended."""
        for name, process in self.ended().items():
            raise ProgramFailed(f"the {name} ended by itself ({describe_end(process)})")

    def ended(self) -> dict[str, subprocess.Popen[bytes]]:
        """Pass output on for up to 0.2 seconds. The processes that have ended, by name."""
        self._pass_output_on(0.2)
        return {name: process for name, process in self._processes.items() if process.poll() is not None}

    def _pass_output_on(self, seconds: float) -> None:
        if not self._outputs.get_map():
            time.sleep(seconds)
        for key, _ in self._outputs.select(seconds):
            chunk = os.read(key.fd, 65536)
            if not chunk:
                self._outputs.unregister(key.fileobj)
            *lines, partial = (self._partial_lines.get(key.data, b"") + chunk).split(b"\n")
            self._partial_lines[key.data] = partial
            for line in lines:
                if ready := _READY.fullmatch(line):
                    self._ready[key.data] = dict(field.split("=", 1) for field in ready[1].decode().split(" "))
                else:
                    print(line.decode(errors="replace"), file=sys.stderr)


def exit_on_signals() -> None:
    """Let SIGINT and SIGTERM raise SystemExit(0) once, so that enclosing blocks stop what they started."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)


def ignore_signals() -> None:
    """Let SIGINT and SIGTERM do nothing, so that an orderly stop is not interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not SIG_IGN, which children inherit.
        signal.signal(number, lambda *_: None)


def _exit(*_: object) -> NoReturn:
    ignore_signals()
    raise SystemExit(0)
