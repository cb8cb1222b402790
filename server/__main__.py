"""`python -m server`: the gRPC server, with an embedded MongoDB where the settings name no other."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Final, NoReturn

import structlog
import uvloop
from prometheus_client import REGISTRY, CollectorRegistry

from runtime import logs
from runtime.certificates import CertificateUnusable
from runtime.child import describe_end
from runtime.metrics import exposition
from runtime.programs import ProgramFailed
from runtime.reporting import traces
from runtime.settings import unknown_variables
from runtime.workers import is_worker, kept_address, run_workers
from server import bootstrap
from server.bootstrap import cannot_listen, serve
from server.events import EVENTS
from server.local.mongod import EmbeddedMongod, MongodUnavailable
from server.mongo.deployment import find_deployment
from server.mongo.replica_set import initiate
from server.settings import InvalidSetting, Settings, split_address

_log = structlog.get_logger("userfold.server")

# The driver runs in threads of its own. With Python's default of 5 ms, a thread that has a response of MongoDB may wait
# longer for its turn than MongoDB took.
_SWITCH_SECONDS: Final = 0.001

_WAITING_SECONDS: Final = 1.0


def main() -> int:
    """Run until SIGINT or SIGTERM. Returns the exit status: 0 after a graceful stop, 1 where it cannot start."""
    try:
        unknown = unknown_variables(os.environ)
        settings = Settings.from_environment(os.environ)
        logs.configure(settings.log_level, settings.log_format, "server", EVENTS)
        if not is_worker():
            for name, similar in unknown.items():
                _log.warning("unknown variable", variable=name, similar=similar)
        with ExitStack() as stack:
            uri = settings.mongodb_uri
            if uri is None:
                mongod = stack.enter_context(EmbeddedMongod(Path(settings.data_dir)))
                initiate(mongod.uri)
                uri = mongod.uri
            if is_worker():
                _serve(settings, uri)
            elif settings.workers == 1:
                _serve_metrics(settings, REGISTRY)
                _serve(settings, uri)
            else:
                _run_workers(stack, settings, uri)
    except (CertificateUnusable, InvalidSetting, MongodUnavailable, ProgramFailed, OSError) as error:
        print(f"userfold-server: {error}", file=sys.stderr)
        return 1
    return 0


def _run_workers(stack: ExitStack, settings: Settings, uri: str) -> NoReturn:
    host, port = split_address("USERFOLD_GRPC_ADDRESS", settings.grpc_address)
    try:
        port = stack.enter_context(kept_address(host, port))
    except OSError as error:
        raise cannot_listen(settings.grpc_address) from error
    address = f"{settings.grpc_address.rpartition(':')[0]}:{port}"
    _wait_for_replica_set(uri)
    environment = {"USERFOLD_MONGODB_URI": uri, "USERFOLD_GRPC_ADDRESS": address}
    metrics = stack.enter_context(exposition.worker_metrics()) if settings.metrics_address else None
    if metrics:
        _serve_metrics(settings, metrics.registry)
    run_workers(
        "server",
        settings.workers,
        environment,
        ready=lambda: _ready(settings, uri, address),
        ended=_ended,
        metrics=metrics,
    )


def _wait_for_replica_set(uri: str) -> None:
    """Wait until the MongoDB can be used: workers have a limited time to start."""
    deployment, known = find_deployment(uri), ""
    if not deployment.fault:
        return
    while not deployment.is_usable:
        if deployment.fault not in ("", known):
            known = deployment.fault
            _log.error("no replica set", fault=known)
        time.sleep(_WAITING_SECONDS)
        deployment = find_deployment(uri)


def _ended(worker: subprocess.Popen[bytes]) -> None:
    _log.error("worker ended", pid=worker.pid, how=describe_end(worker))


def _serve_metrics(settings: Settings, registry: CollectorRegistry) -> None:
    if not settings.metrics_address:
        return
    host, port = split_address("USERFOLD_SERVER_METRICS_ADDRESS", settings.metrics_address)
    try:
        exposition.serve(host, port, registry)
    except OSError as error:
        raise InvalidSetting(f"USERFOLD_SERVER_METRICS_ADDRESS: cannot listen there: {error.strerror}") from None


def _ready(settings: Settings, uri: str, address: str) -> None:
    _log.info("ready", grpc=address)
    # The URI of another MongoDB may hold a password.
    shown = uri if settings.mongodb_uri is None else "USERFOLD_MONGODB_URI"
    print(f"userfold-server ready grpc={address} mongodb={shown}", flush=True)


def _end_within(seconds: float) -> None:
    """End the process after so many seconds, even where threads of the driver still wait for a MongoDB that hangs.

    An embedded MongoDB ends with its parent process.
    """
    timer = threading.Timer(seconds, os._exit, [0])
    timer.daemon = True
    timer.start()


def _serve(settings: Settings, uri: str) -> None:
    with traces.exported("server", version("userfold"), os.environ):
        uvloop.run(_run(settings, uri))


async def _run(settings: Settings, uri: str) -> None:
    sys.setswitchinterval(_SWITCH_SECONDS)
    stop = asyncio.Event()

    def end() -> None:
        if not stop.is_set():
            stop.set()
            _end_within(settings.drain_seconds + bootstrap.GRACE_SECONDS + bootstrap.CUT_SECONDS)

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)

    await serve(
        mongodb_uri=uri,
        database=settings.database,
        grpc_address=settings.grpc_address,
        grpc_socket=settings.grpc_socket,
        stop=stop,
        ready=lambda address: _ready(settings, uri, address),
        tls=settings.tls,
        shares_address=is_worker(),
        rate_limit=settings.rate_limit,
        visitor_days=settings.visitor_days,
        request_log=settings.request_log,
        drain_seconds=settings.drain_seconds,
    )


if __name__ == "__main__":
    sys.exit(main())
