"""The address of a client whose request was forwarded by the operator's proxies."""

import functools
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

HOPS: Final = 32
"""How many proxies are considered, from the right end."""

_ELEMENT_CHARACTERS = 1024  # Four parameters, the longest of which is a host.
_ADDRESS_CHARACTERS = 64
_BETWEEN = ", \t"

# RFC 7239, section 4: elements separated by `,`, their pairs by `;`, with values that are tokens or quoted strings. The
# elements are read from the right end of the reversed line: there, a quote followed by an odd number of backslashes is
# escaped.
_BACKWARDS = re.compile(r'((?:[^",]++|"(?:[^"]++|"\\(?:\\\\)*+(?!\\))*+")*+)(?:,|\Z)')
_PAIR = re.compile(r'[ \t]*+(?:([^\s=;"]++)=(?:"((?:[^"\\]|\\.)*+)"|([^";]*+)))?[ \t]*+(?:;|\Z)')


class TrustedProxies:
    """Proxies whose forwarding headers are trusted, as addresses and networks."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [_unmapped(ipaddress.ip_network(each)) for each in networks]
        # The cache's keys are addresses, which are short.
        self._trusts = functools.lru_cache(1024)(self._is_trusted)

    def client(self, peer: str, headers: Mapping[bytes, bytes]) -> str:
        """The address of the client in its canonical form; empty where it is no IP address.

        Each proxy appends the address of its own client at the right end. The first address from there that is no
        trusted proxy is the client; addresses further left may be forged, and are not read.

        `Forwarded` (RFC 7239) is read only where there is no `X-Forwarded-For`: a proxy that writes one of them passes
        on the other as its client sent it, and nearly all proxies write the latter.
        """
        client = canonical_address(peer)
        if not self._networks or not self._trusts(client):
            return client
        is_usual = bool(headers.get(b"x-forwarded-for"))
        for hop in islice(_forwarded_for(headers, is_usual=is_usual), HOPS):
            client = hop
            if not self._trusts(client):
                break
        return client

    def _is_trusted(self, address: str) -> bool:
        return bool(address) and any(ipaddress.ip_address(address) in network for network in self._networks)


def canonical_address(text: str) -> str:
    """An IP address in its canonical form; empty where it is none, as where a proxy writes `unknown`.

    An IPv4 address that is mapped into IPv6 (`::ffff:192.0.2.1`) is the IPv4 address. A zone (`%eth0`) is removed.
    """
    return _canonical(text) if len(text) <= _ADDRESS_CHARACTERS else ""


@functools.lru_cache(1024)
def _canonical(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.IPv6Address(int(address)))
    return str(address)


def _unmapped(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped:
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def _forwarded_for(headers: Mapping[bytes, bytes], *, is_usual: bool) -> Iterator[str]:
    """The address of each hop, from the right end; empty where a hop is no address. Empty elements are skipped."""
    if is_usual:
        left = headers[b"x-forwarded-for"].decode("latin-1")
        while left := left.rstrip(_BETWEEN):
            left, _, hop = left.rpartition(",")
            yield _host(hop.strip())
        return
    # Its lines are parsed one by one, so that an unclosed quote in one does not affect the next.
    for line in reversed(headers.get(b"forwarded", b"").decode("latin-1").split("\n")):
        for element in _elements_backwards(line[::-1]):
            yield _host(_for_value(element))


def _elements_backwards(line: str) -> Iterator[str]:
    """The elements of a reversed line. An element with an unclosed quote is the last one, and empty: what precedes it
    cannot be parsed."""
    while line := line.lstrip(_BETWEEN):
        element = _BACKWARDS.match(line, 0, _ELEMENT_CHARACTERS)
        if not element or not (element[0].endswith(",") or element.end() == len(line)):
            yield ""
            return
        yield element[1][::-1].strip()
        line = line[element.end() :]


def _for_value(element: str) -> str:
    """The value of `for` in an element of `Forwarded`; empty where there is none, or the element is malformed."""
    value = ""
    at = 0
    while at < len(element):
        pair = _PAIR.match(element, at)
        if pair is None:
            return ""
        name, quoted, token = pair.groups()
        if name and name.lower() == "for":
            if value:
                return ""
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else token.strip()
        at = pair.end()
    return value


def _host(hop: str) -> str:
    """The address of a hop, which may have a port: `192.0.2.1:80`, `[2001:db8::1]:80`."""
    if hop.startswith("["):
        host, end, port = hop[1:].partition("]")
        return canonical_address(host) if end and (not port or port.startswith(":")) else ""
    return canonical_address(hop.partition(":")[0] if hop.count(":") == 1 else hop)
