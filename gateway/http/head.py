"""What the head of a request must be like beyond what the parser makes sure of (RFC 9110 and 9112)."""

import re
from collections.abc import Mapping
from typing import Any, Final

import httptools

LISTS: Final[Mapping[bytes, bytes]] = {
    b"connection": b",",
    b"content-encoding": b",",
    b"expect": b",",
    b"transfer-encoding": b",",
    b"x-forwarded-for": b",",
    # A line feed, which no value holds: an unclosed quote in one line must not swallow the next.
    b"forwarded": b"\n",
}
"""Headers that are lists, with what joins their lines."""

ONCE: Final[Mapping[bytes, str]] = {
    b"host": "HOST_INVALID",
    b"x-moesif-application-id": "CREDENTIAL_AMBIGUOUS",
    b"authorization": "CREDENTIAL_AMBIGUOUS",
}
"""Headers that a request may have once, with the reason of the refusal."""

# RFC 3986, section 3.2.2. An empty host is one, too.
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:._~%-]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]{0,5})?")


def is_host(value: bytes) -> bool:
    """Whether it is a host, with a port or without one."""
    return _HOST.fullmatch(value) is not None


def fault_of_transfer_encoding(value: bytes, version: str) -> str | None:
    """The reason to refuse a Transfer-Encoding; None for `chunked` alone, which the parser takes off."""
    codings = [coding.strip() for coding in value.lower().split(b",")]
    if version == "1.0" or codings[-1] != b"chunked":
        return "HTTP_MALFORMED"
    return None if len(codings) == 1 else "UNSUPPORTED_TRANSFER_ENCODING"


def expects_continue(value: bytes) -> bool:
    """Whether an Expect header asks for `100 Continue`."""
    return any(each.strip() == b"100-continue" for each in value.lower().split(b","))


def path_and_query(method: str, target: bytes) -> tuple[bytes, bytes] | None:
    """The path and the query of a request's target (RFC 9112, section 3.2); None where it is malformed.

    `*` is the path of an OPTIONS that asks about no path.
    """
    if not target.startswith(b"/"):
        if target == b"*":
            return (target, b"") if method == "OPTIONS" else None
        try:
            url = httptools.parse_url(target)
        except httptools.HttpParserInvalidURLError:
            return None
        # What the stubs take for texts are bytes, or nothing.
        parts: Any = url
        if not parts.host or parts.userinfo or parts.fragment or parts.schema.lower() not in (b"http", b"https"):
            return None
        return url.path or b"/", url.query or b""
    path, _, query = target.partition(b"?")
    return None if b"#" in target else (path, query)
