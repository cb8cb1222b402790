"""The whole stack on one machine: MongoDB, the server and the gateway, until SIGINT or SIGTERM. `make run` calls it.

Prints one line on stdout, once everything answers; all else goes to stderr:

    userfold ready http=http://HOST:PORT grpc=HOST:PORT mongodb=URI application_id=KEY management_token=TOKEN

The exit status is 0 after a signal, and 1 when a part cannot start or ends by itself.
"""

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn, Self

from server import applications, credentials
from server.child import describe_end, signals_held, start_child, stop_child
from server.mongod import EmbeddedMongod, MongodUnavailable
from server.settings import InvalidSetting, Settings
from server.store import replica_set

_START_SECONDS = 60


class StackFailed(Exception):
    """The stack cannot start or go on; the message says why."""


class _Programs:
    """The processes of the stack in the order of their start, and the standard output of those that are ours."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._outputs = selectors.DefaultSelector()
        self._partial_lines: dict[str, bytes] = {}
        self._ready: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes.values()):
            # Still read from while they stop: a full pipe would keep them.
            stop_child(process, idle=self._pass_output_on)

    def watch(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self._processes[name] = process
        if process.stdout:
            self._outputs.register(process.stdout, selectors.EVENT_READ, name)

    def start(self, name: str, environment: Mapping[str, str]) -> dict[str, str]:
        """Start `python -m name` and return the fields of its line `userfold-NAME ready KEY=VALUE ...`."""
        with signals_held():
            command = [sys.executable, "-m", name]
            self.watch(name, start_child(command, environment=environment, stdout=subprocess.PIPE))
        deadline = time.monotonic() + _START_SECONDS
        while name not in self._ready:
            self.check()
            if time.monotonic() > deadline:
                raise StackFailed(f"the {name} is not ready after {_START_SECONDS} seconds")
        return self._ready[name]

    def check(self) -> None:
        """Pass output on for up to 0.2 seconds. Raises StackFailed where a process has ended."""
        self._pass_output_on(0.2)
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise StackFailed(f"the {name} ended by itself ({describe_end(process)})")

    def _pass_output_on(self, seconds: float) -> None:
        for key, _ in self._outputs.select(seconds):
            chunk = os.read(key.fd, 65536)
            if not chunk:
                self._outputs.unregister(key.fileobj)
            *lines, partial = (self._partial_lines.get(key.data, b"") + chunk).split(b"\n")
            self._partial_lines[key.data] = partial
            for line in lines:
                if line.startswith(f"userfold-{key.data} ready ".encode()):
                    fields = line.decode().split(" ")[2:]
                    self._ready[key.data] = dict(field.split("=", 1) for field in fields)
                else:
                    print(line.decode(errors="replace"), file=sys.stderr)


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with ExitStack() as stack:
            try:
                _run(stack, os.environ)
            finally:
                _ignore_interrupts()
    except (InvalidSetting, MongodUnavailable, StackFailed, OSError) as error:
        print(f"userfold: {error}", file=sys.stderr)
        return 1


def _interrupt(*_: object) -> NoReturn:
    _ignore_interrupts()
    raise SystemExit(0)


def _ignore_interrupts() -> None:
    """From here on the stack is being stopped in good order, which no further signal may break."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)


def _run(stack: ExitStack, environment: Mapping[str, str]) -> NoReturn:
    settings = Settings.from_environment(environment)
    data_dir = Path(settings.data_dir)
    uri = settings.mongodb_uri
    programs = _Programs()
    if uri is None:
        mongod = stack.enter_context(EmbeddedMongod(data_dir))
        programs.watch("mongod", mongod.process)
        replica_set.initiate(mongod.uri)
        uri = mongod.uri
    stack.enter_context(programs)

    demo = _demo_application(data_dir)
    applications.ensure(
        uri, settings.database, demo["application"], "Demo", demo["application_id"], demo["management_token"]
    )
    environment = {**environment, "USERFOLD_MONGODB_URI": uri}
    grpc = programs.start("server", environment)["grpc"]
    http = programs.start("gateway", {**environment, "USERFOLD_GRPC_ADDRESS": grpc})["http"]
    print(
        f"userfold ready http={http} grpc={grpc} mongodb={without_password(uri)} "
        f"application_id={demo['application_id']} management_token={demo['management_token']}",
        flush=True,
    )
    while True:
        programs.check()


def _demo_application(data_dir: Path) -> dict[str, str]:
    """The keys of the demo application, made once for a data directory, in a file that a shell can read too."""
    path = data_dir / "demo.env"
    if not path.exists():
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        demo = {
            "application": credentials.generate_application_id(),
            "application_id": credentials.generate_collector_key(),
            "management_token": credentials.generate_management_token(),
        }
        draft = path.with_suffix(".new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.writelines(f"{name}={value}\n" for name, value in demo.items())
        draft.replace(path)  # whole, or not at all
    keys = dict(re.findall(r"^(\w+)=([\w-]+)$", path.read_text(), re.MULTILINE))
    if keys.keys() != {"application", "application_id", "management_token"}:
        raise StackFailed(f"{path} is damaged; delete it to have new keys made")
    return keys


def without_password(uri: str) -> str:
    """A MongoDB URI that may be shown: the user's password is cut out, and those among the options."""
    uri = re.sub(r"(://[^:/@]*):[^/]*@", r"\1@", uri)
    return re.sub(r"(?i)(password=)[^&]*", r"\1", uri)


if __name__ == "__main__":
    sys.exit(main())
