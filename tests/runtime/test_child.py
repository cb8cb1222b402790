"""Children end with their parent, and signals wait for their record."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from runtime.child import describe_end, signals_held, start_child, stop_child

SLEEP = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)",
]


def started(command: list[str]) -> subprocess.Popen[bytes]:
    process = start_child(command, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    process.stdout.close()
    return process


def test_a_child_has_a_session_of_its_own() -> None:
    process = started(SLEEP)
    assert os.getsid(process.pid) == process.pid
    stop_child(process)


def test_a_stopped_child_is_asked_first_and_may_be_stopped_again() -> None:
    process = started(SLEEP)
    stop_child(process)
    stop_child(process)
    assert describe_end(process) == "signal SIGTERM"


def test_a_child_that_does_not_end_is_killed() -> None:
    process = started(STUBBORN)
    waits: list[float] = []

    def idle(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(seconds)

    stop_child(process, patience=0.1, idle=idle)
    assert describe_end(process) == "signal SIGKILL"
    assert waits


def test_an_exit_status_is_described() -> None:
    process = start_child([sys.executable, "-c", "raise SystemExit(3)"])
    process.wait()
    assert describe_end(process) == "exit status 3"


@pytest.mark.usefixtures("restore_sigterm")
def test_a_signal_is_delivered_after_the_record_of_a_child() -> None:
    children: list[subprocess.Popen[bytes]] = []
    reported: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: reported.append(len(children)))
    anyone = threading.Thread(target=time.sleep, args=[0.2])  # a thread to which the kernel may give the signal
    anyone.start()
    with signals_held():
        os.kill(os.getpid(), signal.SIGTERM)
        children.append(started(SLEEP))
        assert reported == []
    assert reported == [1]
    anyone.join()
    stop_child(children[0], patience=5)
    assert describe_end(children[0]) == "signal SIGTERM"


@pytest.fixture
def restore_sigterm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
