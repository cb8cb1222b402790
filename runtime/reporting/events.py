"""The events of the log that both programs have, for operators."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, and what to do about it. Warnings and errors say the latter in their lines."""

    happened: str
    to_do: str = "nothing"


EVENTS: Final[Mapping[str, Event]] = {
    "request": Event("one request, and what became of it; USERFOLD_ACCESS_LOG says how many have such a line"),
    "refused": Event(
        "requests of one kind were refused: the first immediately, further ones once a second",
        "find the reason in docs/errors.md; the client has to change what it sends, unless the reason says otherwise",
    ),
    "refusals of further kinds": Event(
        "more than 1,000 kinds of requests were refused in a second, and are counted together here",
        "look at the lines `refused` of that second: one client probably sends anything",
    ),
    "defect": Event(
        "a request met a defect of Userfold, and was answered with INTERNAL and this error_id",
        "report it with the line, which holds no value of a caller's",
    ),
    "worker ended": Event(
        "one of the processes ended by itself; another takes its place after a second",
        "with `SIGKILL`, look for a lack of memory; else report it with the lines before",
    ),
    "unknown variable": Event(
        "an environment variable begins with USERFOLD_ and is none of Userfold's", "correct its name, or remove it"
    ),
    "traces are off": Event(
        "the OTEL_* variables ask for traces that cannot be written; the program serves without",
        "correct the variable that `why` names, or install `userfold[traces]`",
    ),
    "traces not exported": Event(
        "the collector of traces does not take them; the program serves, and drops what it cannot keep",
        "look at the collector and at OTEL_EXPORTER_OTLP_ENDPOINT; this is logged once a minute",
    ),
    "certificates reloaded": Event("changed certificates are used from now on"),
    "certificates not reloaded": Event(
        "changed certificates cannot be used, and the former ones stay in use",
        "mend the file that `why` names, before the former certificate ends",
    ),
    "unhandled in the event loop": Event(
        "an exception that nothing waited for", "report it with the line, which holds no value of a caller's"
    ),
}
"""The events of both programs, by the first word of their lines."""
