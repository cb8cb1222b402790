"""A server that cannot serve yet: it answers health checks, and refuses everything else."""

from typing import Any

import grpc

from server.errors import DatabaseUnavailable
from server.rpc.error_status import TRAILER, error_status, status_from_error


class Unusable(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # It is generic in the stubs alone.
    """Refuses calls of all methods with DATABASE_UNAVAILABLE, before they are read."""

    def service(self, _handler_call_details: grpc.HandlerCallDetails) -> Any:
        # As a stream, since nothing of a request is needed: a call with one message looks the same on the wire.
        return grpc.stream_stream_rpc_method_handler(_refuse)


async def _refuse(_: Any, context: Any) -> None:
    error = DatabaseUnavailable()
    status = status_from_error(error)
    await context.abort(error_status(error).code, status.message, ((TRAILER, status.SerializeToString()),))
