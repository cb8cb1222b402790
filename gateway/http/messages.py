"""Messages between a connection and the application: requests, responses, and rejections by the connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from runtime.client_library import client_library
from runtime.reporting.origin import REQUEST_ID, TRACEPARENT, Origin, new_request_id, origin

if TYPE_CHECKING:
    from runtime.reporting.spans import Span

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus} | {499: "Client Closed Request"}
_NO_CONTENT: Final = 204

_ORIGIN: Final = "access-control-allow-origin: *"
"""On every response, with an Origin or not: a cache must not serve a response without it to a browser."""

_EXPOSED: Final = frozenset({"accept-encoding", "allow", "retry-after", "www-authenticate"})
"""Headers of responses that pages may read besides those that they always may, and the two of `Request.tag`."""

_REQUEST_ID: Final = REQUEST_ID.encode()
_TRACEPARENT: Final = TRACEPARENT.encode()
_SDK: Final = b"x-moesif-sdk"
_USER_AGENT: Final = b"user-agent"
"""The headers with the name of a client library. Browsers let a page set the first one alone."""

_READ: Final = 256
"""The bytes of these that are read."""


def library_in(headers: Mapping[bytes, bytes]) -> str:
    """The client library that sent these headers; empty where they name none."""
    agent, sdk = headers.get(_USER_AGENT, b""), headers.get(_SDK, b"")
    return _library(agent[:_READ], sdk[:_READ]) if agent or sdk else ""


# Nearly all requests have one of a few pairs. At most 256 pairs of 256 bytes each.
@lru_cache(maxsize=256)
def _library(agent: bytes, sdk: bytes) -> str:
    return client_library(agent.decode("latin-1"), sdk.decode("latin-1"))


# Not frozen: one is created for every request, and assigning the fields of a frozen dataclass is slower.
@dataclass(slots=True)
class Request:
    """One whole request.

    `path` and `query` are percent-encoded, as the client sent them. `headers` have lower-case names. A header that is
    repeated has its first value; one that is a list has its lines joined by commas, `forwarded` by line feeds.
    `client` is the address of the peer, empty where there is none. `span` is its span, where traces are written.
    """

    method: str
    path: bytes
    query: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    client: str = ""
    span: "Span | None" = None
    _origin: Origin | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def origin(self) -> Origin:
        """The id that the client gave the request, or a new one, its trace and its library."""
        known = self._origin
        if known is None:
            headers = self.headers
            library = library_in(headers)
            if _REQUEST_ID in headers or _TRACEPARENT in headers:
                request_id = headers.get(_REQUEST_ID, b"").decode("latin-1")
                known = origin(request_id, headers.get(_TRACEPARENT, b"").decode("latin-1"), library)
            else:
                known = Origin(new_request_id(), "", library)
            self._origin = known
        return known

    @property
    def tag(self) -> bytes:
        """The header lines of the response by which its request is found in logs and traces."""
        origin = self.origin
        line = b"x-request-id: %b\r\n" % origin.request_id.encode()
        return b"%btraceparent: %b\r\n" % (line, origin.traceparent.encode()) if origin.traceparent else line


@dataclass(slots=True)
class Response:
    """One response. The connection adds Content-Length, Date, the request id, and the headers of cross-origin requests.

    With `connection: close` among the headers, it is the last one on its connection.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    _head: bytes = field(default=b"", init=False, repr=False, compare=False)
    """The status line and the headers, once they have been encoded: a constant response is sent many times."""

    def to_bytes(self, date: bytes, tag: bytes = b"", *, closes: bool = False, is_head: bool = False) -> bytes:
        """The response with the whole header lines `date` and `tag`, and `connection: close` where it `closes` the
        connection.

        The response to HEAD has no body, and the Content-Length of the one to GET.
        """
        if not self._head:
            self._head = self._encoded_head()
        close = b"connection: close\r\n" if closes and "connection" not in self.headers else b""
        return b"%b%b%b%b\r\n%b" % (self._head, close, tag, date, b"" if is_head else self.body)

    def _encoded_head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {_PHRASES[self.status]}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status != _NO_CONTENT:
            lines.append(f"content-length: {len(self.body)}")
        exposed = [REQUEST_ID, TRACEPARENT, *[name for name in self.headers if name in _EXPOSED]]
        lines.append(f"access-control-expose-headers: {', '.join(exposed)}")
        lines.append(_ORIGIN)
        return "\r\n".join([*lines, ""]).encode("latin-1")


class Fault(Enum):
    """Why a connection refuses a request. The values are the reasons of the errors."""

    MALFORMED = "HTTP_MALFORMED"
    HEAD_TOO_LARGE = "HEAD_TOO_LARGE"
    HOST_INVALID = "HOST_INVALID"
    CREDENTIAL_REPEATED = "CREDENTIAL_AMBIGUOUS"
    UNSUPPORTED_TRANSFER_ENCODING = "UNSUPPORTED_TRANSFER_ENCODING"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    TOO_SLOW = "REQUEST_TOO_SLOW"
    TOO_MANY_PIPELINED = "OVERLOADED"
    TOO_MANY_CONNECTIONS = "TOO_MANY_CONNECTIONS"
    DEFECT = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request that the connection refuses. `limit` is that of the body in bytes; a DEFECT has its `cause`."""

    fault: Fault
    limit: int = 0
    cause: BaseException | None = None
