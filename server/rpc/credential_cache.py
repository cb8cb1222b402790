"""The cache of credentials: those that were found in the database, and those that were not."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from server.accounts.credentials import Credential
from server.model import Application

KNOWN_SECONDS: Final = 30.0
"""How long a credential that was found is not looked up again. A revoked one works no longer than that."""

_UNKNOWN_SECONDS: Final = 3.0
"""The same of one that was not found. A new one that was used too early works after that."""

_CAPACITY: Final = 10_000
"""Credentials in each of the two halves. There are two, so that made-up credentials never displace known ones."""

_Value = TypeVar("_Value")


@dataclass(slots=True)
class CachedCredential:
    """A credential that was found: its application, and until when it need not be looked up again."""

    application: Application
    valid_until: float


class CredentialCache:
    """The credentials that were looked up last. `clock` returns seconds from any starting point."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[Credential, CachedCredential] = OrderedDict()
        self._unknown_until: OrderedDict[Credential, float] = OrderedDict()

    def known(self, credential: Credential) -> CachedCredential | None:
        """What the last look-up found, however long ago."""
        return self._known.get(credential)

    def application_of(self, credential: Credential) -> Application | None:
        """The application of a credential that need not be looked up now."""
        known = self._known.get(credential)
        return known.application if known is not None and known.valid_until > self._clock() else None

    def is_unknown(self, credential: Credential) -> bool:
        """Whether the credential was not found, and need not be looked up now."""
        return self._unknown_until.get(credential, 0.0) > self._clock()

    def add_known(self, credential: Credential, application: Application, looked_up: float, seconds: float) -> None:
        """Keep what was found by a look-up that began at `looked_up`, for at most so many seconds."""
        self._unknown_until.pop(credential, None)
        known = CachedCredential(application, looked_up + min(KNOWN_SECONDS, seconds))
        _keep(self._known, credential, known)

    def add_unknown(self, credential: Credential, looked_up: float) -> None:
        """Keep that nothing was found by a look-up that began at `looked_up`."""
        self._known.pop(credential, None)
        _keep(self._unknown_until, credential, looked_up + _UNKNOWN_SECONDS)


def _keep(cache: OrderedDict[Credential, _Value], credential: Credential, value: _Value) -> None:
    cache[credential] = value
    cache.move_to_end(credential)
    if len(cache) > _CAPACITY:
        cache.popitem(last=False)
