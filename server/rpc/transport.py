"""The transport of the gRPC server: the limits of HTTP/2, and TLS with certificates that may change."""

from typing import Any, Final

import grpc

from runtime.certificates import CertificateFiles, Pem, Reloaded
from server import metrics
from server.limits import MESSAGE_BYTES

OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    # Two credentials of 4 KiB and what gRPC adds. Equal, because gRPC refuses at random between the soft and the hard
    # limit.
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    # Concurrent calls on one connection: what a busy gateway has in flight, and an eighth of `limits.CALLS`. Further
    # calls wait at the client. By default there is no limit.
    ("grpc.max_concurrent_streams", 250),
    # Calls that gRPC queues before it asks for a handler. Beyond 1,000, its default, gRPC rejects calls of any client
    # at random, as CANCELLED and without a reason. With a handler, a call without room is refused with OVERLOADED.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    # Internal clients need one connection each. Further ones are closed before they take memory for HTTP/2 or TLS.
    ("grpc.max_allowed_incoming_connections", 500),
    # Two minutes by default, during which a client that sends nothing would hold one of these connections.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 300_000),
    # Clients then connect again, and a balancer of TCP connections may choose another server. What is in flight on the
    # old connection is not interrupted: without a grace period, it has all the time that it takes, as streams do.
    ("grpc.max_connection_age_ms", 300_000),
    # Pings find clients that vanished without closing their connection.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Clients may ping too, as the gateway does every 30 s. The connection of one that pings more often is closed.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
    ("grpc.http2.max_ping_strikes", 2),
)
"""The options of the gRPC server. Those of its clients must match: see `gateway/upstream/channel.py`."""


def credentials(files: CertificateFiles) -> grpc.ServerCredentials | None:
    """TLS with the certificate in these files, read again when they change; None where no certificate is set.

    Where authorities are set, clients must present a certificate that one of them signed. Raises CertificateUnusable.
    """
    if files.certificate is None:
        return None
    certificates = Reloaded(files, _configuration, metrics.note_certificates)
    current = certificates.current()

    def changed() -> Any:
        """The new configuration; None where it has not changed. gRPC calls this for each handshake."""
        nonlocal current
        previous, current = current, certificates.current()
        return None if current is previous else current

    return grpc.dynamic_ssl_server_credentials(
        current, changed, require_client_authentication=files.authorities is not None
    )


def _configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
    pair = (pem.key or b"", pem.certificate or b"")
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=pem.authorities)
