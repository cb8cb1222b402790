"""The limits of what connections may send, hold and take. Those of bodies: `gateway/http/content_encoding.py`."""

from typing import Final

HELD_BYTES: Final = 256 * 1024 * 1024
"""What all connections may hold at once: bodies until they are answered, answers that their clients do not take."""

HANDSHAKE_SECONDS: Final = 10.0
"""How long a client may take to agree on TLS, and to take leave of it."""

IDLE_SECONDS: Final = 75.0
"""How long a connection may wait for its next request."""

HEAD_SECONDS: Final = 20.0
"""How long the head of a request may take to arrive, from its first byte."""

BODY_SECONDS: Final = 60.0
"""How long a body may take to arrive."""

TAKE_SECONDS: Final = 20.0
TAKE_BYTES: Final = 128 * 1024
"""How long a client may take for so many bytes of an answer, or for its rest: one that is slow and goes on is served,
one that stands still is cut off."""

SLOW_SECONDS: Final = 5.0
"""How long the client of an answer may take nothing of it before it is cut off where all hold too much."""

LARGE_BYTES: Final = 1024 * 1024
"""An answer of more is held only where there is room for it."""

LINGER_SECONDS: Final = 2.0
"""How long what a client still sends is thrown away behind the last answer."""

QUIET_SECONDS: Final = 1.0
"""How long a connection must be quiet to be closed when the gateway stops."""

HEAD_BYTES: Final = 64 * 1024
"""The most that the head of a request may have. What the public API needs is a few hundred bytes."""

DRAIN_BYTES: Final = 64 * 1024 * 1024
"""How much of a body that is too large is read, to be thrown away: a client that is still sending could not receive
the answer."""

DRAIN_SECONDS: Final = 5.0
"""How long that may take."""

PIECE_BYTES: Final = 128
"""What each piece of such a body counts besides its own bytes: chunks of one byte are work, too."""

HEADERS: Final = 100
"""The most that a request may have, before and behind its body."""

PIPELINED: Final = 100
"""How many requests a client may send without waiting for an answer."""
