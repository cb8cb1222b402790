"""What the facts about a MongoDB that serves mean: its version, what is stored, logs, clock and disk."""

from collections.abc import Iterator
from typing import Final

from cli.doctor.findings import Finding, not_known, ok, problem, warning
from server.mongo.inspection import Inspection, Unknown

_OLDEST: Final = (5, 0)
_TESTED: Final = (6, 0)
_SKEW_SECONDS: Final = 1.0
_WRONG_CLOCK_SECONDS: Final = 10.0
_NEVER_MS: Final = 2**31 - 1
_GIB: Final = 2**30


def version(facts: Inspection) -> Iterator[Finding]:
    if isinstance(facts.build, Unknown):
        yield not_known("version", facts.build)
        return
    text = str(facts.build["version"])
    version = tuple(facts.build["versionArray"][:2])
    if version < _OLDEST:
        yield problem("version", f"MongoDB {text} is older than 5.0, the oldest that is served", "upgrade MongoDB")
    elif version < _TESTED:
        yield warning("version", f"MongoDB {text} has no updates any more", "upgrade it to 6.0 or later")
    else:
        yield ok("version", f"MongoDB {text}")
    if not isinstance(facts.engine, Unknown) and not facts.engine.get("persistent", True):
        yield problem("storage", "MongoDB keeps its data in memory alone", "use the storage engine wiredTiger")


def stored(facts: Inspection) -> Iterator[Finding]:
    if isinstance(facts.collection, Unknown):
        yield not_known("collections", facts.collection)
        return
    if not facts.collection:
        yield warning("collections", "no server has started with this database yet", "start one: it creates them")
        return
    if facts.has_validator:
        yield ok("validator", "MongoDB enforces the limits of profiles, and erasures")
    else:
        yield problem(
            "validator",
            "the collection of profiles lacks the validator: limits, and suppressions of erased users, are not kept",
            "restart a server: it sets the validator at its start",
        )
    if isinstance(facts.indexes, Unknown):
        yield not_known("indexes", facts.indexes)
        return
    missing = [index.name for index in facts.indexes if not index.is_there]
    different = [index.name for index in facts.indexes if index.differs]
    if missing:
        yield problem(
            "indexes",
            f"missing: {', '.join(missing)}: look-ups, lists or counts read all profiles",
            "restart a server: it builds them at its start, and those of declared paths in the background",
        )
    if different:
        yield problem(
            "indexes",
            f"other keys or options than needed: {', '.join(different)}",
            "drop them in mongosh by db.profiles.dropIndex(NAME), then restart a server",
        )
    if not missing and not different:
        yield ok("indexes", f"all {len(facts.indexes)} are there")
    if facts.other_indexes:
        yield warning(
            "indexes",
            f"not of Userfold: {', '.join(facts.other_indexes)}: each makes updates slower",
            "drop them, or let Userfold know: `userfold applications declare-index`",
        )


def logs(facts: Inspection) -> Iterator[Finding]:
    if isinstance(facts.profiling, Unknown):
        yield not_known("slow-query log", facts.profiling)
        return
    redacts = not isinstance(facts.redaction, Unknown) and facts.redaction.get("redactClientLogData", False)
    if facts.profiling.get("was", 0) > 0:
        yield warning(
            "profiler",
            "MongoDB's profiler stores slow operations with all their values, which no erasure reaches",
            "turn it off: db.setProfilingLevel(0), and drop system.profile",
        )
    slow, rate = facts.profiling.get("slowms", 100), facts.profiling.get("sampleRate", 1.0)
    if slow < _NEVER_MS and rate > 0 and not redacts:
        yield warning(
            "slow-query log",
            f"MongoDB logs operations slower than {slow} ms with all their values, which no erasure reaches",
            f"start every member and mongos with --slowms {_NEVER_MS}, or set slowOpSampleRate to 0",
        )
    else:
        yield ok("slow-query log", "MongoDB logs no values of slow operations")


def clock(facts: Inspection) -> Iterator[Finding]:
    ahead = facts.clock_seconds
    if abs(ahead) <= _SKEW_SECONDS:
        yield ok("clock", f"MongoDB's clock and that of this machine differ by {abs(ahead) * 1000:.0f} ms")
        return
    found = warning if abs(ahead) <= _WRONG_CLOCK_SECONDS else problem
    yield found(
        "clock",
        f"MongoDB's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} that of this machine: times of"
        " updates, and the ends of credentials and suppressions, are wrong by as much",
        "let a time service such as chrony run on all machines",
    )


def space(facts: Inspection) -> Iterator[Finding]:
    if isinstance(facts.space, Unknown):
        yield not_known("disk", facts.space)
        return
    total = facts.space["total"]
    free = total - facts.space["used"]
    described = f"{free / _GIB:,.1f} of {total / _GIB:,.1f} GiB are free on MongoDB's disk"
    remedy = "add space: MongoDB ends when its disk is full"
    if free < _GIB or free < 0.05 * total:
        yield problem("disk", described, remedy)
    elif free < 0.15 * total:
        yield warning("disk", described, remedy)
    else:
        yield ok("disk", described)


def schema(facts: Inspection, version: int) -> Iterator[Finding]:
    if isinstance(facts.schema, Unknown):
        yield not_known("schema", facts.schema)
        return
    stored = facts.schema.get("version", 1)
    if facts.schema.get("restoring"):
        yield problem("schema", "the database holds a part of a backup", "run the restore again")
    elif facts.schema.get("least", 1) > version:
        yield problem(
            "schema",
            f"the stored data is of version {facts.schema['least']}, and this program knows {version}",
            "use a newer Userfold, or restore a backup of before",
        )
    elif stored < version and facts.schema:
        yield warning(
            "schema",
            f"the stored data is of version {stored}, and a migration to {version} is to come",
            "start a server of this version and stop those of older versions: docs/upgrading.md",
        )
    else:
        yield ok("schema", f"the stored data is of version {stored}")
