"""Messages between a connection and the application: requests, responses, and rejections by the connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Final

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus} | {499: "Client Closed Request"}
_NO_CONTENT: Final = 204

_ORIGIN: Final = "access-control-allow-origin: *"
"""On every response, with an Origin or not: a cache must not serve a response without it to a browser."""

_EXPOSED: Final = frozenset({"accept-encoding", "allow", "retry-after", "www-authenticate"})
"""Headers of responses that pages may read besides those that they always may."""


# Not frozen: one is created for every request, and assigning the fields of a frozen dataclass is slower.
@dataclass(slots=True)
class Request:
    """One whole request.

    `path` and `query` are percent-encoded, as the client sent them. `headers` have lower-case names. A header that is
    repeated has its first value; one that is a list has its lines joined by commas, `forwarded` by line feeds.
    `client` is the address of the peer, empty where there is none.
    """

    method: str
    path: bytes
    query: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    client: str = ""


@dataclass(slots=True)
class Response:
    """One response. The connection adds Content-Length, Date, and the headers of cross-origin requests.

    With `connection: close` among the headers, it is the last one on its connection.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    _head: bytes = field(default=b"", init=False, repr=False, compare=False)
    """The status line and the headers, once they have been encoded: a constant response is sent many times."""

    def to_bytes(self, date: bytes, *, closes: bool = False, is_head: bool = False) -> bytes:
        """The response with the whole header line `date`, and `connection: close` where it `closes` the connection.

        The response to HEAD has no body, and the Content-Length of the one to GET.
        """
        if not self._head:
            self._head = self._encoded_head()
        close = b"connection: close\r\n" if closes and "connection" not in self.headers else b""
        return b"%b%b%b\r\n%b" % (self._head, close, date, b"" if is_head else self.body)

    def _encoded_head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {_PHRASES[self.status]}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status != _NO_CONTENT:
            lines.append(f"content-length: {len(self.body)}")
        if exposed := [name for name in self.headers if name in _EXPOSED]:
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
