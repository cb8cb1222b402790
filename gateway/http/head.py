"""The rules for the head of a request that the parser does not check (RFC 9110 and 9112)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import httptools

from gateway.http.messages import Fault

LISTS: Final[Mapping[bytes, bytes]] = {
    b"connection": b",",
    b"content-encoding": b",",
    b"expect": b",",
    b"transfer-encoding": b",",
    b"x-forwarded-for": b",",
    # A line feed, which no value holds: an unclosed quote in one line must not swallow the next.
    b"forwarded": b"\n",
}
"""Headers that are lists, with the separator that joins their lines."""

ONCE: Final[Mapping[bytes, Fault]] = {
    b"host": Fault.HOST_INVALID,
    b"x-moesif-application-id": Fault.CREDENTIAL_REPEATED,
    b"authorization": Fault.CREDENTIAL_REPEATED,
}
"""Headers that a request may have once, with the fault of a request that repeats one."""

# RFC 3986, section 3.2.2. An empty host is one, too.
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:._~%-]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]{0,5})?")


def is_host(value: bytes) -> bool:
    """Whether a Host header holds a host, with or without a port."""
    return _HOST.fullmatch(value) is not None


def fault_of_transfer_encoding(value: bytes, version: str) -> Fault | None:
    """Why a Transfer-Encoding is refused; None for `chunked` alone, which the parser decodes."""
    codings = [coding.strip() for coding in value.lower().split(b",")]
    if version == "1.0" or codings[-1] != b"chunked":
        return Fault.MALFORMED
    return None if len(codings) == 1 else Fault.UNSUPPORTED_TRANSFER_ENCODING


def expects_continue(value: bytes) -> bool:
    """Whether an Expect header asks for `100 Continue`."""
    return any(each.strip() == b"100-continue" for each in value.lower().split(b","))


def path_and_query(method: str, target: bytes) -> tuple[bytes, bytes] | None:
    """The path and the query of a request's target (RFC 9112, section 3.2); None where it is malformed.

    `*` is the path of an OPTIONS request that names no path.
    """
    if not target.startswith(b"/"):
        if target == b"*":
            return (target, b"") if method == "OPTIONS" else None
        try:
            url = httptools.parse_url(target)
        except httptools.HttpParserInvalidURLError:
            return None
        # The attributes are bytes or None; the type stubs say str.
        parts: Any = url
        if not parts.host or parts.userinfo or parts.fragment or parts.schema.lower() not in (b"http", b"https"):
            return None
        return url.path or b"/", url.query or b""
    path, _, query = target.partition(b"?")
    return None if b"#" in target else (path, query)


def without_upgrade(start: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The bytes of a head with this start line and these headers, but for `Upgrade`."""
    lines = [start]
    for name, value in headers:
        if name != b"upgrade":
            lines += [b"%s: %s" % (name, line) for line in value.split(b"\n")]
    return b"\r\n".join(lines) + b"\r\n\r\n"
