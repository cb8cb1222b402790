"""`python -m server`: the gRPC server alone, with the embedded MongoDB where no other is named."""

import asyncio
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import structlog
import uvloop
from prometheus_client import start_http_server

from server import logs
from server.app import serve
from server.mongod import EmbeddedMongod, MongodUnavailable
from server.settings import InvalidSetting, Settings, split_address
from server.store.replica_set import initiate

_log = structlog.get_logger("userfold.server")


def main() -> int:
    """Run until SIGINT or SIGTERM. The exit status: 0 after a graceful stop, 1 where it could not start."""
    logs.configure()
    try:
        settings = Settings.from_environment(os.environ)
        with ExitStack() as stack:
            uri = settings.mongodb_uri
            if uri is None:
                mongod = stack.enter_context(EmbeddedMongod(Path(settings.data_dir)))
                initiate(mongod.uri)
                uri = mongod.uri
            if settings.metrics_address:
                _serve_metrics(settings.metrics_address)
            uvloop.run(_run(settings, uri))
    except (InvalidSetting, MongodUnavailable, OSError) as error:
        print(f"userfold-server: {error}", file=sys.stderr)
        return 1
    return 0


def _serve_metrics(address: str) -> None:
    host, port = split_address("USERFOLD_SERVER_METRICS_ADDRESS", address)
    try:
        start_http_server(port, host)
    except OSError as error:
        raise InvalidSetting(f"USERFOLD_SERVER_METRICS_ADDRESS: cannot listen there: {error.strerror}") from None


async def _run(settings: Settings, uri: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def ready(address: str) -> None:
        _log.info("ready", grpc=address)
        shown = uri if settings.mongodb_uri is None else "USERFOLD_MONGODB_URI"
        print(f"userfold-server ready grpc={address} mongodb={shown}", flush=True)

    await serve(mongodb_uri=uri, database=settings.database, grpc_address=settings.grpc_address, stop=stop, ready=ready)


if __name__ == "__main__":
    sys.exit(main())
