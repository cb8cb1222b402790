"""Programs that tests start, each with an environment that the test chooses."""

import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from runtime.child import start_child, stop_child

_FIRST_PORT: Final = 10_000
_PORTS: Final = 20_000
"""These are below the ports that the kernel gives to outgoing connections."""

_ports = itertools.cycle(_FIRST_PORT + (os.getpid() * 37 + number) % _PORTS for number in range(_PORTS))
"""Each process begins at a different port, as several run tests on one machine."""


def environment(variables: Mapping[str, str], *, measured: bool = False) -> dict[str, str]:
    """The environment of this process without settings of Userfold, and with these variables. The admin listener is on
    a free port, as many gateways run at the same time.

    `measured=True` keeps coverage's variables. Tracing more than doubles the CPU time of a program, above all of its
    start. So only programs are measured that run lines which no test runs in its own process.
    """
    removed = ("USERFOLD_",) if measured else ("USERFOLD_", "COVERAGE_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(removed)}
    return own | {"USERFOLD_ADMIN_ADDRESS": "127.0.0.1:0"} | {**variables}


def start_program(
    module: str,
    variables: Mapping[str, str],
    *,
    stderr: IO[bytes] | int | None = None,
    measured: bool = False,
) -> subprocess.Popen[bytes]:
    """Start `python -m MODULE`. Its stdout is a pipe."""
    return start_child(
        [sys.executable, "-m", module],
        environment=environment(variables, measured=measured),
        stdout=subprocess.PIPE,
        stderr=stderr if stderr is None or isinstance(stderr, int) else stderr.fileno(),
    )


def run_program(
    module: str,
    *arguments: object,
    variables: Mapping[str, str],
    cwd: Path | None = None,
    measured: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE` until it ends."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=environment(variables, measured=measured),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


class Program:
    """`python -m MODULE`, which has printed its first line or has ended.

    `ready` holds the `name=value` words of that line. `printed` holds all of stdout once the program is stopped.
    """

    def __init__(
        self, module: str, variables: Mapping[str, str], *, stderr: IO[bytes] | None = None, measured: bool = False
    ) -> None:
        self.process = start_program(module, variables, stderr=stderr, measured=measured)
        assert self.process.stdout
        self.printed = self.process.stdout.readline()
        words = self.printed.decode().split()
        self.ready = dict(word.split("=", 1) for word in words if "=" in word)

    def stop(self) -> int:
        """Send SIGTERM and return the exit status. May be called again."""
        stop_child(self.process)
        assert self.process.stdout
        if not self.process.stdout.closed:
            self.printed += self.process.stdout.read()
            self.process.stdout.close()
        return self.process.returncode


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens, outside the range of outgoing connections."""
    for port in itertools.islice(_ports, _PORTS):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")
