"""How much one application may send in a second: a bucket of tokens for each."""

from collections.abc import Callable, Hashable

from server.errors import RateLimited

BURST_SECONDS = 2.0
"""A bucket that is full holds what so many seconds bring."""


class TokenBuckets:
    """A bucket for each key, into which `rate` tokens fall in a second. With a rate of 0 nothing is limited.

    What comes may take more than there is, for only when it is read it is known how much it is: the bucket is then in
    debt, and nobody is let in before that is made up for. So the rate holds whatever the size of what comes. `clock`
    counts seconds from any point on.
    """

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self.is_limiting = rate > 0
        self._most = rate * BURST_SECONDS
        self._clock = clock
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    def require(self, key: Hashable) -> None:
        """Raises RateLimited where nothing is left."""
        if self._rate and (seconds := self.seconds(key)) > 0:
            raise RateLimited(seconds)

    def take(self, key: Hashable, tokens: int) -> None:
        """Take so many out, or become in debt."""
        if self._rate:
            self._buckets[key] = (self._tokens(key) - tokens, self._clock())

    def seconds(self, key: Hashable) -> float:
        """How long it takes until a token is there."""
        return max(0.0, (1 - self._tokens(key)) / self._rate) if self._rate else 0.0

    def _tokens(self, key: Hashable) -> float:
        tokens, at = self._buckets.get(key, (self._most, self._clock()))
        return min(self._most, tokens + (self._clock() - at) * self._rate)
