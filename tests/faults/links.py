"""The network between the programs and the members: a TCP proxy before each member, which knows who connects.

Who that is, the kernel tells: the process whose socket has the port that the connection comes from. So one address for
each member, the same for all, is enough to cut any pair apart.
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
    """What happens to the chunks from a source to a target, both by name, `None` for anyone.

    They are held until the rule is lifted, dropped with their connection, or delayed by `seconds`. Where `replies`, it
    is those that this happens to.
    """

    source: str | None
    target: str | None
    replies: bool = False
    drops_every: int = 0
    seconds: float | None = None
    lifted: asyncio.Event = field(default_factory=asyncio.Event)
    seen: int = 0


class Links:
    """All connections to the members. Its proxies run on the event loop `loop`, which another thread runs."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ports: dict[str, int] = {}
        self._addresses: dict[str, str] = {}
        self._names: dict[int, str] = {}
        self._rules: list[Rule] = []
        self._servers: list[asyncio.Server] = []

    def know(self, name: str, pid: int) -> None:
        """The process `pid` is the one that is called `name`."""
        self._names = {each: known for each, known in self._names.items() if known != name} | {pid: name}

    def lead(self, name: str, port: int) -> str:
        """The address of `name`, which from now on leads to this port."""
        self._ports[name] = port
        if name not in self._addresses:
            listening = asyncio.run_coroutine_threadsafe(self._listen(name), self._loop).result()
            self._addresses[name] = f"127.0.0.1:{listening}"
        return self._addresses[name]

    def close(self) -> None:
        """Listen no longer."""
        for server in self._servers:
            self._loop.call_soon_threadsafe(server.close)

    @contextmanager
    def ruled(self, *rules: Rule) -> Iterator[None]:
        """With these rules."""
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
        source = self._owner(writer.get_extra_info("peername")[1])
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

    def _owner(self, port: int) -> str | None:
        inode = _inode(port)
        for pid, name in self._names.items():
            with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
                if any(_link(entry) == f"socket:[{inode}]" for entry in entries):
                    return name
        return None


def apart(one: str | None, other: str) -> list[Rule]:
    """The rules that cut two apart, whoever of them has connected."""
    pairs = [(one, other), (other, one)]
    return [Rule(source, target, replies) for source, target in pairs for replies in (False, True)]


def _inode(port: int) -> str | None:
    """The socket on the loopback that has this local port and is no listener's."""
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
