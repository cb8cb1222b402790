"""What serves applications and credentials needs of a store."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from server.accounts.applications import StoredApplication
from server.accounts.credentials import StoredCredential

Counts: TypeAlias = Mapping[str, int]
"""Numbers of documents: `users`, `visitors`, `suppressions`, `refusals`, `credentials` and `indexes`."""


class Applications(Protocol):
    """Where applications are stored. Must raise DatabaseUnavailable, or WriteOutcomeUnknown for a write."""

    async def application(self, application_id: str) -> StoredApplication:
        """The application with this id. Must raise ApplicationNotFound."""

    async def create(
        self, application: StoredApplication, credentials: Sequence[StoredCredential], creator_id: str
    ) -> None:
        """Register an application that a credential of another one creates. Must raise TooManyApplications."""

    async def rename(self, application_id: str, name: str) -> None:
        """Give an application another name. Must raise ApplicationNotFound."""


class Deletions(Protocol):
    """What deletes applications. Must raise ApplicationNotFound, DatabaseUnavailable or WriteOutcomeUnknown."""

    async def count(self, application_id: str, seconds: float) -> Counts:
        """What is stored of an application. Must raise QueryTooSlow after so many seconds."""

    async def begin(self, application_id: str, continued_by_servers: bool) -> datetime:
        """Begin to delete an application, which servers finish. Must return since when it is being deleted."""


class ManagedCredentials(Protocol):
    """Where credentials are stored. Must raise DatabaseUnavailable, or WriteOutcomeUnknown for a write."""

    async def get(self, credential_id: str, application_id: str | None = None) -> StoredCredential:
        """The credential with this id, of this application if one is given. Must raise CredentialNotFound."""

    async def of_application(self, application_id: str) -> Sequence[StoredCredential]:
        """The credentials of an application, the oldest first."""

    async def add(self, credential: StoredCredential) -> None:
        """Add a credential. Must raise ApplicationNotFound or TooManyCredentials."""

    async def replace(self, old: StoredCredential, new: StoredCredential) -> None:
        """Add a credential and end the one that it replaces, both or neither.

        Must raise ApplicationNotFound, TooManyCredentials, CredentialNotFound or CredentialReplaced.
        """

    async def revoke_of(self, application_id: str, credential_id: str, now: datetime) -> bool:
        """Delete a credential, if there is one. Must raise ApplicationNotFound or LastAdminToken."""
