"""The connection to the server: USERFOLD_GRPC_ADDRESS, the variables of TLS, and the token of USERFOLD_TOKEN."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Self, TypeVar

import grpc
from userfold.v1.campaign_service_pb2_grpc import CampaignServiceStub
from userfold.v1.company_service_pb2_grpc import CompanyServiceStub
from userfold.v1.metadata_service_pb2_grpc import MetadataServiceStub
from userfold.v1.refusal_service_pb2_grpc import RefusalServiceStub
from userfold.v1.user_service_pb2_grpc import UserServiceStub
from userfold.v1.visitor_service_pb2_grpc import VisitorServiceStub

from cli.failures import CommandFailed, ExitStatus
from cli.refusals import failure_of
from gateway.settings import Settings
from runtime.certificates import CertificateUnusable
from server.accounts.credentials import COLLECTOR_KEY_PREFIX

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

CALL_SECONDS: Final = 30.0
"""The deadline of a call: a report may take MongoDB 20 s."""

_MESSAGE_BYTES: Final = 32 * 1024 * 1024  # The server's own limit.


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server is, how it is called, and with which credential.

    `metadata` belongs to every call. It holds the token, so it is never printed.
    """

    address: str
    credentials: grpc.ChannelCredentials | None = field(repr=False)
    options: tuple[tuple[str, int | str], ...]
    metadata: tuple[tuple[str, str], ...] = field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The target that the variables name. Raises InvalidSetting or CommandFailed where they cannot be used."""
        try:
            settings = Settings.from_environment(environment)
            pem = settings.grpc_tls.read()
        except CertificateUnusable as error:
            raise CommandFailed(str(error), ExitStatus.USAGE) from None
        options: list[tuple[str, int | str]] = [
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            # The server is the operator's own: a proxy named by the environment is for hosts outside.
            ("grpc.enable_http_proxy", 0),
            # Commands that take long wait for a lost server, which may be back at once, or vanish without a word.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
        ]
        if settings.grpc_server_name:
            options.append(("grpc.ssl_target_name_override", settings.grpc_server_name))
        credentials = None
        if settings.grpc_tls.authorities:
            credentials = grpc.ssl_channel_credentials(pem.authorities, pem.key, pem.certificate)
        metadata = (("authorization", f"Bearer {_token(environment)}"),)
        return cls(settings.grpc_address, credentials, tuple(options), metadata)

    def channel(self) -> grpc.Channel:
        """A channel to the server."""
        if self.credentials is None:
            return grpc.insecure_channel(self.address, self.options)
        return grpc.secure_channel(self.address, self.credentials, self.options)

    def aio_channel(self) -> grpc.aio.Channel:
        """A channel for the running event loop."""
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.address, self.options)
        return grpc.aio.secure_channel(self.address, self.credentials, self.options)


class Connection:
    """The services of the server, on one channel."""

    def __init__(self, target: Target, channel: grpc.Channel) -> None:
        self.metadata: Final = target.metadata
        self.users: Final = UserServiceStub(channel)
        self.companies: Final = CompanyServiceStub(channel)
        self.visitors: Final = VisitorServiceStub(channel)
        self.campaigns: Final = CampaignServiceStub(channel)
        self.metadata_catalogues: Final = MetadataServiceStub(channel)
        self.refusals: Final = RefusalServiceStub(channel)

    def call(
        self,
        method: "grpc.UnaryUnaryMultiCallable[_Request, _Response]",
        request: _Request,
        seconds: float = CALL_SECONDS,
    ) -> _Response:
        """Call a method with the credential. Raises grpc.RpcError, which `connected` translates."""
        return method(request, timeout=seconds, metadata=self.metadata)


@contextmanager
def connected(environment: Mapping[str, str] | None = None) -> Iterator[Connection]:
    """A connection for the block. Raises CommandFailed, also for every error of gRPC that the block raises."""
    target = Target.from_environment(os.environ if environment is None else environment)
    with target.channel() as channel:
        try:
            yield Connection(target, channel)
        except grpc.RpcError as error:
            raise failure_of(error, target.address) from None


def _token(environment: Mapping[str, str]) -> str:
    token = environment.get("USERFOLD_TOKEN", "").strip()
    if not token:
        raise CommandFailed(
            "set USERFOLD_TOKEN to a management token, such as one of `userfold applications create-token`",
            ExitStatus.USAGE,
        )
    if token.startswith(COLLECTOR_KEY_PREFIX):
        raise CommandFailed(
            f"USERFOLD_TOKEN holds a collector key ({COLLECTOR_KEY_PREFIX}...), which can only send updates:"
            " set it to a management token",
            ExitStatus.USAGE,
        )
    if not (token.isascii() and token.isprintable()):
        raise CommandFailed("USERFOLD_TOKEN must be one line of printable ASCII characters", ExitStatus.USAGE)
    return token
