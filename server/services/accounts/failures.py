"""What errors of the store mean for the caller."""

from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import ApplicationNotFound, CredentialUnknown


@contextmanager
def application_of_call() -> Iterator[None]:
    """Raise CredentialUnknown where the application of the call is gone, or being deleted: its credentials are gone."""
    try:
        yield
    except ApplicationNotFound as error:
        raise CredentialUnknown from error
