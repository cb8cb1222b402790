"""Workers of one program, which listen on one address with SO_REUSEPORT. Their parent watches them."""

import contextlib
import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NoReturn

from runtime.metrics.exposition import WorkerMetrics
from runtime.programs import Programs, exit_on_signals, ignore_signals

_WORKER: Final = "worker-of"
_PAUSE_SECONDS = 1.0


def is_worker() -> bool:
    """Whether this process is a worker, whose parent keeps the address and the metrics.

    The command line says so, with the parent's process id: no process becomes a worker by accident.
    """
    return sys.argv[1:] == [_WORKER, str(os.getppid())]


@contextlib.contextmanager
def kept_address(host: str, port: int) -> Iterator[int]:
    """Reserve an address for workers, also while none of them listens. Yields its port, a free one for 0.

    Raises OSError if another program has the address. With SO_REUSEPORT alone, neither would notice.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    with socket.socket(family) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind((host, port))
        port = alone.getsockname()[1]
    with socket.socket(family) as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            kept.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            # Connections that a program without workers left behind use it. The first bind shows that none listens.
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            kept.bind((host, port))
        yield port


def run_workers(
    module: str,
    count: int,
    environment: Mapping[str, str],
    *,
    ready: Callable[[], None],
    ended: Callable[[subprocess.Popen[bytes]], None],
    metrics: WorkerMetrics | None,
) -> NoReturn:
    """Run `python -m module` as `count` workers until SIGINT or SIGTERM, then raise SystemExit(0) when all have ended.

    `ready` is called when all are ready. `ended` is called with a worker that ends later, which is replaced after a
    second. Raises ProgramFailed if one ends before all are ready. The workers share `metrics`, if there are any.
    """
    command = [sys.executable, "-m", module, _WORKER, str(os.getpid())]
    numbers = {f"{module}'s worker {number}": number for number in range(1, count + 1)}
    environment = {**os.environ, **environment, **(metrics.environment if metrics else {})}
    exit_on_signals()
    with Programs() as programs:

        def start(name: str) -> None:
            process = programs.start(name, command, environment)
            if metrics:
                metrics.started(numbers[name], process.pid)

        try:
            for name in numbers:
                start(name)
            for name in numbers:
                programs.wait_until_ready(name)
            ready()
            replaced_at: dict[str, float] = {}
            while True:
                for name, process in programs.ended().items():
                    if name not in replaced_at:
                        ended(process)
                        if metrics:
                            metrics.ended(process.pid)
                        replaced_at[name] = time.monotonic() + _PAUSE_SECONDS
                for name in [name for name, due in replaced_at.items() if due <= time.monotonic()]:
                    del replaced_at[name]
                    start(name)
        finally:
            ignore_signals()
            programs.terminate()
