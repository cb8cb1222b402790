"""The whole stack on one machine: MongoDB, the server and the gateway, until SIGINT or SIGTERM. `make run` calls it.

Prints one line on stdout when all programs are ready, and everything else on stderr:

    userfold ready http=http://HOST:PORT grpc=HOST:PORT admin=http://HOST:PORT mongodb=URI application_id=KEY
    management_token=TOKEN

The exit status is 0 after a signal, and 1 if a program cannot start or ends by itself.
"""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from runtime.certificates import CertificateUnusable
from runtime.programs import ProgramFailed, Programs, exit_on_signals, ignore_signals
from runtime.settings import warnings_of, without_unknown
from server.errors import OperatorError
from server.local.demo import DemoApplication
from server.local.mongod import EmbeddedMongod, MongodUnavailable
from server.mongo import replica_set
from server.mongo.deployment import find_deployment
from server.settings import SOCKET_BYTES, InvalidSetting, Settings


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
        OSError,
    ) as error:
        print(f"userfold: {error}", file=sys.stderr)
        return 1


def _run(stack: ExitStack, environment: Mapping[str, str]) -> NoReturn:
    for warning in warnings_of(environment):
        print(f"userfold: {warning}", file=sys.stderr)
    environment = without_unknown(environment)
    settings = Settings.from_environment(environment)
    data_dir = Path(settings.data_dir)
    uri = settings.mongodb_uri
    programs = Programs()
    if uri is None:
        mongod = stack.enter_context(EmbeddedMongod(data_dir))
        programs.watch("mongod", mongod.process)
        replica_set.initiate(mongod.uri)
        uri = mongod.uri
        if mongod.moved_from:
            print(
                f"userfold: another program uses port {mongod.moved_from}, which was that of the embedded MongoDB."
                f" It is now at {uri}",
                file=sys.stderr,
            )
    if fault := find_deployment(uri).fault:
        raise InvalidSetting(f"USERFOLD_MONGODB_URI: {fault}")
    socket = gateway_socket(stack, settings)
    stack.enter_context(programs)

    demo = DemoApplication.of(data_dir)
    demo.register(uri, settings.database)
    environment = {**environment, "USERFOLD_MONGODB_URI": uri, "USERFOLD_GRPC_SOCKET": socket or ""}
    grpc = _start(programs, "server", environment)["grpc"]
    target = f"unix:{socket}" if socket else grpc
    gateway = _start(programs, "gateway", {**environment, "USERFOLD_GRPC_ADDRESS": target})
    admin = f"admin={gateway['admin']} " if "admin" in gateway else ""
    print(
        f"userfold ready http={gateway['http']} grpc={grpc} {admin}mongodb={without_password(uri)} "
        f"application_id={demo.collector_key} management_token={demo.management_token}",
        flush=True,
    )
    print(_next_steps(data_dir, grpc, gateway), file=sys.stderr)
    while True:
        programs.check()


def _next_steps(data_dir: Path, grpc: str, gateway: Mapping[str, str]) -> str:
    """What a newcomer may do next. It names the file with the keys, and no key."""
    lines = [
        "",
        "Userfold is running. In another terminal, in this folder:",
        "",
        f"  . {data_dir / 'demo.env'}",
        f'  curl {gateway["http"]}/v1/users -H "X-Moesif-Application-Id: $collector_key" -d \'{{"user_id": "12345"}}\'',
        f"  {_variables(grpc)}{_userfold()} users get 12345",
        "",
    ]
    if admin := gateway.get("admin"):
        lines += [
            f"The console: {admin}/console (sign in with the management_token of that file)",
            f"The API's documentation: {admin}/docs",
            "",
        ]
    return "\n".join([*lines, "Ctrl-C stops everything. The data stays."])


def _variables(grpc: str) -> str:
    """What the command line needs to know where the server listens."""
    return "" if grpc == Settings.from_environment({}).grpc_address else f"USERFOLD_GRPC_ADDRESS={grpc} "


def _userfold() -> str:
    """The command line of this installation, as a shell in the current folder finds it."""
    path = Path(sys.executable).with_name("userfold")
    if not path.exists() or shutil.which("userfold") == str(path):
        return "userfold"
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


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


def without_password(uri: str) -> str:
    """A MongoDB URI without its passwords, which may be printed."""
    uri = re.sub(r"(://[^:/@]*):[^/]*@", r"\1@", uri)
    return re.sub(r"(?i)(password=)[^&]*", r"\1", uri)


if __name__ == "__main__":
    sys.exit(main())
