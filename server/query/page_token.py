"""Pages of users: their size, and the token of the next page.

Tokens are sent in URLs, and a position may contain a user id. So a token is encrypted and authenticated, and is valid
only for the same application and request. It holds the position of a user in the order, so it stays valid when that
user is erased.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import orjson
from cryptography.fernet import Fernet, InvalidToken

from server import limits
from server.errors import InvalidRequest, Violation

SECONDS: Final = 24 * 3600
"""How long a token is valid."""

Position = Sequence[object]
"""The stored fields by which users are ordered, of the last user of a page: strings, integers, times or None."""


def page_size(requested: int, default: int = limits.PAGE_USERS_BY_DEFAULT, largest: int = limits.PAGE_USERS) -> int:
    """The limit of a page for the size in a request. Raises InvalidRequest."""
    if requested < 0:
        description = f"must not be negative; 0 stands for {default}"
        raise InvalidRequest([Violation("page_size", "OUT_OF_RANGE", description)])
    return min(requested or default, largest)


class PageTokens:
    """Encrypts and decrypts tokens with a key of `Fernet.generate_key`, which all servers share."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    def seal(self, position: Position, bound_to: Sequence[str], now: int) -> str:
        """The token of a position, made at `now`, in nanoseconds since 1970-01-01 UTC. It is valid for `bound_to`."""
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
            description = "must be the next_page_token of the page before, at most a day old, and nothing else changed"
            raise InvalidRequest([Violation("page_token", "INVALID_PAGE_TOKEN", description)])
        position: Position = orjson.loads(text[len(digest) :])
        return position


def _digest(bound_to: Sequence[str]) -> bytes:
    return hashlib.sha256(orjson.dumps(list(bound_to))).digest()
