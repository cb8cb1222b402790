"""The server put together: store, service, health and reflection on one gRPC server, from start to graceful stop."""

# Some of gRPC's types are generic in the stubs alone.
from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

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
from server.mongo.erasure import MongoProfileErasure
from server.mongo.profile_queries import MongoProfileQueries
from server.mongo.profiles import MongoProfileStore
from server.mongo.schema import prepare
from server.mongo.secrets import page_token_key
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
"""How long streams, calls and writes may take, all together, after the drain: a report takes MongoDB 20."""

CUT_SECONDS = 4.0
"""How long it takes at most to cut what is then left, and to end."""

_LAST_SECONDS = 0.1

_USERS = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]

_CAMPAIGNS = campaign_service_pb2.DESCRIPTOR.services_by_name["CampaignService"]

# Internal: they are not among the services that reflection shows.
_UPDATES = user_update_service_pb2.DESCRIPTOR.services_by_name["UserUpdateService"]
_CREDENTIALS = credential_service_pb2.DESCRIPTOR.services_by_name["CredentialService"]


async def serve(
    *,
    mongodb_uri: str,
    database: str,
    grpc_address: str,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    tls: CertificateFiles = NO_FILES,
    shares_address: bool = False,
    rate_limit: float = 0.0,
    drain_seconds: float = 0.0,
) -> None:
    """Serve until `stop` is set, say for `drain_seconds` that it is not ready, then finish what is in flight, for
    GRACE_SECONDS.

    `ready` is called with the address that is listened on.

    Other processes may listen on it too if it `shares_address`.

    Raises InvalidSetting where MongoDB cannot be used or the address not be listened on, or CertificateUnusable.
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
        queries, erasure = MongoProfileQueries(opened), MongoProfileErasure(opened)
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
            healthy = Health(_USERS.full_name, lambda: answers(opened))
            watching = asyncio.create_task(healthy.watch_database())
            try:
                stops = _Stopping(stop, drain_seconds, stopping, streams.ended)
                deadline = await _serve(dispatcher, healthy, grpc_address, stops, ready, tls, shares_address)
            finally:
                watching.cancel()
            # Writes that are under way, also of callers that went away.
            await _until(deadline, profiles.drain())
    finally:
        flush_reports()
        client.close()


@dataclass(frozen=True, slots=True)
class _Stopping:
    """`signal` is set from outside; `drain_seconds` later, `streams` is to be set, and their end waited for."""

    signal: asyncio.Event
    drain_seconds: float
    streams: asyncio.Event
    streams_ended: Callable[[], Awaitable[None]]


async def _serve(
    dispatcher: Dispatcher,
    healthy: Health,
    address: str,
    stopping: _Stopping,
    ready: Callable[[str], None],
    tls: CertificateFiles,
    shares_address: bool,
) -> float:
    """Serve until it is told to stop. Answers until when, by the loop's clock, what is left may take."""
    # gRPC's default is to share: two servers started on one port would not notice.
    server = grpc.aio.server(options=[*OPTIONS, ("grpc.so_reuseport", int(shares_address))])
    server.add_generic_rpc_handlers([dispatcher])
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    shown = (_USERS.full_name, _CAMPAIGNS.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(shown, server)
    secured = credentials(tls)
    try:
        port = server.add_secure_port(address, secured) if secured else server.add_insecure_port(address)
    except RuntimeError as error:
        raise cannot_listen(address) from error
    await server.start()
    ready(f"{address.rpartition(':')[0]}:{port}")
    await stopping.signal.wait()
    _log.info("stopping")
    await healthy.enter_graceful_shutdown()
    await asyncio.sleep(stopping.drain_seconds)
    # What never ends by itself: nothing more is read from streams, and what was read is acknowledged.
    stopping.streams.set()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + GRACE_SECONDS
    await _until(deadline, stopping.streams_ended())
    healthy.end_watches()
    # A connection that ends while its caller still sends takes the last word with it.
    await asyncio.sleep(_LAST_SECONDS)
    await _until(deadline + _LAST_SECONDS, server.stop(max(0.0, deadline - loop.time())))
    return deadline


async def _until(deadline: float, ends: Awaitable[None]) -> None:
    """Wait for an end that may not come, until a time of the loop's clock."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            await ends


def cannot_listen(address: str) -> InvalidSetting:
    """What to raise where the address of the server cannot be had."""
    return InvalidSetting(
        f"cannot listen on USERFOLD_GRPC_ADDRESS={address}: the port is taken, or the host is not of this machine"
    )
