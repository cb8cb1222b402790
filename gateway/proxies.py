"""Where a request came from, when it came through proxies of the operator's own."""

import functools
import ipaddress
from collections.abc import Iterable


class TrustedProxies:
    """Proxies whose `X-Forwarded-For` is believed: addresses and networks, as text."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(each) for each in networks]

    def client(self, peer: str, forwarded_for: bytes | None) -> str:
        """The address of the client, in its canonical form; empty where it is none.

        Each proxy adds the address that it was called from at the right end. The first from there that is no trusted
        proxy is the client; what is left of it is the client's own invention.
        """
        if not forwarded_for or not self._networks or not self._trusts(canonical_address(peer)):
            return canonical_address(peer)
        hops = [_host(each) for each in forwarded_for.decode("latin-1").split(",")]
        return next((hop for hop in reversed(hops) if not self._trusts(hop)), hops[0])

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
