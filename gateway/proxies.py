"""Where a request came from, when it came through proxies of the operator's own."""

import functools
import ipaddress
import re
from collections.abc import Iterable, Mapping

# RFC 7239, section 4: elements by `,`, their pairs by `;`, values that are tokens or quoted texts.
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*"?)+')
_PAIR = re.compile(r'([^\s=;"]+)=(?:"((?:[^"\\]|\\.)*)"|([^;"]*))')


class TrustedProxies:
    """Proxies that are believed whom they forward for: addresses and networks, as text."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(each) for each in networks]

    def client(self, peer: str, headers: Mapping[bytes, bytes]) -> str:
        """The address of the client, in its canonical form; empty where it is none.

        Each proxy adds the address that it was called from at the right end. The first from there that is no trusted
        proxy is the client; what is left of it is the client's own invention.

        `X-Forwarded-For` counts, and `Forwarded` (RFC 7239) only without it: a proxy that writes the one passes on
        what a client says in the other, and nearly all write the former.
        """
        if not self._networks or not self._trusts(canonical_address(peer)):
            return canonical_address(peer)
        if listed := headers.get(b"x-forwarded-for"):
            hops = [_host(each) for each in listed.decode("latin-1").split(",")]
        elif forwarded := headers.get(b"forwarded"):
            hops = [_host(_forwarded_for(each)) for each in _ELEMENT.findall(forwarded.decode("latin-1"))]
        else:
            return canonical_address(peer)
        return next((hop for hop in reversed(hops) if not self._trusts(hop)), hops[0] if hops else "")

    def _trusts(self, address: str) -> bool:
        return bool(address) and any(ipaddress.ip_address(address) in network for network in self._networks)


@functools.lru_cache(1024)
def canonical_address(text: str) -> str:
    """An IP address in its one form; empty where it is none, as where a proxy writes `unknown`."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _host(hop: str) -> str:
    """The address of a hop, which may be followed by a port: `192.0.2.1:80`, `[2001:db8::1]:80`."""
    hop = hop.strip()
    if hop.startswith("["):
        return canonical_address(hop[1:].partition("]")[0])
    return canonical_address(hop.partition(":")[0] if hop.count(":") == 1 else hop)


def _forwarded_for(element: str) -> str:
    """Whom an element of `Forwarded` says that it is for; empty where it says nothing."""
    pairs = {name.lower(): quoted or token for name, quoted, token in _PAIR.findall(element)}
    return re.sub(r"\\(.)", r"\1", pairs.get("for", ""))
