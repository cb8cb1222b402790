"""Preflight requests from browsers: every page may send any request and read its response. No cookies are used."""

from collections.abc import Mapping
from typing import Final

from gateway.http.content_encoding import OBJECT_BYTES
from gateway.http.handler import Body, Respond
from gateway.http.messages import Request, Response

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_HEADERS = (
    "authorization, content-encoding, content-type, traceparent, x-moesif-application-id, x-moesif-sdk, x-request-id"
)


class Preflight:
    """The exchange of an OPTIONS request, whose response allows everything that the request asks for."""

    body: Final = Body.DISCARDED
    body_limit: Final = OBJECT_BYTES

    def handle(self, request: Request, respond: Respond) -> None:
        """Respond."""
        respond(preflight(request.headers))

    def abandon(self) -> None:
        """There is nothing to stop."""


def preflight(headers: Mapping[bytes, bytes]) -> Response:
    """The response to OPTIONS with these headers."""
    requested = headers.get(b"access-control-request-headers")
    return Response(
        204,
        {
            "access-control-allow-methods": _METHODS,
            "access-control-allow-headers": requested.decode("latin-1") if requested else _HEADERS,
            "access-control-max-age": "86400",
            "vary": "access-control-request-headers",
        },
    )
