"""Cross-origin requests from browsers: every answer may be read by every page, and no cookies are used."""

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response

ORIGIN: Final = ("access-control-allow-origin", "*")
"""On every answer, with an Origin or not: a cache must not serve an answer without it to a browser."""

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_HEADERS = "authorization, content-encoding, content-type, x-moesif-application-id, x-moesif-sdk"


def preflight(asked: Headers) -> Response:
    """The answer to OPTIONS, which allows everything that is asked for."""
    return Response(
        status_code=204,
        headers={
            "access-control-allow-methods": _METHODS,
            "access-control-allow-headers": asked.get("access-control-request-headers", _HEADERS),
            "access-control-max-age": "86400",
            "vary": "access-control-request-headers",
            ORIGIN[0]: ORIGIN[1],
        },
    )
