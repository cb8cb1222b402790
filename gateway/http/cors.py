"""Cross-origin requests from browsers: every answer may be read by every page, and no cookies are used."""

from collections.abc import Mapping
from typing import Final

from gateway.errors.answer import Answer

ORIGIN: Final = ("access-control-allow-origin", "*")
"""On every answer, with an Origin or not: a cache must not serve an answer without it to a browser."""

EXPOSED: Final = frozenset({"accept-encoding", "allow", "retry-after", "www-authenticate"})
"""Headers of answers that pages may read besides those that they always may."""

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_HEADERS = "authorization, content-encoding, content-type, x-moesif-application-id, x-moesif-sdk"


def preflight(headers: Mapping[bytes, bytes]) -> Answer:
    """The answer to OPTIONS, which allows everything that is asked for."""
    asked = headers.get(b"access-control-request-headers")
    return Answer(
        204,
        None,
        {
            "access-control-allow-methods": _METHODS,
            "access-control-allow-headers": asked.decode("latin-1") if asked else _HEADERS,
            "access-control-max-age": "86400",
            "vary": "access-control-request-headers",
        },
    )
