"""Page tokens: where a page ended, sealed. They travel in URLs, and a position may be a user id.

A token tells nothing to whoever sees it, cannot be made or changed outside, and opens for the same application, filter
and order alone. It holds a position rather than a user's `_id`, so it is right even when that user is erased meanwhile.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import orjson
from cryptography.fernet import Fernet, InvalidToken

from server import limits
from server.errors import InvalidRequest, Violation

SECONDS: Final = 24 * 3600
"""How long a token holds."""

Position = Sequence[object]
"""What the last user of a page has in the stored fields of the order: texts, integers and times."""


class PageTokens:
    """Seals and opens tokens with a key that all servers share (as `Fernet.generate_key` makes it)."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    def seal(self, position: Position, bound_to: Sequence[str], now: int) -> str:
        """The token of a position, at the time `now` in nanoseconds since 1970-01-01 UTC. It opens for `bound_to`."""
        text = _digest(bound_to) + orjson.dumps(list(position))
        return self._fernet.encrypt_at_time(text, now // 1_000_000_000).decode()

    def open(self, token: str, bound_to: Sequence[str], now: int) -> Position:
        """The position of a token. Raises InvalidRequest."""
        try:
            is_short = len(token) <= limits.PAGE_TOKEN_BYTES
            text = self._fernet.decrypt_at_time(token.encode(), SECONDS, now // 1_000_000_000) if is_short else b""
        except InvalidToken:
            text = b""
        digest = _digest(bound_to)
        if not text.startswith(digest):
            description = (
                "must be the next_page_token of the page before, a day old at most, of the same filter and order"
            )
            raise InvalidRequest([Violation("page_token", "INVALID_PAGE_TOKEN", description)])
        position: Position = orjson.loads(text[len(digest) :])
        return position


def _digest(bound_to: Sequence[str]) -> bytes:
    return hashlib.sha256(orjson.dumps(list(bound_to))).digest()
