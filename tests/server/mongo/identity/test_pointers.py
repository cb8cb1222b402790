"""Pointers in a real MongoDB: where they lead, and that no update changes them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pymongo.errors import WriteError

from server.local.mongod import EmbeddedMongod
from server.mongo.client import Collection, connect, open_database, prepare
from server.mongo.identity.pointers import HOPS, End, Target, resolve


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def profiles(mongod: EmbeddedMongod) -> AsyncIterator[Collection]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_pointers_test")
    await prepare(database)
    chain: list[dict[str, Any]] = [{"_id": f"c{number}", "pointer": f"c{number + 1}"} for number in range(HOPS + 1)]
    await database.profiles.insert_many(
        [
            {"_id": "user", "user_id": "u", "modified_time": 0},
            {"_id": "erased", "suppressed_until": 0},
            {"_id": "one", "pointer": "user", "absorption": 7, "absorbed": {"modified_time": 0}},
            {"_id": "two", "pointer": "one"},
            {"_id": "late", "pointer": "erased"},
            {"_id": "dangling", "pointer": "nobody"},
            {"_id": "self", "pointer": "self"},
            *chain,
            {"_id": f"c{HOPS + 1}", "user_id": "c"},
        ]
    )
    yield database.profiles
    client.close()


@pytest.mark.parametrize(
    ("profile_id", "target"),
    [
        ("user", None),
        ("nobody", None),
        ("one", Target("user", End.PROFILE, {"one": 7})),
        ("two", Target("user", End.PROFILE, {"two": None, "one": 7})),
        ("late", Target("erased", End.SUPPRESSED, {"late": None})),
        ("dangling", Target("nobody", End.NOWHERE, {"dangling": None})),
        ("self", Target("self", End.NOWHERE, {"self": None})),
        ("c1", Target(f"c{HOPS + 1}", End.PROFILE, {f"c{number}": None for number in range(1, HOPS + 1)})),
        ("c0", Target(f"c{HOPS + 1}", End.NOWHERE, {f"c{number}": None for number in range(HOPS + 1)})),
    ],
)
async def test_a_pointer_is_followed_to_its_end(profiles: Collection, profile_id: str, target: Target | None) -> None:
    assert await resolve(profiles, [profile_id]) == ({} if target is None else {profile_id: target})


async def test_many_pointers_are_followed_together(profiles: Collection) -> None:
    found = await resolve(profiles, ["one", "two", "user", "late"])
    assert {start: target.profile_id for start, target in found.items()} == {
        "one": "user",
        "two": "user",
        "late": "erased",
    }
    assert await resolve(profiles, []) == {}


async def test_no_update_changes_a_pointer(profiles: Collection) -> None:
    for update in ({"$set": {"modified_time": 1}}, [{"$set": {"modified_time": 1}}]):
        with pytest.raises(WriteError) as refused:
            await profiles.update_one({"_id": "one"}, update, upsert=True)
        assert refused.value.code == 121
