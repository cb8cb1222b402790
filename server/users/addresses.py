"""IP addresses as strings."""

import ipaddress
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

MAX_LENGTH: Final = 64
"""Characters of an IP address: 45 of an IPv6 address that ends in an IPv4 address, and a zone. A longer string is no
address, and is not cached."""

_MAX_PEER_LENGTH = 128


def is_ip_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address."""
    return len(text) <= MAX_LENGTH and _address(text) is not None


def client_address(text: str) -> str | None:
    """The address of a client as it is stored, or None if `text` is none.

    An IPv4 address that is mapped into IPv6, as sockets for both report it, becomes the IPv4 address.
    """
    return _client_address(text) if len(text) <= MAX_LENGTH else None


def address_of_peer(peer: str) -> str | None:
    """The address in a peer of gRPC, such as `ipv4:192.0.2.1:4711`. None for a local socket."""
    return _address_of_peer(peer) if len(peer) <= _MAX_PEER_LENGTH else None


# Each cache holds at most 10,000 strings of at most 64 or 128 characters.
@lru_cache(maxsize=10_000)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@lru_cache(maxsize=10_000)
def _client_address(text: str) -> str | None:
    address = _address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return None if address is None else str(address)


@lru_cache(maxsize=10_000)
def _address_of_peer(peer: str) -> str | None:
    kind, _, address = peer.partition(":")
    return client_address(unquote(address).rpartition(":")[0].strip("[]")) if kind in ("ipv4", "ipv6") else None
