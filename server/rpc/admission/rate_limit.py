"""The rate limit: a bucket of tokens for each application."""

from collections.abc import Callable, Hashable

from server.errors import RateLimited

BURST_SECONDS = 2.0
"""A full bucket holds the tokens of so many seconds."""


class TokenBuckets:
    """A bucket for each key, to which `rate` tokens are added each second. A rate of 0 limits nothing.

    A request may take more tokens than there are, because its items are counted only after it was parsed. The bucket is
    then in debt and admits nothing until the debt is paid, so the rate holds for requests of any size. `clock` returns
    seconds from any starting point.
    """

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self.is_limiting = rate > 0
        self._capacity = rate * BURST_SECONDS
        self._clock = clock
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    def require(self, key: Hashable) -> None:
        """Raise RateLimited where no token is left."""
        if self._rate and (seconds := self.seconds(key)) > 0:
            raise RateLimited(seconds)

    def take(self, key: Hashable, tokens: int) -> None:
        """Take tokens, if necessary on credit."""
        if self._rate:
            self._buckets[key] = (self._tokens(key) - tokens, self._clock())

    def seconds(self, key: Hashable) -> float:
        """The time until a token is there."""
        return max(0.0, (1 - self._tokens(key)) / self._rate) if self._rate else 0.0

    def _tokens(self, key: Hashable) -> float:
        tokens, at = self._buckets.get(key, (self._capacity, self._clock()))
        return min(self._capacity, tokens + (self._clock() - at) * self._rate)
