"""Accepts the connections of a bound socket, until it is stopped."""

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import Callable
from typing import Final

BACKLOG: Final = 2048
"""How many connections the kernel keeps until they are accepted."""

_SO_ATTACH_FILTER = 26
_ACCEPTED_PER_TURN = 100  # Of the event loop.
_PAUSE_SECONDS = 0.1


class Acceptor:
    """Passes each connection of a bound socket to `take`, which owns it then. Belongs to the running event loop."""

    # asyncio's own server has no limit of connections: `take` decides about each.
    def __init__(self, listening: socket.socket, take: Callable[[socket.socket], object]) -> None:
        self._listening = listening
        self._take = take
        self._is_accepting = False

    def start(self) -> None:
        """Begin to accept."""
        self._listening.setblocking(False)
        self._is_accepting = True
        self._resume()

    async def stop(self, until: float) -> None:
        """Accept the connections in the backlog, which the kernel would reset, and close the socket. By the loop's
        clock, it waits until `until` at most where the machine has no file descriptors left."""
        loop = asyncio.get_running_loop()
        self._is_accepting = False
        loop.remove_reader(self._listening)
        _connect_no_more(self._listening)
        # Clients that keep connecting must not keep it open.
        for _ in range(2 * BACKLOG // _ACCEPTED_PER_TURN):
            accepted = self._accept_some()
            if accepted is None and loop.time() < until:
                await asyncio.sleep(_PAUSE_SECONDS)
            elif accepted is None or accepted < _ACCEPTED_PER_TURN:
                break
            await asyncio.sleep(0)
        self._listening.close()

    def _resume(self) -> None:
        if self._is_accepting:
            asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        if self._accept_some() is None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listening)
            loop.call_later(_PAUSE_SECONDS, self._resume)

    def _accept_some(self) -> int | None:
        """How many connections were accepted: the maximum of one turn, or fewer where no more are pending; None where
        the machine has no file descriptors or no memory left."""
        for number in range(_ACCEPTED_PER_TURN):
            try:
                accepted, _ = self._listening.accept()
            except BlockingIOError:
                return number
            except ConnectionError:  # The client has gone already.
                continue
            except OSError:
                return None
            self._take(accepted)
        return _ACCEPTED_PER_TURN


def _connect_no_more(listening: socket.socket) -> None:
    """Let no further client connect, while connections in the backlog can still be accepted. On Linux alone: elsewhere
    a client that connects between the last accept and the close is cut off."""
    # A packet filter of one instruction: drop every packet. A client tries again, and its connection is refused.
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    with contextlib.suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(instruction)))
