"""How MongoDB serves suggestions: by a range of one index, which ends with the last suggestion."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from server.local.mongod import EmbeddedMongod
from server.model import Prefix
from server.mongo.client import BY_EMAIL_KEY, BY_USER_ID, Database, connect, open_database, prepare
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.users.finding.suggest import plan_suggestions
from tests.support.plans import explained, stages_of

_NAME: Final = "userfold_suggestions_test"
_USERS: Final = 1000
_LIMIT: Final = 10


@pytest.fixture(scope="module")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    """Many users of an application whose ids and addresses begin with `a`, as many visitors, and those of others."""
    client = connect(mongod.uri)
    database = open_database(client, _NAME)
    await prepare(database)
    await database.get_collection("profiles").insert_many(
        {
            "_id": f"{application}/{kind}/{number}",
            "application_id": application,
            "email_key": f"a{number}@acme.com",
            "avatar_url": "x",
            "company_id": "c",
            **({"user_id": f"a{number}"} if kind == "u" else {"anonymous_id": f"a{number}"}),
        }
        for application in ("ao", "app", "apq")
        for kind in "ua"
        for number in range(_USERS)
    )
    yield database
    await client.drop_database(_NAME)
    client.close()


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("text", ["a", "a99", "a999", "b", "$", "\0", "a\0", "a\ud7ff", "\U0010ffff", ".*", "`"])
async def test_any_prefix_reads_no_more_keys_and_profiles_than_suggestions(mongod: EmbeddedMongod, text: str) -> None:
    matching = sum(f"a{number}".startswith(text) for number in range(_USERS))
    for prefix, index in zip(plan_suggestions("app", text, _LIMIT), (BY_USER_ID, BY_EMAIL_KEY), strict=True):

        async def ask(queries: MongoProfileQueries, prefix: Prefix = prefix) -> object:
            return await queries.starting_with(prefix)

        plan = await explained(mongod.uri, _NAME, ask)
        stages = list(stages_of(plan["queryPlanner"]["winningPlan"]))
        (scan,) = (stage for stage in stages if "keyPattern" in stage)
        assert [*scan["keyPattern"]] == index
        assert not {stage["stage"] for stage in stages} & {"SORT", "COLLSCAN"}
        executed = plan["executionStats"]
        assert executed["nReturned"] == min(matching, _LIMIT)
        # One key more, at which the range ends.
        assert executed["totalKeysExamined"] <= executed["nReturned"] + 1
        assert executed["totalDocsExamined"] == executed["nReturned"]
