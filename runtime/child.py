"""Child processes that do not outlive their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

# The child runs this first: it arms the signal and becomes the command. A function between fork and exec would be
# Python beside locks that no thread frees, since the other threads are gone: gRPC's fork handlers crashed there.
_FOLLOW_PARENT = """
import ctypes, os, signal, sys
parent, death, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(int(death), signal.SIGTERM)
if os.getppid() != int(parent):  # It died before prctl, so no signal will arrive.
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
    """Start `command` in a session of its own, so that a Ctrl-C in the terminal reaches only its parent.

    On Linux, the kernel sends it SIGTERM when its parent dies, even by SIGKILL. The parent is the *thread* that called
    this function, so call it from the main thread. On other systems, the parent must stop the child. A command that
    cannot be executed writes so on stderr and ends with exit status 1, or raises OSError.
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
    """Delay SIGINT and SIGTERM, so that no handler raises between the start of a child and its record.

    For the main thread. Handlers are replaced, because the kernel passes a signal that one thread blocks to another.
    """
    received: list[int] = []
    before: dict[int, Any] = {}
    try:
        for held in (signal.SIGINT, signal.SIGTERM):
            before[held] = signal.signal(held, lambda number, _: received.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in received:
            signal.raise_signal(number)


def stop_child(
    process: subprocess.Popen[bytes], *, patience: float = 120, idle: Callable[[float], object] = time.sleep
) -> None:
    """Send SIGTERM, wait `patience` seconds, then SIGKILL. Does nothing to a process that has ended.

    `idle` is called with the seconds until the next check of the process.
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
