"""How the driver is set: all of it in one place, each with its reason.

What the operator's URI says wins, but for the two times of a call: within these the driver heeds no other, and on them
our answers rest. Client libraries give up after 10 s, so the gateway waits for 9 s at most, and MongoDB gets 8 s of
these: the answer, if only "outcome unknown", is there before they stop waiting for it.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

WRITE_SECONDS: Final = 8.0
"""A write with all that belongs to it: finding the primary, a connection, the majority's confirmation, and sending it
again after an error that is worth it, as often as there is time. In an election there may be several such errors. The
driver numbers a write, so what is sent again is never applied twice."""

READ_SECONDS: Final = 8.0
"""A read of users by their ids, as above. Queries, which MongoDB may have to think about, have a limit of its own."""

CREDENTIAL_SECONDS: Final = 4.0
"""Finding a credential, as above. The call is yet to do what it is for."""

THREADS: Final = 32
"""Threads of Motor, each busy for as long as one call of MongoDB takes: more than all kinds of calls have at once
(`server/limits.py`, the groups of writes and of look-ups), so that none waits for another kind. Motor's own number is
five for each core, less than that on a small machine. MOTOR_MAX_WORKERS in the environment wins."""

_DEFAULTS: Final[Mapping[str, object]] = {
    "appName": "userfold",
    # Each is safe to send again, and an election makes one of either kind fail.
    "retryWrites": True,
    "retryReads": True,
    # As long as a write: for what has no time of its own, such as making the indexes at the start.
    "serverSelectionTimeoutMS": 8_000,
    # A member in a data centre answers within milliseconds: who does not in 2 s is tried again, or another is. The
    # check of a member that is known takes this long and the next line's, before all that waits for it is let go.
    "connectTimeoutMS": 2_000,
    # Members tell of a new primary at once, but a frozen or unreachable one tells nothing: it is to be noticed within
    # 3 s, not the default's 20. With none that answers, the driver asks every 0.5 s, whatever is set here.
    "heartbeatFrequencyMS": 1_000,
    # The last resort of what has no time of its own; a report may take 20 s.
    "socketTimeoutMS": 24_000,
    # More than Motor has threads: none ever waits for a connection.
    "maxPoolSize": 100,
}


def options_for(uri: str, **changed: object) -> dict[str, object]:
    """The driver's options for a MongoDB at `uri`: the defaults, as `changed`, without those that the URI has."""
    named = {name.lower() for name, _ in parse_qsl(urlsplit(uri).query, keep_blank_values=True)}
    options = {**_DEFAULTS, **changed}
    return {name: value for name, value in options.items() if name.lower() not in named}
