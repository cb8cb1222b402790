"""Writes of users and companies in one group, on a real mongod."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from server.errors import ProfileTooLarge
from server.local.mongod import EmbeddedMongod
from server.model import COMPANIES, STORED, USERS, CompanyUpdate, ProfileKind, ProfileUpdate, ProfileWrite, UserUpdate
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.mongo.writes.by_kind import MongoProfileStores
from server.mongo.writes.profiles import MongoProfileStore
from server.users.ids import id_of
from server.users.update import plan_update
from tests.server.mongo.writes.store_writes import applied

_NOW = 1_767_323_045_000_000_000


@pytest.fixture(scope="module")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_kinds_test")
    await prepare(database)
    yield database
    client.close()


def _write(update: ProfileUpdate) -> ProfileWrite:
    return plan_update("app", update, _NOW).write


async def _found(opened: Database, kind: ProfileKind, key: str) -> Any:
    fetched = await MongoProfileQueries(opened, kind=kind).find(id_of(kind, "app", key))
    return None if fetched is None else fetched.profile()


async def test_users_and_companies_of_one_group_are_stored_apart(opened: Database) -> None:
    large: dict[str, object] = {"text": "x" * 1_048_600}
    writes = [
        _write(UserUpdate("same", metadata={"is": "user"})),
        _write(CompanyUpdate("same", metadata={"is": "company"})),
        _write(UserUpdate("large", metadata=large, user_agent_string="x" * 8192)),
        _write(CompanyUpdate("same", metadata={"plan": {"name": "free"}})),
    ]
    outcomes = await applied(MongoProfileStores(opened), writes)
    assert outcomes[:2] == [STORED, STORED]
    assert isinstance(outcomes[2], ProfileTooLarge)
    assert outcomes[3] is STORED
    user, company = await _found(opened, USERS, "same"), await _found(opened, COMPANIES, "same")
    assert (user.user_id, user.company_id, user.metadata) == ("same", None, {"is": "user"})
    assert (company.user_id, company.company_id) == ("", "same")
    assert company.metadata == {"is": "company", "plan": {"name": "free"}}
    assert (user.alias_count, company.alias_count) == (0, None)
    assert await opened.get_collection("profiles").count_documents({}) == 1
    assert await opened.get_collection("companies").count_documents({}) == 1


async def test_a_defect_of_one_store_does_not_end_the_group_of_another_early(
    opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MongoProfileStore.apply

    async def fail_for_companies(self: MongoProfileStore, writes: Sequence[ProfileWrite]) -> Any:
        if writes[0].kind is COMPANIES:
            raise ZeroDivisionError
        return await real(self, writes)

    monkeypatch.setattr(MongoProfileStore, "apply", fail_for_companies)
    with pytest.raises(ZeroDivisionError):
        await MongoProfileStores(opened).apply([_write(CompanyUpdate("none")), _write(UserUpdate("written"))])
    assert await _found(opened, USERS, "written")


async def test_a_company_that_is_written_exactly_is_like_one_on_dot_paths(opened: Database) -> None:
    update = CompanyUpdate("exact", company_domain="Acme.com", metadata={"empty": {}}, campaign={"gclid": "g"})
    assert await applied(MongoProfileStores(opened), [_write(update)]) == [STORED]
    company = await _found(opened, COMPANIES, "exact")
    assert (company.company_domain, company.metadata) == ("Acme.com", {"empty": {}})
    assert company.initial_campaign == {"gclid": "g"}
