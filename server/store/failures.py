"""What MongoDB's errors mean to a write: refused by a rule, of unknown outcome, or a defect of ours."""

from typing import Final

from pymongo.errors import ConnectionFailure, PyMongoError

from server.errors import ProfileTooLarge, UserfoldError, WriteOutcomeUnknown, WriteRejected

PATH_MEETS_NON_OBJECT: Final = 28
VALIDATION_FAILED: Final = 121
DUPLICATE_KEY: Final = 11000
_TOO_LARGE = frozenset({10334, 17280, 17419, 17420})
_OUTCOME_UNKNOWN = frozenset({50, 64, 91, 189, 10107, 11600, 11601, 11602, 13435, 13436})


def failure_of(error: PyMongoError) -> UserfoldError:
    """What a write that failed as a whole is told as."""
    if isinstance(error, ConnectionFailure):
        return WriteOutcomeUnknown()
    return failure_of_code(getattr(error, "code", None) or 0)


def failure_of_code(code: int) -> UserfoldError:
    """What a write is told as that MongoDB refused with this error code."""
    if code == VALIDATION_FAILED or code in _TOO_LARGE:
        return ProfileTooLarge()
    return WriteOutcomeUnknown() if code in _OUTCOME_UNKNOWN else WriteRejected(code)
