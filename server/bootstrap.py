"""Builds the parts of the server and serves them, from the start to the graceful stop."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from userfold.internal.v1 import credential_service_pb2, user_update_service_pb2
from userfold.v1 import campaign_service_pb2, user_service_pb2

from runtime import memory
from runtime.certificates import NO_FILES, CertificateFiles
from runtime.observations import Observations
from runtime.turns import Turns
from server.commit.write_batcher import WriteBatcher
from server.mongo import migrations
from server.mongo.accounts import MongoApplicationStore
from server.mongo.client import answers, connect, open_database
from server.mongo.declared_indexes import DeclaredIndexes
from server.mongo.erasure import MongoProfileErasure
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.mongo.schema import prepare
from server.mongo.secrets import page_token_key
from server.mongo.writes.profiles import MongoProfileStore
from server.query.page_token import PageTokens
from server.rpc.admission.admission import Admission
from server.rpc.admission.rate_limit import TokenBuckets
from server.rpc.authentication import Authenticator
from server.rpc.dispatch import Dispatcher
from server.rpc.health import Health
from server.rpc.open_streams import Streams
from server.rpc.refusal_log import flush_reports
from server.rpc.served_method import Shared
from server.rpc.transport import OPTIONS, credentials
from server.services.batch_updates import BatchUpdater
from server.services.campaign_service import CampaignService
from server.services.credential_service import CredentialService
from server.services.update_service import UserUpdateService
from server.services.user_service import UserService
from server.settings import InvalidSetting
from server.users import derive

_log = structlog.get_logger("userfold.server")

GRACE_SECONDS = 26.0
"""The time that streams, calls and writes have to end after the drain. A report may take `limits.REPORT_SECONDS`."""

CUT_SECONDS = 4.0
"""The time in which the process then cancels the remaining calls and ends."""

# A client that is still sending when its connection closes may lose the status of its stream.
_LAST_STATUS_SECONDS: Final = 0.1

_USERS = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]

_CAMPAIGNS = campaign_service_pb2.DESCRIPTOR.services_by_name["CampaignService"]

# Internal services. Reflection does not list them.
_UPDATES = user_update_service_pb2.DESCRIPTOR.services_by_name["UserUpdateService"]
_CREDENTIALS = credential_service_pb2.DESCRIPTOR.services_by_name["CredentialService"]


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
    drain_seconds: float = 0.0,
) -> None:
    """Serve until `stop` is set. Then report for `drain_seconds` that the server is not ready, and finish what is in
    flight, within GRACE_SECONDS.

    `ready` is called with the address that the server listens on. With `shares_address`, other processes may listen on
    it, too. `grpc_socket` is the path of a Unix socket on which the server also listens, for its own user only.

    Raises InvalidSetting where MongoDB or the address cannot be used, or CertificateUnusable.
    """
    client = connect(mongodb_uri)
    try:
        opened = open_database(client, database)
        await prepare(opened, migrations.version_after(migrations.MIGRATIONS))
        await asyncio.to_thread(derive.warm)
        memory.settle()
        authenticator = Authenticator(MongoApplicationStore(opened), time.monotonic, time.time)
        profiles = WriteBatcher(MongoProfileStore(opened))
        tokens = PageTokens(await page_token_key(opened))
        indexes = DeclaredIndexes(opened)
        queries, erasure = MongoProfileQueries(opened, indexes), MongoProfileErasure(opened)
        admission = Admission(profiles.require_room, TokenBuckets(rate_limit, time.monotonic))
        stopping = asyncio.Event()
        streams = Streams(authenticator, time.monotonic, stopping)
        turns = Turns()
        updater = BatchUpdater(profiles, time.time_ns, turns)
        servicers: Mapping[ServiceDescriptor, object] = {
            _USERS: UserService(profiles, updater, queries, erasure, tokens, time.time_ns, stopping, turns),
            _CAMPAIGNS: CampaignService(queries, turns),
            _UPDATES: UserUpdateService(updater),
            _CREDENTIALS: CredentialService(),
        }
        dispatcher = Dispatcher(servicers, Shared(authenticator, admission, streams, turns, Observations()))
        async with migrations.serving(opened, migrations.MIGRATIONS):
            health_servicer = Health(_USERS.full_name, lambda: answers(opened))
            watches = [asyncio.create_task(each) for each in (health_servicer.watch_database(), indexes.run())]
            try:
                sequence = _StopSequence(stop, drain_seconds, stopping, streams.ended)
                # By default gRPC shares the port, so that a second server on it would start without an error.
                server = grpc.aio.server(options=[*OPTIONS, ("grpc.so_reuseport", int(shares_address))])
                address = _listen(server, grpc_address, grpc_socket, tls)
                deadline = await _serve(server, dispatcher, health_servicer, sequence, lambda: ready(address))
            finally:
                for watch in watches:
                    watch.cancel()
            # Also the writes in flight of clients that have gone away.
            await _until(deadline, profiles.drain())
    finally:
        flush_reports()
        client.close()


@dataclass(frozen=True, slots=True)
class _StopSequence:
    """How to stop: `drain_seconds` after `requested` was set, `stopping` is set and `streams_ended` awaited."""

    requested: asyncio.Event
    drain_seconds: float
    stopping: asyncio.Event
    streams_ended: Callable[[], Awaitable[None]]


def _listen(server: grpc.aio.Server, address: str, socket: str | None, tls: CertificateFiles) -> str:
    """Listen on an address and a Unix socket. Returns the address with its port.

    Raises InvalidSetting where that is impossible, or CertificateUnusable.
    """
    tls_credentials = credentials(tls)

    def listen(target: str) -> int:
        return server.add_secure_port(target, tls_credentials) if tls_credentials else server.add_insecure_port(target)

    try:
        port = listen(address)
    except RuntimeError as error:
        raise cannot_listen(address) from error
    if socket:
        mask = os.umask(0o077)
        try:
            listen(f"unix:{socket}")
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
    reflected = (_USERS.full_name, _CAMPAIGNS.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(reflected, server)
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
