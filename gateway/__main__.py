"""`python -m gateway`: the HTTP gateway alone."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import NoReturn

import structlog
import uvloop
from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from gateway import metrics
from gateway.app import Application
from gateway.http.listener import Listener, bind, listener_url
from gateway.http.tls import server_context
from gateway.settings import InvalidSetting, Settings, split_address
from gateway.upstream.channel import Channel
from runtime import logs, memory
from runtime.certificates import CertificateUnusable
from runtime.child import describe_end
from runtime.programs import ProgramFailed
from runtime.workers import is_worker, kept_address, run_workers, summed_metrics

_log = structlog.get_logger("userfold.gateway")


def main() -> int:
    """Run until SIGINT or SIGTERM. Returns the exit status: 0 after a graceful stop, 1 where it could not start."""
    try:
        settings = Settings.from_environment(os.environ)
        logs.configure(settings.log_level)
        if is_worker():
            uvloop.run(_run(settings))
        elif settings.workers == 1:
            _serve_metrics(settings, REGISTRY)
            uvloop.run(_run(settings))
        else:
            _run_workers(settings)
    except (CertificateUnusable, InvalidSetting, ProgramFailed, OSError) as error:
        print(f"userfold-gateway: {error}", file=sys.stderr)
        return 1
    return 0


def _run_workers(settings: Settings) -> NoReturn:
    host, port = split_address("USERFOLD_HTTP_ADDRESS", settings.http_address)
    with ExitStack() as stack:
        try:
            port = stack.enter_context(kept_address(host, port))
        except OSError as error:
            raise _cannot_listen(error) from None
        environment = {"USERFOLD_HTTP_ADDRESS": f"{settings.http_address.rpartition(':')[0]}:{port}"}
        if settings.metrics_address:
            of_workers, registry = stack.enter_context(summed_metrics())
            _serve_metrics(settings, registry)
            environment |= of_workers
        url = listener_url(host, port, "https" if settings.http_tls.certificate else "http")
        run_workers("gateway", settings.workers, environment, ready=lambda: _ready(url), ended=_ended)


def _ended(worker: subprocess.Popen[bytes]) -> None:
    _log.error("worker ended", pid=worker.pid, how=describe_end(worker))


async def _run(settings: Settings) -> None:
    tls = server_context(settings.http_tls)
    async with _channel(settings) as channel:
        listener = Listener(
            Application(settings, channel),
            _bind(settings),
            _ready,
            tls,
            settings.http_connections,
            drain_seconds=settings.drain_seconds,
            count_cut=metrics.count_cut,
        )
        memory.settle()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, listener.stop)
        await listener.run_until_stopped()


def _bind(settings: Settings) -> socket.socket:
    host, port = split_address("USERFOLD_HTTP_ADDRESS", settings.http_address)
    try:
        return bind(host, port, shares_address=is_worker())
    except OSError as error:
        raise _cannot_listen(error) from None


def _cannot_listen(error: OSError) -> InvalidSetting:
    return InvalidSetting(f"USERFOLD_HTTP_ADDRESS: cannot listen there: {error.strerror}")


def _channel(settings: Settings) -> Channel:
    return Channel(
        settings.grpc_address,
        connections=settings.workers,
        tls=settings.grpc_tls,
        server_name=settings.grpc_server_name,
    )


def _ready(url: str) -> None:
    print(f"userfold-gateway ready http={url}", flush=True)


def _serve_metrics(settings: Settings, registry: CollectorRegistry) -> None:
    if settings.metrics_address is None:
        return
    host, port = split_address("USERFOLD_GATEWAY_METRICS_ADDRESS", settings.metrics_address)
    try:
        start_http_server(port, host, registry)
    except OSError as error:
        raise InvalidSetting(f"USERFOLD_GATEWAY_METRICS_ADDRESS: cannot listen there: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
