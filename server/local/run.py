"""The whole stack on one machine: MongoDB, the server and the gateway, until SIGINT or SIGTERM. `make run` calls it.

Prints one line on stdout when all programs are ready, and everything else on stderr:

    userfold ready http=http://HOST:PORT grpc=HOST:PORT mongodb=URI application_id=KEY management_token=TOKEN

The exit status is 0 after a signal, and 1 if a program cannot start or ends by itself.
"""

import os
import re
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from runtime.certificates import CertificateUnusable
from runtime.programs import ProgramFailed, Programs, exit_on_signals, ignore_signals
from server import applications
from server.accounts import credentials
from server.errors import OperatorError
from server.local.mongod import EmbeddedMongod, MongodUnavailable
from server.mongo import replica_set
from server.settings import SOCKET_BYTES, InvalidSetting, Settings


class StackFailed(Exception):
    """The stack cannot start or continue. The message says why."""


def main() -> int:
    exit_on_signals()
    try:
        with ExitStack() as stack:
            try:
                _run(stack, os.environ)
            finally:
                ignore_signals()
    except (
        CertificateUnusable,
        InvalidSetting,
        MongodUnavailable,
        OperatorError,
        ProgramFailed,
        StackFailed,
        OSError,
    ) as error:
        print(f"userfold: {error}", file=sys.stderr)
        return 1


def _run(stack: ExitStack, environment: Mapping[str, str]) -> NoReturn:
    settings = Settings.from_environment(environment)
    data_dir = Path(settings.data_dir)
    uri = settings.mongodb_uri
    programs = Programs()
    if uri is None:
        mongod = stack.enter_context(EmbeddedMongod(data_dir))
        programs.watch("mongod", mongod.process)
        replica_set.initiate(mongod.uri)
        uri = mongod.uri
    socket = gateway_socket(stack, settings)
    stack.enter_context(programs)

    demo = _demo_application(data_dir)
    applications.ensure(
        uri, settings.database, demo["application"], "Demo", demo["application_id"], demo["management_token"]
    )
    environment = {**environment, "USERFOLD_MONGODB_URI": uri, "USERFOLD_GRPC_SOCKET": socket or ""}
    grpc = _start(programs, "server", environment)["grpc"]
    target = f"unix:{socket}" if socket else grpc
    http = _start(programs, "gateway", {**environment, "USERFOLD_GRPC_ADDRESS": target})["http"]
    print(
        f"userfold ready http={http} grpc={grpc} mongodb={without_password(uri)} "
        f"application_id={demo['application_id']} management_token={demo['management_token']}",
        flush=True,
    )
    while True:
        programs.check()


def gateway_socket(stack: ExitStack, settings: Settings) -> str | None:
    """The path of the Unix socket through which the gateway calls the server; None where it uses the address.

    Workers cannot share a socket, and a certificate is for a host.
    """
    if settings.grpc_socket or settings.workers > 1 or settings.tls.certificate:
        return settings.grpc_socket
    # The data directory may be too deep, and another stack may use it too.
    directory = stack.enter_context(TemporaryDirectory(prefix="userfold-"))
    path = f"{directory}/grpc.sock"
    return path if len(os.fsencode(path)) <= SOCKET_BYTES else None


def _start(programs: Programs, name: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Start the server or the gateway, and return the fields of its ready line."""
    programs.start(name, [sys.executable, "-m", name], environment)
    return programs.wait_until_ready(name)


def _demo_application(data_dir: Path) -> dict[str, str]:
    """The keys of the demo application, which are made once for a data directory. A shell can source their file."""
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
        draft.replace(path)  # Never a part of it.
    keys = dict(re.findall(r"^(\w+)=([\w-]+)$", path.read_text(), re.MULTILINE))
    if keys.keys() != {"application", "application_id", "management_token"}:
        raise StackFailed(f"{path} is damaged: delete it to have new keys made")
    return keys


def without_password(uri: str) -> str:
    """A MongoDB URI without its passwords, which may be printed."""
    uri = re.sub(r"(://[^:/@]*):[^/]*@", r"\1@", uri)
    return re.sub(r"(?i)(password=)[^&]*", r"\1", uri)


if __name__ == "__main__":
    sys.exit(main())
