"""Builds the parts of the server and serves them, from the start to the graceful stop."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import grpc
import structlog
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from runtime import memory
from runtime.certificates import NO_FILES, CertificateFiles
from runtime.metrics.sampling import sample
from runtime.refusal_counts import RefusalCounts
from runtime.reporting.request_log import NO_REQUESTS, RequestLog
from runtime.turns import Turns
from server import metrics
from server.commit.credential_usage import CredentialUsage
from server.commit.write_batcher import WriteBatcher
from server.mongo import migrations
from server.mongo.accounts.credentials import MongoCredentialStore
from server.mongo.client import answers, connect, open_database
from server.mongo.declared_indexes import DeclaredIndexes
from server.mongo.deployment import Deployment, find_deployment
from server.mongo.identity.pending import PendingAbsorptions
from server.mongo.monitoring import listeners
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.mongo.refusals import MongoRefusals
from server.mongo.removal.continued_deletions import ContinuedDeletions
from server.mongo.removal.expiry import VisitorExpiry
from server.mongo.schema import prepare
from server.mongo.secrets import page_token_key
from server.mongo.writes.by_kind import MongoProfileStores
from server.rpc.admission.admission import Admission
from server.rpc.admission.rate_limit import TokenBuckets
from server.rpc.authentication import Authenticator
from server.rpc.dispatch import Dispatcher
from server.rpc.health import Health
from server.rpc.observing.refusal_log import flush_reports
from server.rpc.open_streams import Streams
from server.rpc.served_method import Shared
from server.rpc.transport import OPTIONS, credentials
from server.rpc.unusable import Unusable
from server.servicers import PUBLIC, USERS, servicers
from server.services.overview.status_service import Process
from server.settings import InvalidSetting
from server.users import derive

_log = structlog.get_logger("userfold.server")

GRACE_SECONDS = 26.0
"""The time that streams, calls and writes have to end after the drain. A report may take `limits.REPORT_SECONDS`."""

CUT_SECONDS = 4.0
"""The time in which the process then cancels the remaining calls and ends."""

# A client that is still sending when its connection closes may lose the status of its stream.
_LAST_STATUS_SECONDS: Final = 0.1

# How often a MongoDB that cannot be used is asked again.
_WAITING_SECONDS: Final = 1.0


async def serve(
    *,
    mongodb_uri: str,
    database: str,
    grpc_address: str,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    grpc_socket: str | None = None,
    tls: CertificateFiles = NO_FILES,
    shares_address: bool = False,
    rate_limit: float = 0.0,
    visitor_days: int = 0,
    drain_seconds: float = 0.0,
    request_log: RequestLog = NO_REQUESTS,
) -> None:
    """Serve until `stop` is set. Then report for `drain_seconds` that the server is not ready, and finish what is in
    flight, within GRACE_SECONDS.

    While MongoDB is no initiated replica set, the server listens, reports that it is not ready, and refuses all calls.
    `ready` is called with the address that the server listens on. With `shares_address`, other processes may listen on
    it, too. `grpc_socket` is the path of a Unix socket on which the server also listens, for its own user only.

    Raises InvalidSetting where MongoDB or the address cannot be used, or CertificateUnusable.
    """
    metrics.note_build()
    schema_version = migrations.version_after(migrations.MIGRATIONS)
    process = Process(socket.gethostname().partition(".")[0], time.time_ns(), schema_version)

    def listen(server: grpc.aio.Server) -> str:
        return _listen(server, grpc_address, grpc_socket, tls)

    # By default gRPC shares the port, so that a second server on it would start without an error.
    options = [*OPTIONS, ("grpc.so_reuseport", int(shares_address))]
    deployment = await asyncio.to_thread(find_deployment, mongodb_uri)
    if deployment.fault:
        unusable = grpc.aio.server(options=options)
        grpc_address = listen(unusable)
        deployment = await _wait_for_replica_set(mongodb_uri, deployment, unusable, stop)
        if not deployment.is_usable:
            return
    client = connect(mongodb_uri, event_listeners=listeners(), **deployment.options)
    try:
        opened = open_database(client, database)
        await prepare(opened, schema_version)
        await asyncio.to_thread(derive.warm)
        memory.settle()
        credentials = MongoCredentialStore(opened)
        usage = CredentialUsage(credentials.note_used, time.time)
        authenticator = Authenticator(credentials, time.monotonic, time.time, usage.note)
        stores = MongoProfileStores(opened)
        profiles = WriteBatcher(stores)
        secret = await page_token_key(opened)
        indexes = DeclaredIndexes(opened)
        admission = Admission(profiles.require_room, TokenBuckets(rate_limit, time.monotonic))
        stopping = asyncio.Event()
        streams = Streams(authenticator, time.monotonic, stopping)
        turns = Turns()
        refusals = RefusalCounts(MongoRefusals(opened).add, time.time)
        shared = Shared(authenticator, admission, streams, turns, metrics.request_metrics(), refusals, request_log)

        async def why_not() -> str:
            return (await asyncio.to_thread(find_deployment, mongodb_uri)).fault

        health_servicer = Health(USERS.full_name, lambda: answers(opened), why_not)
        served = servicers(
            opened,
            credentials=credentials,
            profiles=profiles,
            queries=MongoProfileQueries(opened, indexes),
            shared=shared,
            health=health_servicer,
            process=process,
            secret=secret,
            stopping=stopping,
        )
        dispatcher = Dispatcher(served, shared)
        async with migrations.serving(opened, migrations.MIGRATIONS, stores.note_version):

            def note_load() -> None:
                profiles.note_load()
                admission.note_load()
                streams.note_load()
                metrics.READY.set(health_servicer.is_ready)

            deletions = ContinuedDeletions(opened)
            expiry = VisitorExpiry(opened, visitor_days, time.time_ns)
            tasks = (
                health_servicer.watch_database(),
                indexes.run(),
                deletions.run(),
                expiry.run(),
                PendingAbsorptions(opened).run(),
                sample(note_load, metrics.LATENESS),
            )
            watches = [asyncio.create_task(each) for each in tasks]
            try:
                sequence = _StopSequence(stop, drain_seconds, stopping, streams.ended)
                server = grpc.aio.server(options=options)
                address = listen(server)
                deadline = await _serve(server, dispatcher, health_servicer, sequence, lambda: ready(address))
            finally:
                for watch in watches:
                    watch.cancel()
            # Also the writes in flight of clients that have gone away.
            await _until(deadline, profiles.drain())
            await refusals.finished()
            await usage.finished()
    finally:
        flush_reports()
        client.close()


async def _wait_for_replica_set(
    uri: str, deployment: Deployment, server: grpc.aio.Server, stop: asyncio.Event
) -> Deployment:
    """Refuse all calls until the MongoDB can be used, or `stop` is set. Returns what was found last."""
    fault = deployment.fault

    async def why_not() -> str:
        return fault

    health_servicer = Health(USERS.full_name, asyncio.Event().wait, why_not)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    server.add_generic_rpc_handlers([Unusable()])
    await server.start()
    try:
        while not (deployment.is_usable or stop.is_set()):
            # It does not answer while it is restarted, as it has to be.
            fault = deployment.fault or fault
            await health_servicer.note_fault(fault)
            with suppress(TimeoutError):
                async with asyncio.timeout(_WAITING_SECONDS):
                    await stop.wait()
            deployment = await asyncio.to_thread(find_deployment, uri)
    finally:
        health_servicer.end_watches()
        await server.stop(_LAST_STATUS_SECONDS)
    return deployment


@dataclass(frozen=True, slots=True)
class _StopSequence:
    """How to stop: `drain_seconds` after `requested` was set, `stopping` is set and `streams_ended` awaited."""

    requested: asyncio.Event
    drain_seconds: float
    stopping: asyncio.Event
    streams_ended: Callable[[], Awaitable[None]]


def _listen(server: grpc.aio.Server, address: str, socket_path: str | None, tls: CertificateFiles) -> str:
    """Listen on an address and a Unix socket. Returns the address with its port.

    Raises InvalidSetting where that is impossible, or CertificateUnusable.
    """

    def listen(target: str) -> int:
        # Each port has credentials of its own: those of another port return "not changed" when gRPC first asks.
        tls_credentials = credentials(tls)
        return server.add_secure_port(target, tls_credentials) if tls_credentials else server.add_insecure_port(target)

    try:
        port = listen(address)
    except RuntimeError as error:
        raise cannot_listen(address) from error
    if socket_path:
        mask = os.umask(0o077)
        try:
            listen(f"unix:{socket_path}")
        except RuntimeError as error:
            raise InvalidSetting("USERFOLD_GRPC_SOCKET: cannot listen there") from error
        finally:
            os.umask(mask)
    return f"{address.rpartition(':')[0]}:{port}"


async def _serve(
    server: grpc.aio.Server,
    dispatcher: Dispatcher,
    health_servicer: Health,
    sequence: _StopSequence,
    ready: Callable[[], None],
) -> float:
    """Serve, and stop. Returns the deadline of what is still in flight, on the clock of the event loop."""
    server.add_generic_rpc_handlers([dispatcher])
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    public = [service.full_name for service in PUBLIC]
    reflection.enable_server_reflection((*public, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    await server.start()
    ready()
    await sequence.requested.wait()
    _log.info("stopping")
    await health_servicer.enter_graceful_shutdown()
    await asyncio.sleep(sequence.drain_seconds)
    # Streams do not end by themselves. From here on no request is read, and those that were read are acknowledged.
    sequence.stopping.set()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + GRACE_SECONDS
    await _until(deadline, sequence.streams_ended())
    health_servicer.end_watches()
    await asyncio.sleep(_LAST_STATUS_SECONDS)
    await _until(deadline + _LAST_STATUS_SECONDS, server.stop(max(0.0, deadline - loop.time())))
    return deadline


async def _until(deadline: float, ends: Awaitable[None]) -> None:
    """Wait until `ends` has ended, or until a deadline on the clock of the event loop."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            await ends


def cannot_listen(address: str) -> InvalidSetting:
    """The error where the server cannot listen on its address."""
    return InvalidSetting(
        f"cannot listen on USERFOLD_GRPC_ADDRESS={address}: the port is taken, or the host is not of this machine"
    )
