"""Findings about MongoDB: from real ones, and from their facts with one of them changed."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from cli.doctor.findings import Finding, State
from cli.doctor.mongodb import findings_of
from runtime.child import start_child, stop_child
from server.local import mongod as embedded
from server.local.mongod import EmbeddedMongod
from server.mongo import inspection
from server.mongo.client import connect, open_database
from server.mongo.inspection import Inspection, Member, Unknown, inspect
from server.mongo.migrations import MIGRATIONS, version_after
from server.mongo.schema import prepare
from server.settings import InvalidSetting
from tests.support.programs import free_port
from tests.support.waiting import wait_until

_VERSION = version_after(MIGRATIONS)
_DATABASE = "userfold_doctor"
_REFUSED = Unknown("OperationFailure, code 13", is_refused=True)


@pytest.fixture
async def prepared(mongod: EmbeddedMongod) -> Any:
    """A database that a server has prepared and migrated."""
    client = connect(mongod.uri)
    try:
        await client.drop_database(_DATABASE)
        database = open_database(client, _DATABASE)
        await prepare(database, _VERSION)
        # As after the migrations.
        await database.schema.update_one({}, {"$set": {"version": _VERSION}})
        yield database
    finally:
        client.close()


@pytest.fixture
def facts(mongod: EmbeddedMongod, prepared: Any) -> Inspection:
    return inspect(mongod.uri, _DATABASE)


def _found(facts: Inspection) -> dict[str, tuple[State, str]]:
    """The worst finding of each subject: its state and its text."""
    found: dict[str, Finding] = {}
    for finding in findings_of(facts, _VERSION):
        assert bool(finding.remedy) == (finding.state is not State.OK)
        worst = found.setdefault(finding.subject, finding)
        if list(State).index(finding.state) > list(State).index(worst.state):
            found[finding.subject] = finding
    return {subject: (each.state, f"{each.message}; {each.remedy}") for subject, each in found.items()}


def test_a_replica_set_of_one_that_a_server_has_prepared_is_fine_but_for_its_size(facts: Inspection) -> None:
    found = _found(facts)
    # The disk of this machine may be full.
    found.pop("disk")
    assert {subject for subject, (state, _) in found.items() if state is not State.OK} == {"replica set"}
    assert found["replica set"][0] is State.WARNING
    assert "1 member: with one down, there are no writes" in found["replica set"][1]
    assert found.keys() == {
        *("connection", "version", "write concern", "replica set", "elections", "oplog", "validator", "indexes"),
        *("slow-query log", "clock", "schema"),
    }


async def test_what_differs_in_the_database_is_found(mongod: EmbeddedMongod, prepared: Any) -> None:
    await prepared.profiles.drop_index("aliases_1")
    await prepared.profiles.drop_index("suppressed_until_1")
    await prepared.profiles.create_index("suppressed_until")
    await prepared.profiles.create_index("metadata.plan")
    await prepared.command("collMod", "profiles", validator={})
    found = _found(inspect(mongod.uri, _DATABASE))
    assert found["validator"][0] is State.PROBLEM
    findings = [each for each in findings_of(inspect(mongod.uri, _DATABASE), _VERSION) if each.subject == "indexes"]
    assert [(each.state, re.search(r": ([\w.]+)", each.message)[1]) for each in findings] == [  # type: ignore[index]
        (State.PROBLEM, "aliases_1"),
        (State.PROBLEM, "suppressed_until_1"),
        (State.WARNING, "metadata.plan_1"),
    ]


async def test_a_validator_that_is_not_enforced_is_found(mongod: EmbeddedMongod, prepared: Any) -> None:
    await prepared.command("collMod", "profiles", validationAction="warn")
    assert _found(inspect(mongod.uri, _DATABASE))["validator"][0] is State.PROBLEM


async def test_a_declared_index_is_needed_until_it_is_there(mongod: EmbeddedMongod, prepared: Any) -> None:
    await prepared.applications.insert_one({"_id": "app", "indexes": [{"path": "metadata.plan", "declared_time": 0}]})
    found = _found(inspect(mongod.uri, _DATABASE))
    assert found["indexes"][0] is State.PROBLEM
    assert "declared_app_" in found["indexes"][1]


async def test_profiling_and_slow_operations_are_found(mongod: EmbeddedMongod, prepared: Any) -> None:
    was = await prepared.command("profile", 1, slowms=50)
    try:
        found = _found(inspect(mongod.uri, _DATABASE))
    finally:
        await prepared.command("profile", 0, slowms=was["slowms"])
    assert found["profiler"][0] is State.WARNING
    assert "slower than 50 ms" in found["slow-query log"][1]


def test_a_database_without_a_server_yet_and_no_other_database_is_named(mongod: EmbeddedMongod) -> None:
    found = _found(inspect(mongod.uri, "userfold_never"))
    assert found["collections"] == (
        State.WARNING,
        "no server has started with this database yet; start one: it creates them",
    )
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        assert "userfold_never" not in client.list_database_names()


@pytest.mark.parametrize(
    ("schema", "state", "text"),
    [
        ({"version": 1, "restoring": True}, State.PROBLEM, "part of a backup"),
        ({"version": 99, "least": 99}, State.PROBLEM, "newer Userfold"),
        ({"version": 0}, State.WARNING, "a migration"),
    ],
)
def test_the_schema_is_compared_with_this_program(
    facts: Inspection, schema: Mapping[str, Any], state: State, text: str
) -> None:
    found = _found(replace(facts, schema=schema))["schema"]
    assert found[0] is state
    assert text in found[1]


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a mongod without a replica set."""
    folder = tmp_path_factory.mktemp("standalone")
    port, log = free_port(), folder / "log"
    command = [embedded._find_mongod(), "--dbpath", folder, "--port", port, "--nounixsocket", "--bind_ip", "127.0.0.1"]
    with log.open("wb") as output:
        process = start_child([*map(str, command)], stdout=output.fileno(), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: embedded._LISTENING.search(log.read_bytes()))
        yield f"mongodb://127.0.0.1:{port}/"
    finally:
        stop_child(process)


def test_a_standalone_mongod_is_a_problem_that_says_how_to_initiate_a_set(standalone: str) -> None:
    for uri in (standalone, f"{standalone}?replicaSet=rs0", f"{standalone}?directConnection=true"):
        state, text = _found(inspect(uri, _DATABASE))["replica set"]
        assert state is State.PROBLEM
        assert "standalone" in text
        assert "rs.initiate(" in text


def test_a_set_that_was_never_initiated_is_a_problem_that_says_how_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_SECONDS", 0.5)
    with EmbeddedMongod(tmp_path) as mongod:
        for uri in (mongod.uri, mongod.uri.partition("?")[0]):
            state, text = _found(inspect(uri, _DATABASE))["replica set"]
            assert state is State.PROBLEM
            assert "never initiated" in text or "standalone" in text
            assert "rs.initiate(" in text


def test_a_mongodb_that_is_not_there_is_a_problem_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_SECONDS", 0.3)
    address = f"127.0.0.1:{free_port()}"
    found = _found(inspect(f"mongodb://user:secret@{address}/?serverSelectionTimeoutMS=200", _DATABASE))
    assert found.keys() == {"connection"}
    state, text = found["connection"]
    assert state is State.PROBLEM
    assert address in text
    assert "secret" not in text


def test_a_wrong_uri_does_not_show_its_password() -> None:
    with pytest.raises(InvalidSetting) as failure:
        inspect("mongodb://user:se/cret@h/", _DATABASE)
    assert "cret" not in str(failure.value)


def _three(facts: Inspection, states: list[str], **config: Any) -> Inspection:
    """The facts of a set of three members in these states."""
    assert not isinstance(facts.hello, Unknown)
    assert not isinstance(facts.status, Unknown)
    assert not isinstance(facts.config, Unknown)
    names = [f"db{number}:27017" for number in range(len(states))]
    members = [{"name": name, "stateStr": state} for name, state in zip(names, states, strict=True)]
    return replace(
        facts,
        options={},
        members=[Member(name, facts.hello) for name in names],
        hello={**facts.hello, "hosts": names},
        status={**facts.status, "members": members, "writeMajorityCount": 2},
        config={**facts.config, "members": members, "settings": {"electionTimeoutMillis": 5000, **config}},
    )


@pytest.mark.parametrize(
    ("states", "subject", "state", "text"),
    [
        (["PRIMARY", "SECONDARY", "SECONDARY"], "replica set", State.OK, "3 members, and all of them run"),
        (["PRIMARY", "SECONDARY", "SECONDARY"], "write concern", State.OK, "2 of 3"),
        (["PRIMARY", "SECONDARY", "(not reachable/healthy)"], "replica set", State.PROBLEM, "db2:27017 is (not reach"),
        (["PRIMARY", "RECOVERING", "STARTUP2"], "write concern", State.PROBLEM, "needs 2 members"),
        (["PRIMARY", "SECONDARY", "ARBITER"], "replica set", State.WARNING, "arbiter"),
        (["PRIMARY", "SECONDARY"], "replica set", State.WARNING, "2 members"),
    ],
)
def test_the_members_of_a_set(facts: Inspection, states: list[str], subject: str, state: State, text: str) -> None:
    found = _found(_three(facts, states))[subject]
    assert found[0] is state
    assert text in found[1]


def test_elections_that_take_longer_than_a_write_may_are_found(facts: Inspection) -> None:
    states = ["PRIMARY", "SECONDARY", "SECONDARY"]
    assert _found(_three(facts, states))["elections"][0] is State.OK
    state, text = _found(_three(facts, states, electionTimeoutMillis=10_000))["elections"]
    assert state is State.WARNING
    assert "10,000" in text
    assert "rs.reconfig" in text


def test_a_full_oplog_that_reaches_back_a_short_time_is_found(facts: Inspection) -> None:
    three = _three(facts, ["PRIMARY", "SECONDARY", "SECONDARY"])
    oplog = {"seconds": 3600, "size": 99, "maxSize": 100}
    assert _found(replace(three, oplog=oplog))["oplog"][0] is State.WARNING
    assert _found(replace(three, oplog={**oplog, "seconds": 90_000}))["oplog"][0] is State.OK
    assert _found(replace(three, oplog={**oplog, "size": 50}))["oplog"][0] is State.OK


def test_options_that_bind_to_one_member_or_have_no_effect_are_found(facts: Inspection) -> None:
    three = _three(facts, ["PRIMARY", "SECONDARY", "SECONDARY"])
    state, text = _found(replace(three, options={"directConnection": True}))["connection"]
    assert state is State.PROBLEM
    assert "mongodb://db0:27017,db1:27017,db2:27017/?replicaSet=userfold" in text
    state, text = _found(replace(three, options={"w": 1}))["write concern"]
    assert state is State.WARNING
    assert "no effect" in text


def test_a_member_that_does_not_answer_is_found(facts: Inspection) -> None:
    three = _three(facts, ["PRIMARY", "SECONDARY", "SECONDARY"])
    silent = [*three.members[:2], Member("db9:27017", Unknown("timeout"))]
    state, text = _found(replace(three, members=silent))["members"]
    assert state is State.WARNING
    assert "db9:27017" in text


def test_a_set_without_a_primary_and_a_refused_user_are_told_apart(facts: Inspection) -> None:
    lost = replace(facts, hello=Unknown("ServerSelectionTimeoutError"))
    assert "no primary" in _found(lost)["connection"][1]
    refused = replace(facts, hello=Unknown("OperationFailure, code 18"))
    assert "refuses the user" in _found(refused)["connection"][1]


@pytest.mark.parametrize(
    ("sharding", "state", "text"),
    [
        ({}, State.WARNING, "one shard"),
        ({"key": {"application_id": 1}}, State.PROBLEM, "by application_id"),
        ({"key": {"_id": "hashed"}}, State.OK, "by _id"),
    ],
)
def test_a_sharded_cluster(facts: Inspection, sharding: Mapping[str, Any], state: State, text: str) -> None:
    found = _found(replace(facts, hello={"msg": "isdbgrid"}, config=Unknown("no set"), sharding=sharding))
    assert found["sharding"][0] is state
    assert text in found["sharding"][1]
    assert "elections" not in found


@pytest.mark.parametrize(
    ("changes", "subject", "state"),
    [
        ({"build": {"version": "4.4.1", "versionArray": [4, 4, 1, 0]}}, "version", State.PROBLEM),
        ({"build": {"version": "5.0.9", "versionArray": [5, 0, 9, 0]}}, "version", State.WARNING),
        ({"build": {"version": "10.0.0", "versionArray": [10, 0, 0, 0]}}, "version", State.OK),
        ({"engine": {"persistent": False}}, "storage", State.PROBLEM),
        ({"clock_seconds": 3.0}, "clock", State.WARNING),
        ({"clock_seconds": -60.0}, "clock", State.PROBLEM),
        ({"space": {"total": 100 * 2**30, "used": 50 * 2**30}}, "disk", State.OK),
        ({"space": {"total": 100 * 2**30, "used": 90 * 2**30}}, "disk", State.WARNING),
        ({"space": {"total": 100 * 2**30, "used": 96 * 2**30}}, "disk", State.PROBLEM),
        ({"space": {"total": 2**31, "used": 3 * 2**29}}, "disk", State.PROBLEM),
        ({"profiling": {"was": 0, "slowms": 100, "sampleRate": 0.0}}, "slow-query log", State.OK),
        (
            {"profiling": {"was": 0, "slowms": 100}, "redaction": {"redactClientLogData": True}},
            "slow-query log",
            State.OK,
        ),
    ],
)
def test_other_facts(facts: Inspection, changes: Any, subject: str, state: State) -> None:
    assert _found(replace(facts, **changes))[subject][0] is state


def test_what_the_user_may_not_see_is_a_warning_that_names_the_role(facts: Inspection) -> None:
    names = ("build", "status", "config", "oplog", "profiling", "space", "collection", "schema")
    refused: Any = dict.fromkeys(names, _REFUSED)
    found = _found(replace(facts, indexes=_REFUSED, **refused))
    subjects = ("version", "replica set", "elections", "oplog", "slow-query log", "disk", "collections", "schema")
    for subject in subjects:
        assert found[subject][0] is State.WARNING
        assert "clusterMonitor" in found[subject][1]
    assert "look at MongoDB's log" in _found(replace(facts, indexes=Unknown("AutoReconnect")))["indexes"][1]
