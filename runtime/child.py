"""Child processes that do not outlive their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

# What the child is first: it arms the signal and becomes the command. A function run between fork and exec could do so
# too, but is Python in a copy of a process whose other threads are gone with whatever they held: gRPC's handlers of a
# fork crashed in it.
_FOLLOW_PARENT = """
import ctypes, os, signal, sys
parent, death, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(int(death), signal.SIGTERM)
if os.getppid() != int(parent):  # it died before prctl, so no signal will come
    sys.exit(1)
try:
    os.execvp(command[0], command)
except OSError as error:
    sys.exit(f"{command[0]} cannot be executed: {error.strerror}")
"""
_PR_SET_PDEATHSIG = 1


def start_child(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, so that a Ctrl-C in the terminal reaches its parent alone.

    On Linux the kernel sends it SIGTERM when its parent dies, even by SIGKILL. "Its parent" is the *thread* that called
    this function: call it from the main thread, or the child ends with a thread that does. Elsewhere the parent has to
    stop it. A command that cannot be executed says so on stderr and ends with exit status 1, or raises OSError.
    """
    if sys.platform == "linux":
        follow = [sys.executable, "-I", "-S", "-c", _FOLLOW_PARENT, str(os.getpid()), str(_PR_SET_PDEATHSIG)]
        command = [*follow, *command]
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,
    )


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back, so that no handler's exception comes between a child's start and its record.

    For the main thread. Handlers are exchanged, for a signal that this thread blocks is given to another one.
    """
    came: list[int] = []
    before: dict[int, Any] = {}
    try:
        for held in (signal.SIGINT, signal.SIGTERM):
            before[held] = signal.signal(held, lambda number, _: came.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def stop_child(
    process: subprocess.Popen[bytes], *, patience: float = 120, idle: Callable[[float], object] = time.sleep
) -> None:
    """Send SIGTERM, wait `patience` seconds, then SIGKILL. Does nothing to a process that has ended.

    `idle` is called with a number of seconds to pass until the next look at the process.
    """
    process.terminate()
    deadline = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < deadline:
        idle(0.02)
    process.kill()
    process.wait()


def describe_end(process: subprocess.Popen[bytes]) -> str:
    """How an ended process ended: `exit status 1`, `signal SIGKILL`."""
    status = process.returncode
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
