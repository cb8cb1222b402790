"""What the gRPC server speaks over: HTTP/2 within bounds, and TLS with certificates that may change."""

from typing import Any, Final

import grpc

from runtime.certificates import CertificateFiles, Pem, Reloaded
from server.limits import MESSAGE_BYTES

OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    # Two credentials of 4 KiB and what gRPC itself adds. Between a soft and a hard limit, gRPC would refuse at random.
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    # Calls at once on one connection: what a busy gateway has under way, and a quarter of what a server serves at once.
    # More wait with their caller, at no cost to others; by default there is no limit.
    ("grpc.max_concurrent_streams", 250),
    # Calls that wait to be taken up. Beyond 1,000, gRPC's default, it would reject some at random, whoever sent them,
    # with a CANCELLED that tells nothing. Taken up, a call that finds no room is refused as it should be.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    # Internal callers need one connection each. More are closed at once, before they cost memory for HTTP/2 or TLS.
    ("grpc.max_allowed_incoming_connections", 500),
    # Two minutes by default, in which whoever sends nothing would hold one of those.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 300_000),
    # None is closed for its age: a producer's stream has no end, and would be cut in the middle.
    # A caller that vanished without a word, or was stopped, is found out.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Callers may do the same, as the gateway does every 30 s. Who pings more often is told to calm down, and closed.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
    ("grpc.http2.max_ping_strikes", 2),
)
"""The options of the server. Those of its callers must fit: `gateway/upstream/channel.py`."""


def credentials(files: CertificateFiles) -> grpc.ServerCredentials | None:
    """TLS with these certificates, each handshake with what the files hold at the time; None where there are none.

    Where authorities are named, callers must show a certificate of theirs. Raises CertificateUnusable.
    """
    if files.certificate is None:
        return None
    certificates = Reloaded(files, _configuration)
    used = certificates.current()

    def exchanged() -> Any:
        """What is to be used from now on, if it is not what is used. gRPC asks at each handshake."""
        nonlocal used
        before, used = used, certificates.current()
        return None if used is before else used

    return grpc.dynamic_ssl_server_credentials(
        used, exchanged, require_client_authentication=files.authorities is not None
    )


def _configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
    pair = (pem.key or b"", pem.certificate or b"")
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=pem.authorities)
