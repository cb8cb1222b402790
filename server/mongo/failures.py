"""What MongoDB's errors of a read mean."""

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import OperationFailure, PyMongoError

from server.errors import DatabaseUnavailable, QueryTooSlow

# MongoDB's error codes for an expired time limit.
_TOO_SLOW = frozenset({50, 262})


@contextmanager
def read_failures() -> Iterator[None]:
    """Raise QueryTooSlow if MongoDB reports that its time has expired, and DatabaseUnavailable for other failures."""
    try:
        yield
    except TimeoutError as error:
        raise DatabaseUnavailable from error
    except PyMongoError as error:
        if isinstance(error, OperationFailure) and error.code in _TOO_SLOW and "codeName" in (error.details or {}):
            raise QueryTooSlow from error
        # The driver's own error has the same code, but no name for it: it had no time to send the query.
        raise DatabaseUnavailable from error
