"""The network between the programs and the members: a TCP proxy before each member, which knows its clients.

The kernel's tables name the process whose socket has the port of a connection. So a single address for each member is
enough to separate any pair of processes.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_CHUNK = 64 * 1024


@dataclass(eq=False, slots=True)
class Rule:
    """What happens to data from a source to a target. `None` matches every name.

    Data is held until the rule ends, dropped with its connection, or delayed by `seconds`. With `replies`, the rule
    applies to the replies instead.
    """

    source: str | None
    target: str | None
    replies: bool = False
    drops_every: int = 0
    seconds: float | None = None
    lifted: asyncio.Event = field(default_factory=asyncio.Event)
    seen: int = 0


class Links:
    """All connections to the members. The proxies run in the event loop `loop` of another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ports: dict[str, int] = {}
        self._addresses: dict[str, str] = {}
        self._names: dict[int, str] = {}
        self._rules: list[Rule] = []
        self._servers: list[asyncio.Server] = []

    def know(self, name: str, pid: int) -> None:
        """Register the process `pid` under this name."""
        self._names = {each: known for each, known in self._names.items() if known != name} | {pid: name}

    def lead(self, name: str, port: int) -> str:
        """Forward the address of `name` to this port, and return the address."""
        self._ports[name] = port
        if name not in self._addresses:
            listening = asyncio.run_coroutine_threadsafe(self._listen(name), self._loop).result()
            self._addresses[name] = f"127.0.0.1:{listening}"
        return self._addresses[name]

    def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            self._loop.call_soon_threadsafe(server.close)

    @contextmanager
    def ruled(self, *rules: Rule) -> Iterator[None]:
        """Apply these rules during the block."""
        self._rules = [*self._rules, *rules]
        try:
            yield
        finally:
            self._rules = [rule for rule in self._rules if rule not in rules]
            for rule in rules:
                self._loop.call_soon_threadsafe(rule.lifted.set)

    async def _listen(self, name: str) -> int:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._carry(name, reader, writer)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _carry(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = self._name_of_client(writer.get_extra_info("peername")[1])
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._ports[target])
        except OSError:
            writer.transport.abort()
            return
        pumps = [
            asyncio.ensure_future(self._pump(source, target, reader, far_writer, replies=False)),
            asyncio.ensure_future(self._pump(source, target, far_reader, writer, replies=True)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for each in (writer, far_writer):
            each.transport.abort()

    async def _pump(
        self,
        source: str | None,
        target: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        replies: bool,
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                for rule in self._rules:
                    if (
                        rule.replies != replies
                        or rule.source not in (None, source)
                        or rule.target not in (None, target)
                    ):
                        continue
                    if rule.drops_every:
                        rule.seen += 1
                        if rule.seen % rule.drops_every == 0:
                            return
                    elif rule.seconds is None:
                        await rule.lifted.wait()
                    else:
                        await asyncio.sleep(rule.seconds)
                writer.write(chunk)
                await writer.drain()

    def _name_of_client(self, port: int) -> str | None:
        inode = _inode(port)
        for pid, name in self._names.items():
            with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
                if any(_link(entry) == f"socket:[{inode}]" for entry in entries):
                    return name
        return None


def apart(one: str | None, other: str) -> list[Rule]:
    """The rules that separate two processes, in both directions of a connection."""
    pairs = [(one, other), (other, one)]
    return [Rule(source, target, replies) for source, target in pairs for replies in (False, True)]


def _inode(port: int) -> str | None:
    """The inode of the connected loopback socket with this local port."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[1].endswith(f":{port:04X}") and words[3] != "0A":
            return words[9]
    return None


def _link(entry: os.DirEntry[str]) -> str:
    try:
        return os.readlink(entry.path)
    except OSError:
        return ""
