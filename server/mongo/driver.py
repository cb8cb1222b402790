"""The options of the driver, and how long MongoDB is waited for.

Options in the operator's URI win, except for the times of operations below. Client libraries give up after 10 s. So the
gateway waits for at most 9 s, and MongoDB gets 8 s of these: a client receives a response, at least "outcome unknown".
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

WRITE_SECONDS: Final = 8.0
"""A write, which includes finding the primary, a connection, the majority's confirmation, and retries. In an election,
the driver may retry several times. It numbers a write, so a retry is never applied twice."""

READ_SECONDS: Final = 8.0
"""A read of users by their ids, including retries. Queries have a limit of their own (`limits.QUERY_SECONDS`)."""

CREDENTIAL_SECONDS: Final = 4.0
"""Finding a credential, including retries. The call itself needs time after that."""

THREADS: Final = 32
"""Threads of Motor, each of which is busy during one operation. There are more threads than operations of all kinds
(`server/limits.py`, groups of writes and of look-ups), so that no kind waits for another. Motor's default is five for
each core. MOTOR_MAX_WORKERS in the environment wins."""

_DEFAULTS: Final[Mapping[str, object]] = {
    "appName": "userfold",
    # All operations are safe to retry, and an election makes some fail.
    "retryWrites": True,
    "retryReads": True,
    # For operations without a time of their own, such as the creation of indexes.
    "serverSelectionTimeoutMS": 8_000,
    # A member in a data centre responds within milliseconds. One that does not within 2 s is retried, or another is.
    # Operations that wait for a known member fail after this time and that of the next line.
    "connectTimeoutMS": 2_000,
    # Members report a new primary immediately, but a frozen or unreachable one reports nothing. This and the line above
    # detect it within 3 s. The defaults take 20 s.
    "heartbeatFrequencyMS": 1_000,
    # For operations without a time of their own. A report may take 20 s.
    "socketTimeoutMS": 24_000,
    # More than Motor has threads, so that no thread waits for a connection.
    "maxPoolSize": 100,
}


def options_for(uri: str, **changed: object) -> dict[str, object]:
    """The driver's options for `uri`: the defaults, replaced by `changed`, without those that the URI sets."""
    named = {name.lower() for name, _ in parse_qsl(urlsplit(uri).query, keep_blank_values=True)}
    options = {**_DEFAULTS, **changed}
    return {name: value for name, value in options.items() if name.lower() not in named}
