"""The server put together: store, service, health and reflection on one gRPC server, from start to graceful stop."""

import asyncio
import gc
import time
from collections.abc import Callable

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from userfold.v1 import user_service_pb2

from processes.certificates import NO_FILES, CertificateFiles
from server import derive
from server.authentication import Authenticator
from server.group import GroupedProfileStore
from server.handlers import handlers_of
from server.pages import PageTokens
from server.service import UserService
from server.settings import InvalidSetting
from server.store import migrations
from server.store.applications import MongoApplicationStore
from server.store.database import connect, open_database
from server.store.erasure import MongoProfileErasure
from server.store.profiles import MongoProfileStore
from server.store.queries import MongoProfileQueries
from server.store.schema import prepare
from server.store.secrets import page_token_key
from server.transport import OPTIONS, credentials

_log = structlog.get_logger("userfold.server")

# How long requests in flight may take after the signal to stop, in seconds.
_GRACE = 10.0

_SERVICE = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]


async def serve(
    *,
    mongodb_uri: str,
    database: str,
    grpc_address: str,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    tls: CertificateFiles = NO_FILES,
    shares_address: bool = False,
) -> None:
    """Serve until `stop` is set, then finish what is in flight. `ready` is called with the address that is listened on.

    Other processes may listen on it too if it `shares_address`.

    Raises InvalidSetting where MongoDB cannot be used or the address not be listened on, or CertificateUnusable.
    """
    client = connect(mongodb_uri)
    try:
        opened = open_database(client, database)
        await prepare(opened, migrations.version_after(migrations.MIGRATIONS))
        await asyncio.to_thread(derive.warm)
        # What is there by now stays: no collection needs to look at it again.
        gc.freeze()
        authenticator = Authenticator(MongoApplicationStore(opened), time.monotonic, time.time)
        profiles = GroupedProfileStore(MongoProfileStore(opened))
        tokens = PageTokens(await page_token_key(opened))
        service = UserService(profiles, MongoProfileQueries(opened), MongoProfileErasure(opened), tokens, time.time_ns)
        async with migrations.serving(opened, migrations.MIGRATIONS):
            await _serve(service, authenticator, grpc_address, stop, ready, tls, shares_address)
            await profiles.drain()
    finally:
        client.close()


async def _serve(
    service: UserService,
    authenticator: Authenticator,
    address: str,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    tls: CertificateFiles,
    shares_address: bool,
) -> None:
    # gRPC's default is to share: two servers started on one port would not notice.
    server = grpc.aio.server(options=[*OPTIONS, ("grpc.so_reuseport", int(shares_address))])
    server.add_generic_rpc_handlers((handlers_of(_SERVICE, service, authenticator),))
    healthy = health.aio.HealthServicer()  # type: ignore[attr-defined]  # The stubs leave it out.
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    reflection.enable_server_reflection((_SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    secured = credentials(tls)
    try:
        port = server.add_secure_port(address, secured) if secured else server.add_insecure_port(address)
    except RuntimeError as error:
        raise cannot_listen(address) from error
    await server.start()
    for name in ("", _SERVICE.full_name):
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    ready(f"{address.rpartition(':')[0]}:{port}")
    await stop.wait()
    _log.info("stopping")
    await healthy.enter_graceful_shutdown()
    await server.stop(_GRACE)


def cannot_listen(address: str) -> InvalidSetting:
    """What to raise where the address of the server cannot be had."""
    return InvalidSetting(
        f"cannot listen on USERFOLD_GRPC_ADDRESS={address}: the port is taken, or the host is not of this machine"
    )
