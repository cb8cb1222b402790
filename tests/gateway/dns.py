"""A DNS server for one name, whose addresses a test changes."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import Final, cast

_A: Final = 1
_ANSWER: Final = 0x8180
"""The flags of an answer without an error."""


class DnsServer(asyncio.DatagramProtocol):
    """Answers every question for IPv4 addresses with `addresses`, and any other one with nothing."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self.addresses = [*addresses]
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5
        (kind,) = struct.unpack_from("!H", data, end - 4)
        found = self.addresses if kind == _A else []
        # Each record names the name of the question, by its place in the message.
        records = b"".join(
            struct.pack("!HHHIH4s", 0xC00C, _A, 1, 0, 4, IPv4Address(address).packed) for address in found
        )
        head = data[:2] + struct.pack("!HHHHH", _ANSWER, 1, len(found), 0, 0)
        self._transport.sendto(head + data[12:end] + records, peer)

    def target(self, port: int) -> str:
        """The gRPC target of a port at the name, which is resolved by this server."""
        return f"dns://127.0.0.1:{self.port}/servers.test:{port}"


@asynccontextmanager
async def running_dns(*addresses: str) -> AsyncIterator[DnsServer]:
    """A DNS server on a free port."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: DnsServer(addresses), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
