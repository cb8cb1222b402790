"""Findings: what is as it should be, what is worth a look, and what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from server.mongo.inspection import Fact, Unknown


class State(StrEnum):
    """How a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of `subject`. `message` says what it is and means, and `remedy` how to mend it.

    Neither holds a password, or a value of a user.
    """

    subject: str
    state: State
    message: str
    remedy: str = ""


def ok(subject: str, message: str) -> Finding:
    """A finding of what is as it should be."""
    return Finding(subject, State.OK, message)


def warning(subject: str, message: str, remedy: str) -> Finding:
    """A finding of what may become a problem, or could not be examined."""
    return Finding(subject, State.WARNING, message, remedy)


def problem(subject: str, message: str, remedy: str) -> Finding:
    """A finding of what keeps Userfold from its promises."""
    return Finding(subject, State.PROBLEM, message, remedy)


def not_known(subject: str, fact: Unknown) -> Finding:
    """A finding of what MongoDB did not say."""
    if fact.is_refused:
        return warning(
            subject,
            "the user of USERFOLD_MONGODB_URI may not see this, which Userfold does not need",
            "run the doctor with a connection string whose user has the roles clusterMonitor and dbAdmin",
        )
    return warning(subject, f"MongoDB did not say ({fact.why})", "run the doctor again, and look at MongoDB's log")


def hello_of(fact: Fact) -> Mapping[str, Any]:
    """The response to `hello`; empty where there is none."""
    return {} if isinstance(fact, Unknown) else fact
