"""Which profiles have as many aliases as they may, as far as this server knows.

On dot-paths, a new alias of such a profile is refused, and the write is sent again in the exact form, which replaces
the oldest alias. What is known here saves the first attempt. It need not be true: either form has the same effect.
"""

from typing import Final, TypeVar

from server.model import ProfileWrite

_Key = TypeVar("_Key")

_LIMIT: Final = 10_000
"""How many profiles, and how many of their aliases, are remembered."""


class FullAliases:
    """The latest profiles whose aliases were found to be full, and the latest aliases that they are known to have."""

    def __init__(self) -> None:
        self._profiles: dict[str, None] = {}
        self._known: dict[tuple[str, bytes], None] = {}

    def add(self, profile_id: str) -> None:
        """Remember that the aliases of a profile are full."""
        _remember(self._profiles, profile_id)

    def stored(self, write: ProfileWrite) -> None:
        """Remember the aliases of a write that was applied."""
        if write.profile_id in self._profiles:
            for alias in write.aliases:
                _remember(self._known, (write.profile_id, alias))

    def exceeds(self, write: ProfileWrite) -> bool:
        """Whether a write is likely to be refused on dot-paths: its profile is full, and an alias of it is new."""
        return write.profile_id in self._profiles and any(
            (write.profile_id, alias) not in self._known for alias in write.aliases
        )


def _remember(known: dict[_Key, None], key: _Key) -> None:
    known.pop(key, None)
    known[key] = None
    if len(known) > _LIMIT:
        del known[next(iter(known))]
