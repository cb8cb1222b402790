"""Where a request comes from, as log lines, refusals and traces show it.

Request ids, traces and client libraries are what callers send. What does not have the form of one is dropped before it
is passed on or logged.
"""

import ipaddress
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from runtime.client_library import client_library

REQUEST_ID: Final = "x-request-id"
TRACEPARENT: Final = "traceparent"
CLIENT_LIBRARY: Final = "x-userfold-client-library"
"""The metadata of a call with an origin, as a gateway sends it. The first two are headers of HTTP, too."""


# Of version 00, which every later version begins with (W3C Trace Context, section 4).
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}(-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?:-.{0,128})?")

ID_CHARACTERS: Final = 128
"""The limit of a request id."""

_REQUEST_ID = re.compile(f"[A-Za-z0-9._~:+/=-]{{1,{ID_CHARACTERS}}}")

EXAMPLES: Final = 20
"""Request ids in one log line."""

_EXEMPLAR_CHARACTERS: Final = 128

_SENT_CHARACTERS: Final = 512
"""The limit of what is examined."""

_ABSENT: Final = "-"


class Addresses(StrEnum):
    """How much of a client's address log lines show. An address is personal data."""

    NONE = "none"
    TRUNCATED = "truncated"
    """The network of the client: the first 24 bits of an IPv4 address, 48 of an IPv6 address."""
    FULL = "full"

    def shown(self, address: str | None) -> str:
        """What is shown of a client's address; empty where that is nothing."""
        if not address or self is Addresses.NONE:
            return ""
        try:
            parsed = ipaddress.ip_address(address)
            if self is Addresses.FULL:
                return str(parsed)
            return str(ipaddress.ip_network(f"{parsed}/{24 if parsed.version == 4 else 48}", strict=False))
        except ValueError:  # It is no address, or has a zone.
            return ""


# Not frozen: one is created for every request, and assigning the fields of a frozen dataclass is slower.
@dataclass(slots=True)
class Origin:
    """The origin of one request. `traceparent` and `client_library` are empty where they are unknown.

    `application` and `credential` are ids that operators know, `client_address` is as much of the address as the
    settings let the log show. `more` are the ids of further requests, which were sent in the same call.
    """

    request_id: str
    traceparent: str = ""
    client_library: str = ""
    application: str = ""
    credential: str = ""
    client_address: str = ""
    more: tuple[str, ...] = ()

    @property
    def trace_id(self) -> str:
        """The id of the trace, empty where there is none."""
        return self.traceparent[3:35]

    def of(self, application: str, credential: str, client_address: str) -> "Origin":
        """The same request, from an application."""
        return replace(self, application=application, credential=credential, client_address=client_address)

    def fields(self) -> dict[str, Any]:
        """What is known, as the fields of a log line."""
        known = {
            "application": self.application,
            "credential": self.credential,
            "client_address": self.client_address,
            "client_library": self.client_library,
            "request_id": self.request_id,
            "trace_id": self.trace_id,
        }
        return {name: value for name, value in known.items() if value}

    def exemplar(self) -> dict[str, str]:
        """What a counter shows as an example of what it counts, in the OpenMetrics format: 128 characters at most."""
        known = {"request_id": self.request_id, "trace_id": self.trace_id}
        shown = {name: value for name, value in known.items() if value}
        return shown if sum(len(name) + len(value) for name, value in shown.items()) <= _EXEMPLAR_CHARACTERS else {}

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call passes on."""
        sent = [(REQUEST_ID, self.request_id)]
        if self.traceparent:
            sent.append((TRACEPARENT, self.traceparent))
        if self.client_library:
            sent.append((CLIENT_LIBRARY, self.client_library))
        return tuple(sent)

    def packed(self) -> str:
        """What a call passes on of one of several requests, as one string."""
        if not (self.traceparent or self.client_library):
            return self.request_id
        return f"{self.request_id} {self.client_library or _ABSENT} {self.traceparent or _ABSENT}"


def fields_of(origins: Sequence[Origin]) -> dict[str, Any]:
    """The fields of a log line for several requests of one application: all of one, of more only what they share."""
    # The items of one batch have the same id.
    ids = list(dict.fromkeys(each for origin in origins for each in (origin.request_id, *origin.more)))[:EXAMPLES]
    if len(ids) == 1:
        return origins[0].fields()
    known = {"application": origins[0].application if origins else "", "request_ids": ids}
    return {name: value for name, value in known.items() if value}


def origin(request_id: str, traceparent: str = "", library: str = "") -> Origin:
    """The origin by what was sent, and a client library that is known to be one.

    A request id that has not the form of one is replaced, a `traceparent` left out.
    """
    return Origin(
        request_id if _REQUEST_ID.fullmatch(request_id) else new_request_id(),
        valid_traceparent(traceparent) if traceparent else "",
        library,
    )


def unpacked(packed: str) -> Origin:
    """The origin of one of several requests."""
    request_id, library, traceparent, *_ = (*packed[:_SENT_CHARACTERS].split(" ", 3), "", "")
    return origin(request_id, traceparent, client_library(library) if library != _ABSENT else "")


def with_origins_of_items(call: Origin, packed: Sequence[str]) -> Origin:
    """The origin of a call with the ids of the requests that it carries, if it carries any."""
    origins = [unpacked(each) for each in packed[:EXAMPLES]]
    if not origins:
        return call
    first = origins[0].of(call.application, call.credential, "")
    first.more = tuple(each.request_id for each in origins[1:])
    return first


def origin_from_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> Origin:
    """The origin of a call. Its library is the one that a gateway names, else that of the caller itself."""
    sent = {name: value for name, value in metadata if name in _SENT and isinstance(value, str)}
    library = (sent.get(CLIENT_LIBRARY) or sent.get("user-agent", ""))[:_SENT_CHARACTERS]
    return origin(sent.get(REQUEST_ID, ""), sent.get(TRACEPARENT, ""), client_library(library))


_SENT: Final = frozenset({REQUEST_ID, TRACEPARENT, CLIENT_LIBRARY, "user-agent"})


def new_request_id() -> str:
    """A new request id: 24 hexadecimal digits. It is unique, and no secret."""
    return random.getrandbits(96).to_bytes(12).hex()


def valid_traceparent(sent: str) -> str:
    """A `traceparent` of version 00; empty where none was sent, or something else."""
    valid = _TRACEPARENT.fullmatch(sent) if len(sent) <= _SENT_CHARACTERS else None
    return f"00{valid[1]}" if valid else ""
