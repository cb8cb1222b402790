"""What the facts about replication mean: members, elections, and the log that they share."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cli.doctor.findings import Finding, hello_of, not_known, ok, problem, warning
from server.mongo.driver import WRITE_SECONDS
from server.mongo.inspection import Inspection, Unknown

_ELECTION_BUDGET_MS: Final = 1000 * (WRITE_SECONDS - 2)
"""The longest election timeout: a candidate needs a second or two more until it is primary."""

_OPLOG_HOURS: Final = 24

_INITIATE: Final = (
    "start every member with --replSet NAME, and run once in mongosh"
    ' rs.initiate({_id: "NAME", members: [{_id: 0, host: "HOST:27017"}]}); rs.add adds other members'
)
_IGNORED: Final = ("w", "journal", "wtimeout", "wTimeoutMS", "readConcernLevel", "readPreference")


def unreachable(facts: Inspection, hello: Unknown) -> Iterator[Finding]:
    silent = [member.address for member in facts.members if isinstance(member.hello, Unknown)]
    if len(silent) == len(facts.members):
        yield problem(
            "connection",
            f"no MongoDB answers at {', '.join(silent)} ({hello.why})",
            "start it, correct USERFOLD_MONGODB_URI, or open the way to it: host, port, firewall, and tls=true where it"
            " speaks TLS",
        )
        return
    if any(hello_of(member.hello).get("isreplicaset") for member in facts.members):
        yield problem("replica set", "MongoDB was started as a replica set that was never initiated", _INITIATE)
    elif any("setName" not in hello_of(member.hello) for member in facts.members):
        yield _standalone()
    elif hello.is_refused or "18" in hello.why.split():
        yield problem(
            "connection",
            "MongoDB refuses the user of USERFOLD_MONGODB_URI",
            "correct its name, password and authSource; docs/security.md has the role that it needs",
        )
    else:
        yield problem(
            "connection",
            f"MongoDB has no primary now ({hello.why})" + (f"; no answer from {', '.join(silent)}" if silent else ""),
            "look at rs.status() in mongosh: a majority of the members must run and reach each other, and replicaSet="
            " in USERFOLD_MONGODB_URI must be the name of the set",
        )


def _standalone() -> Finding:
    return problem(
        "replica set",
        "MongoDB is a standalone mongod: a write cannot be confirmed by a majority, and servers do not become ready",
        _INITIATE,
    )


def topology(facts: Inspection) -> Iterator[Finding]:
    hello = hello_of(facts.hello)
    if hello.get("msg") == "isdbgrid":
        yield from _sharded(facts)
        return
    if "setName" not in hello:
        yield _standalone()
        return
    silent = [member.address for member in facts.members if isinstance(member.hello, Unknown)]
    if silent:
        yield warning(
            "members",
            f"no answer from {', '.join(silent)}, which USERFOLD_MONGODB_URI names",
            "start it, or correct the connection string",
        )
    hosts = [*hello.get("hosts", ()), *hello.get("passives", ())]
    if facts.options.get("directConnection", facts.options.get("directconnection")) and len(hosts) > 1:
        yield problem(
            "connection",
            f"directConnection=true binds the servers to one of {len(hosts)} members: an election ends all writes",
            f"use mongodb://{','.join(hosts)}/?replicaSet={hello['setName']}",
        )
    yield from _members(facts, hello)


def _members(facts: Inspection, hello: Mapping[str, Any]) -> Iterator[Finding]:
    name = hello["setName"]
    if isinstance(facts.status, Unknown):
        yield not_known("replica set", facts.status)
        return
    members: Sequence[Mapping[str, Any]] = facts.status["members"]
    bad = [member for member in members if member["stateStr"] not in ("PRIMARY", "SECONDARY", "ARBITER")]
    for member in bad:
        yield problem(
            "replica set",
            f"{member['name']} is {member['stateStr']}",
            "look at its log, and at rs.status() in mongosh",
        )
    holding = sum(member["stateStr"] in ("PRIMARY", "SECONDARY") for member in members)
    majority = facts.status.get("writeMajorityCount", len(members) // 2 + 1)
    if holding < majority:
        yield problem(
            "write concern",
            f"a write needs {majority} members that hold data, and {holding} of {len(members)} can confirm it",
            "bring the others back: until then, writes time out",
        )
    else:
        yield ok(
            "write concern", f"every write is confirmed by a majority, {majority} of {len(members)}, in the journal"
        )
    if any(member["stateStr"] == "ARBITER" for member in members):
        yield warning(
            "replica set",
            f"{name} has an arbiter: with one data member down, no write is confirmed any more",
            "replace it by a member that holds data",
        )
    elif len(members) < 3:
        yield warning(
            "replica set",
            f"{name} has {plural(len(members), 'member')}: with one down, there are no writes",
            "for production, add members up to three by rs.add in mongosh",
        )
    elif not bad:
        yield ok("replica set", f"{name} has {len(members)} members, and all of them run")


def _sharded(facts: Inspection) -> Iterator[Finding]:
    if isinstance(facts.sharding, Unknown):
        yield not_known("sharding", facts.sharding)
    elif "key" not in facts.sharding:
        yield warning(
            "sharding",
            "the collection of profiles is on one shard alone",
            "shard it by _id: docs/deploying.md has the commands",
        )
    elif list(facts.sharding["key"]) != ["_id"]:
        yield problem(
            "sharding",
            f"profiles are sharded by {', '.join(facts.sharding['key'])}: updates must reach all shards",
            "reshard the collection by _id",
        )
    else:
        yield ok("sharding", "profiles are sharded by _id")


def ignored_options(facts: Inspection) -> Iterator[Finding]:
    names = {name.lower() for name in facts.options}
    if ignored := [name for name in _IGNORED if name.lower() in names]:
        yield warning(
            "write concern",
            f"{', '.join(ignored)} in USERFOLD_MONGODB_URI has no effect: writes always wait for a majority",
            "remove it from the connection string",
        )


def elections(facts: Inspection) -> Iterator[Finding]:
    if isinstance(facts.config, Unknown):
        if "setName" in hello_of(facts.hello):
            yield not_known("elections", facts.config)
        return
    timeout = facts.config["settings"]["electionTimeoutMillis"]
    budget = f"the {WRITE_SECONDS:.0f} s that a write may take"
    if len(facts.config["members"]) == 1:
        yield ok("elections", "a set of one member has none")
    elif timeout > _ELECTION_BUDGET_MS:
        yield warning(
            "elections",
            f"electionTimeoutMillis is {timeout:,}: a new primary is found after {budget}, so updates meanwhile end"
            " with WRITE_OUTCOME_UNKNOWN",
            "in mongosh: c = rs.conf(); c.settings.electionTimeoutMillis = 4000; rs.reconfig(c)",
        )
    else:
        yield ok("elections", f"electionTimeoutMillis is {timeout:,}: a new primary is found within {budget}")


def oplog(facts: Inspection) -> Iterator[Finding]:
    if "setName" not in hello_of(facts.hello):
        return
    if isinstance(facts.oplog, Unknown):
        yield not_known("oplog", facts.oplog)
        return
    hours = facts.oplog["seconds"] / 3600
    # An oplog that is not full holds everything since it was made.
    is_full = facts.oplog["size"] > 0.9 * facts.oplog["maxSize"]
    is_alone = not isinstance(facts.config, Unknown) and len(facts.config["members"]) == 1
    if is_full and hours < _OPLOG_HOURS and not is_alone:
        yield warning(
            "oplog",
            f"the oplog reaches back {hours:.1f} hours: a member that is down for longer must be copied anew",
            "in mongosh, on each member: db.adminCommand({replSetResizeOplog: 1, size: 16000}), in MB",
        )
    else:
        yield ok("oplog", f"the oplog reaches back {hours:.1f} hours" + ("" if is_full else ", and is not full yet"))


def plural(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
