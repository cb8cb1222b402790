"""`python -m gateway`: the HTTP gateway alone."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from importlib.metadata import version
from typing import NoReturn

import structlog
import uvloop
from prometheus_client import REGISTRY, CollectorRegistry

from gateway import metrics
from gateway.admin.application import application as admin_application
from gateway.admin.listener import AdminListener
from gateway.app import Application
from gateway.events import EVENTS
from gateway.http.listener import Listener, bind
from gateway.http.tls import server_context
from gateway.settings import InvalidSetting, Settings, split_address
from gateway.upstream.channel import Channel
from runtime import logs, memory
from runtime.certificates import CertificateFiles, CertificateUnusable
from runtime.child import describe_end
from runtime.metrics import exposition
from runtime.metrics.sampling import sample
from runtime.programs import ProgramFailed
from runtime.reporting import traces
from runtime.settings import unknown_variables
from runtime.workers import is_worker, kept_address, run_workers

_log = structlog.get_logger("userfold.gateway")


def main() -> int:
    """Run until SIGINT or SIGTERM. Returns the exit status: 0 after a graceful stop, 1 where it could not start."""
    try:
        unknown = unknown_variables(os.environ)
        settings = Settings.from_environment(os.environ)
        logs.configure(settings.log_level, settings.log_format, "gateway", EVENTS)
        if not is_worker():
            for name, similar in unknown.items():
                _log.warning("unknown variable", variable=name, similar=similar)
        if is_worker():
            _serve(settings)
        elif settings.workers == 1:
            _serve_metrics(settings, REGISTRY)
            _serve(settings)
        else:
            _run_workers(settings)
    except (CertificateUnusable, InvalidSetting, ProgramFailed, OSError) as error:
        print(f"userfold-gateway: {error}", file=sys.stderr)
        return 1
    return 0


def _run_workers(settings: Settings) -> NoReturn:
    with ExitStack() as stack:
        http = _keep(stack, "USERFOLD_HTTP_ADDRESS", settings.http_address)
        environment = {"USERFOLD_HTTP_ADDRESS": http}
        url = _url(http, settings.http_tls)
        admin_url = None
        if settings.admin_address:
            admin = environment["USERFOLD_ADMIN_ADDRESS"] = _keep(
                stack, "USERFOLD_ADMIN_ADDRESS", settings.admin_address
            )
            admin_url = _url(admin, settings.admin_tls)
        # Without an address of their own as well: the admin listener of each worker shows the sums.
        worker_metrics = stack.enter_context(exposition.worker_metrics())
        _serve_metrics(settings, worker_metrics.registry)
        run_workers(
            "gateway",
            settings.workers,
            environment,
            ready=lambda: _ready(url, admin_url),
            ended=_ended,
            metrics=worker_metrics,
        )


def _keep(stack: ExitStack, name: str, address: str) -> str:
    """Keep an address for the workers. Returns it with its port, a free one for 0."""
    host, port = split_address(name, address)
    try:
        port = stack.enter_context(kept_address(host, port))
    except OSError as error:
        raise _cannot_listen(name, error) from None
    return f"{address.rpartition(':')[0]}:{port}"


def _url(address: str, tls: CertificateFiles) -> str:
    return f"{'https' if tls.certificate else 'http'}://{address}"


def _ended(worker: subprocess.Popen[bytes]) -> None:
    _log.error("worker ended", pid=worker.pid, how=describe_end(worker))


def _serve(settings: Settings) -> None:
    with traces.exported("gateway", version("userfold"), os.environ):
        uvloop.run(_run(settings))


async def _run(settings: Settings) -> None:
    tls = server_context(settings.http_tls, metrics.note_certificates)
    async with _channel(settings) as channel:
        application = Application(settings, channel)
        admin = _admin_listener(settings, application)
        listener = Listener(
            application,
            _bind("USERFOLD_HTTP_ADDRESS", settings.http_address),
            lambda url: _ready(url, admin.url if admin else None),
            tls,
            settings.http_connections,
            drain_seconds=settings.drain_seconds,
            count_cut=metrics.count_cut,
        )
        memory.settle()
        listeners: list[Listener | AdminListener] = [listener, admin] if admin else [listener]
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, _stop, listeners)

        def note_load() -> None:
            application.note_load()
            metrics.note_connections(*listener.load)

        metrics.note_build()
        loop = asyncio.get_running_loop()
        watches = [loop.create_task(each) for each in (sample(note_load, metrics.LATENESS), application.watch())]
        try:
            await asyncio.gather(*(each.run_until_stopped() for each in listeners))
        finally:
            for watch in watches:
                watch.cancel()


def _stop(listeners: Iterable[Listener | AdminListener]) -> None:
    for listener in listeners:
        listener.stop()


def _admin_listener(settings: Settings, handler: Application) -> AdminListener | None:
    if settings.admin_address is None:
        return None
    return AdminListener(
        admin_application(handler, metrics.exposition, settings.metrics_token, gravatar=settings.gravatar),
        _bind("USERFOLD_ADMIN_ADDRESS", settings.admin_address),
        server_context(settings.admin_tls, metrics.note_certificates),
        settings.drain_seconds,
    )


def _bind(name: str, address: str) -> socket.socket:
    host, port = split_address(name, address)
    try:
        return bind(host, port, shares_address=is_worker())
    except OSError as error:
        raise _cannot_listen(name, error) from None


def _cannot_listen(name: str, error: OSError) -> InvalidSetting:
    return InvalidSetting(f"{name}: cannot listen there: {error.strerror}")


def _channel(settings: Settings) -> Channel:
    return Channel(
        settings.grpc_address,
        connections=settings.workers,
        tls=settings.grpc_tls,
        server_name=settings.grpc_server_name,
    )


def _ready(url: str, admin_url: str | None) -> None:
    print(f"userfold-gateway ready http={url}{f' admin={admin_url}' if admin_url else ''}", flush=True)


def _serve_metrics(settings: Settings, registry: CollectorRegistry) -> None:
    if settings.metrics_address is None:
        return
    host, port = split_address("USERFOLD_GATEWAY_METRICS_ADDRESS", settings.metrics_address)
    try:
        exposition.serve(host, port, registry)
    except OSError as error:
        raise _cannot_listen("USERFOLD_GATEWAY_METRICS_ADDRESS", error) from None


if __name__ == "__main__":
    sys.exit(main())
