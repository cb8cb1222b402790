"""What the facts about MongoDB mean for Userfold."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from cli.doctor import replication, storage
from cli.doctor.findings import Finding, ok
from server.mongo.inspection import Inspection, Unknown

_CHECKS: Final[Sequence[Callable[[Inspection], Iterator[Finding]]]] = (
    storage.version,
    *(replication.topology, replication.ignored_options, replication.elections, replication.oplog),
    *(storage.stored, storage.logs, storage.clock, storage.space),
)


def findings_of(facts: Inspection, version: int) -> Iterator[Finding]:
    """The findings, in the order in which they matter. `version` is that of the schema that this program knows."""
    if isinstance(facts.hello, Unknown):
        yield from replication.unreachable(facts, facts.hello)
        return
    yield ok("connection", f"{replication.plural(len(facts.members), 'member')} named, and MongoDB answers")
    for check in _CHECKS:
        yield from check(facts)
    yield from storage.schema(facts, version)
