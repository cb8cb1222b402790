"""Limits of connections: time, size and number. Those of bodies are in `content_encoding.py`."""

from typing import Final

HELD_BYTES: Final = 256 * 1024 * 1024
"""What all connections together may hold: bodies until they are answered, responses that clients have not received."""

HANDSHAKE_SECONDS: Final = 10.0
"""How long the handshake of TLS may take, and its end."""

IDLE_SECONDS: Final = 75.0
"""How long a connection may wait for its next request."""

HEAD_SECONDS: Final = 20.0
"""How long the head of a request may take to arrive, from its first byte."""

BODY_SECONDS: Final = 60.0
"""How long a body may take to arrive."""

TAKE_SECONDS: Final = 20.0
TAKE_BYTES: Final = 128 * 1024
"""A client must receive so many bytes of a response, or its rest, in each period of so many seconds."""

SLOW_SECONDS: Final = 5.0
"""How long a client may receive nothing of its response before it may be cut off to make room."""

LARGE_BYTES: Final = 1024 * 1024
"""A larger response is held only where there is room for it."""

LINGER_SECONDS: Final = 2.0
"""How long the bytes that a client sends after its last response are read and discarded."""

QUIET_SECONDS: Final = 1.0
"""How long a connection must be idle to be closed when the gateway stops."""

HEAD_BYTES: Final = 64 * 1024
"""The limit of a request's head. The public API needs a few hundred bytes."""

DRAIN_BYTES: Final = 64 * 1024 * 1024
"""How much of a body that is too large is read and discarded: a client that is still sending could not receive the
response."""

DRAIN_SECONDS: Final = 5.0
"""How long that may take."""

PIECE_BYTES: Final = 128
"""Added to the size of each piece of such a body: chunks of one byte are work, too."""

HEADERS: Final = 100
"""The limit of headers, trailers included."""

PIPELINED: Final = 100
"""How many requests a client may send without waiting for a response."""
