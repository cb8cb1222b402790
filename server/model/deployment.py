"""What is known of the database that a server uses."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the replica set, or a router. `lag_seconds` is None where it is not known."""

    name: str
    state: str
    lag_seconds: float | None


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What is known of a MongoDB. `version` is empty, and `schema_version` 0, while it has not answered."""

    version: str
    replica_set: str
    members: Sequence[Member]
    schema_version: int
