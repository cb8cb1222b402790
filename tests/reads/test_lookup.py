"""Look-ups by session token, email and company, over HTTP and gRPC."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unicodedata import normalize

import grpc
import pytest
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.mongo.migrations import MIGRATIONS
from server.users.ids import profile_id
from tests.support.applications import Application, register
from tests.support.stack import Api, Stack


def look_up(api: Api, **asked: Any) -> Any:
    return api.client.post("/v1/users:lookup", json=asked, headers=api.reader)


def found(api: Api, **asked: Any) -> list[str]:
    """The ids of the returned users."""
    answer = look_up(api, **asked)
    assert answer.status_code == 200, answer.text
    return [user["user_id"] for user in answer.json()["users"]]


def stored_at(
    database: Database[dict[str, Any]],
    application: Application,
    user_id: str,
    second: float | None,
    field: str = "stored_time",
) -> None:
    """Set the time at which the latest update of a user was stored. None: as version 0.1 left it."""
    time = None if second is None else datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    change = {"$unset": {field: ""}} if time is None else {"$set": {field: time}}
    database.profiles.update_one({"_id": profile_id(application.application_id, user_id)}, change)


def test_users_are_ordered_by_stored_time_not_by_modified_time(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    for user_id, year, second in (("old", 2030, 1), ("latest", 1970, 3), ("between", 2026, 2), ("other", 2026, 9)):
        company_id = "c" if user_id != "other" else "c2"
        api.stored({"company_id": company_id, "modified_time": f"{year}-01-01T00:00:00Z"}, user_id=user_id)
        stored_at(database, application, user_id, second)
    assert found(api, company_id="c") == ["latest", "between", "old"]
    stored_at(database, application, "old", 3.002)
    stored_at(database, application, "between", 3.001)
    assert found(api, company_id="c") == ["old", "between", "latest"]
    # Version 0.1 stored no time.
    stored_at(database, application, "old", None)
    assert found(api, company_id="c") == ["between", "latest", "old"]


def test_of_users_who_share_a_token_those_who_sent_it_last_come_first(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    def sent_at(user_id: str, second: float) -> None:
        stored_at(database, application, user_id, second, "sent_alias.time")

    for user_id in ("again", "once", "switched", "left"):
        api.stored({"session_token": "t"}, user_id=user_id)
    for user_id in ("switched", "left"):
        api.stored({"session_token": "t2"}, user_id=user_id)
    for second, user_id in enumerate(("again", "once", "switched", "left")):
        sent_at(user_id, second)
        # In the other order, because of updates without a token.
        stored_at(database, application, user_id, 9 - second)
    assert found(api, session_token="t") == ["once", "again", "switched", "left"]
    assert found(api, session_token="t2") == ["left", "switched"]
    for user_id, second in (("again", 4), ("left", 5)):
        api.stored({"session_token": "t"}, user_id=user_id)
        sent_at(user_id, second)
    expected = ["left", "again", "once", "switched"]
    assert found(api, session_token="t") == expected
    # Without another token, which was sent before, it is still the last one.
    removed = api.client.post("/v1/users/left:removeAlias", json={"session_token": "t2"}, headers=api.reader)
    assert removed.json() == {"removed": True}
    assert found(api, session_token="t") == expected
    page_token = ""
    for user_id in expected:
        page = look_up(api, session_token="t", page_size=1, page_token=page_token).json()
        assert [each["user_id"] for each in page["users"]] == [user_id]
        page_token = page["next_page_token"]
    assert page_token == ""


def test_a_visitor_who_sent_a_token_last_has_sent_it_as_the_user_too(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    for user_id in ("u", "v"):
        api.stored({"session_token": "t"}, user_id=user_id)
        stored_at(database, application, user_id, 1, "sent_alias.time")
    api.update({"anonymous_id": "a", "session_token": "t"})
    api.stored({"anonymous_id": "a"}, user_id="w")
    for user_id, second in (("u", 3), ("v", 2), ("w", 1)):
        stored_at(database, application, user_id, second)
    assert found(api, session_token="t") == ["w", "u", "v"]


def test_the_time_of_the_latest_write_is_returned(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    api.stored({"company_id": "c"})
    stored_at(database, application, "u", 1.5)
    (user,) = look_up(api, company_id="c").json()["users"]
    assert user["stored_time"] == api.get("u").json()["stored_time"] == "2026-01-01T00:00:01.500Z"
    stored_at(database, application, "u", None)
    assert "stored_time" not in api.get("u").json()


def test_a_look_up_returns_the_profile(api: Api) -> None:
    profile = api.stored({"session_token": "t", "company_id": "c", "metadata": {"email": "john@acme.com", "a.b": 1}})
    for asked in ({"session_token": "t"}, {"company_id": "c"}, {"email": "john@acme.com"}):
        assert look_up(api, **asked).json() == {"users": [profile], "next_page_token": "", "companies": []}


@pytest.mark.parametrize("email", ["John@Acme.com", " john@ACME.COM ", "john@acme.com"])
def test_the_case_of_an_address_does_not_matter(api: Api, email: str) -> None:
    api.stored({"metadata": {"email": "JOHN@acme.com"}})
    assert found(api, email=email) == ["u"]


_FORMS = {
    "Unicode": ["jörg@bücher.example", "jörg@xn--bcher-kva.example", "JÖRG@BÜCHER.example"],
    "an ASCII domain": ["a@xn--bcher-kva.example", "a@bücher.example", "A@BÜCHER.example"],
    "two dots": ["a..b@docomo.ne.jp", " A..B@docomo.ne.JP"],
    "quoted": ['"john doe"@acme.com', '"John Doe"@ACME.com'],
    "a local network": ["ü@nas.local", "Ü@NAS.local"],
}


@pytest.mark.parametrize("name", _FORMS)
def test_every_form_of_an_address_finds_and_suggests_its_users(
    api: Api, application: Application, database: Database[dict[str, Any]], name: str
) -> None:
    forms = [normalize(unicode_form, form) for form in _FORMS[name] for unicode_form in ("NFC", "NFD")]
    users = {f"u{number}": form for number, form in enumerate(forms)}
    for user_id, form in users.items():
        api.stored({"metadata": {"email": form}}, user_id=user_id)
    for form in forms:
        assert {*found(api, email=form)} == users.keys()
        suggestions = api.client.post("/v1/users:suggest", json={"text": form}, headers=api.reader).json()
        assert {each["user"]["user_id"] for each in suggestions["suggestions"]} == users.keys()
    # As version 0.1 stored them: without a key. An address that conforms to no standard has one after the migration.
    ids = [profile_id(application.application_id, user_id) for user_id in users]
    database.profiles.update_many({"_id": {"$in": ids}}, {"$unset": {"email_key": ""}})
    database.profiles.update_many(dict(MIGRATIONS[1].pending), list(MIGRATIONS[1].update))
    for form in forms:
        assert {*found(api, email=form)} == users.keys()
    paged = look_up(api, email=forms[0], page_size=2).json()
    assert len(found(api, email=forms[-1], page_token=paged["next_page_token"])) == len(users) - 2


def test_an_address_that_is_none_to_the_standards_is_found_as_long_as_it_is_stored(api: Api) -> None:
    api.stored({"metadata": {"email": "a..b@docomo.ne.jp"}})
    assert found(api, email="a..b@docomo.ne.jp") == ["u"]
    profile = api.stored({"metadata": {"x": 1}})
    assert not {"avatar_url", "email_domain", "company_domain", "email_key"} & profile.keys()
    for other in ("a.b@docomo.ne.jp", None, "nobody"):
        api.stored({"metadata": {"email": "a..b@docomo.ne.jp"}}, {"metadata": {"email": other}})
        assert found(api, email="a..b@docomo.ne.jp") == []
    assert found(api, email="a.b@docomo.ne.jp") == []


def test_an_email_that_was_replaced_finds_no_user(api: Api) -> None:
    api.stored({"metadata": {"email": "john@acme.com"}}, {"metadata": {"email": "jack@acme.com"}})
    assert (found(api, email="john@acme.com"), found(api, email="jack@acme.com")) == ([], ["u"])
    api.stored({"metadata": {"email": None}})
    assert found(api, email="jack@acme.com") == []


def test_a_page_has_page_size_users_and_the_next_begins_where_it_ends(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    email = "john@acme.com"
    users = [
        {"user_id": f"u{number}", "company_id": "c", "session_token": "t", "metadata": {"email": email}}
        for number in range(101)
    ]
    assert api.batch(users).status_code == 201
    for number in range(101):
        # As after an upgrade from version 0.1: some users have not been written since.
        stored_at(database, application, f"u{number}", number % 7 or None)
    for asked in ({"company_id": "c"}, {"session_token": "t"}, {"email": email}):
        first = look_up(api, **asked).json()
        assert len(first["users"]) == 100
        whole = look_up(api, **asked, page_size=5000).json()
        assert (len(whole["users"]), whole["next_page_token"]) == (101, "")
        second = look_up(api, **asked, page_token=first["next_page_token"]).json()
        assert (first["users"] + second["users"], second["next_page_token"]) == (whole["users"], "")
        paged, token = list[Any](), ""
        while not paged or token:
            page = look_up(api, **asked, page_size=23, page_token=token).json()
            paged, token = paged + page["users"], page["next_page_token"]
        assert paged == whole["users"]


def test_a_page_token_is_valid_only_for_the_same_request_and_holds_no_secret(api: Api) -> None:
    for user_id in "ab":
        api.stored({"session_token": "secret-token", "company_id": "secret-token"}, user_id=user_id)
    token = look_up(api, session_token="secret-token", page_size=1).json()["next_page_token"]
    assert "secret" not in token
    assert len(found(api, session_token="secret-token", page_token=token, page_size=7)) == 1
    for asked in ({"session_token": "other"}, {"company_id": "secret-token"}, {"email": "john@acme.com"}):
        violations = look_up(api, **asked, page_token=token).json()["details"][-1]["field_violations"]
        assert [(each["field"], each["reason"]) for each in violations] == [("page_token", "INVALID_PAGE_TOKEN")]
    assert api.client.get("/v1/users", params={"page_token": token}, headers=api.reader).status_code == 400


def test_an_anonymous_id_finds_the_users_whose_profiles_name_it(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    for second, (user_id, update) in enumerate(
        [("a", {"anonymous_id": "v"}), ("b", {"anonymous_id": "v"}), ("other", {"anonymous_id": "V"}), ("without", {})]
    ):
        api.stored(update, user_id=user_id)
        stored_at(database, application, user_id, second)
    assert found(api, anonymous_id="v") == ["b", "a"]
    first = look_up(api, anonymous_id="v", page_size=1).json()
    assert found(api, anonymous_id="v", page_token=first["next_page_token"]) == ["a"]
    # Also those of earlier browsers.
    api.stored({"anonymous_id": "w"}, user_id="b")
    assert (found(api, anonymous_id="v"), found(api, anonymous_id="w")) == (["b", "a"], ["b"])
    api.stored({"clear_fields": ["anonymous_id"]}, user_id="a")
    assert found(api, anonymous_id="v") == ["a", "b"]
    # An earlier version stored the latest one alone.
    mine = {"application_id": application.application_id, "user_id": "a"}
    database.profiles.update_one(mine, {"$set": {"anonymous_id": "old"}, "$unset": {"anonymous_ids": ""}})
    assert (found(api, anonymous_id="v"), found(api, anonymous_id="old")) == (["b"], ["a"])


def test_a_visitor_without_a_user_id_is_not_found(api: Api) -> None:
    assert api.update({"anonymous_id": "a", "company_id": "c", "session_token": "t"}).status_code == 201
    assert (found(api, company_id="c"), found(api, session_token="t"), found(api, anonymous_id="a")) == ([], [], [])


def test_an_application_finds_no_user_of_another(api: Api, stack: Stack, database: Database[dict[str, Any]]) -> None:
    update = {"session_token": "t", "company_id": "c", "anonymous_id": "a", "metadata": {"email": "john@acme.com"}}
    api.stored(update)
    other = Api(stack.http, register(database, "the other one's"))
    with other.client:
        for asked in ({"session_token": "t"}, {"company_id": "c"}, {"anonymous_id": "a"}, {"email": "john@acme.com"}):
            assert look_up(other, **asked).json() == {"users": [], "next_page_token": "", "companies": []}


@pytest.mark.parametrize(
    ("asked", "violations"),
    [
        ({}, [("session_token", "NOT_EXACTLY_ONE")]),
        ({"session_token": "t", "email": "john@acme.com"}, [("session_token", "NOT_EXACTLY_ONE")]),
        ({"session_token": ""}, [("session_token", "REQUIRED")]),
        ({"session_token": "x" * 8193}, [("session_token", "TOO_LONG")]),
        ({"company_id": "é" * 257}, [("company_id", "TOO_LONG")]),
        ({"email": f"{'x' * 8192}@acme.com"}, [("email", "TOO_LONG")]),
        ({"email": "john"}, [("email", "NOT_AN_EMAIL_ADDRESS")]),
        ({"email": f"{'x' * 300}@acme.com"}, [("email", "NOT_AN_EMAIL_ADDRESS")]),
        ({"company_id": "c", "page_size": -1}, [("page_size", "OUT_OF_RANGE")]),
        ({"company_id": "c", "page_token": "forged"}, [("page_token", "INVALID_PAGE_TOKEN")]),
        ({"company_id": "c", "max_users": 7}, [("max_users", "UNKNOWN_FIELD")]),
        ({"company_id": {"$ne": ""}}, [("company_id", "WRONG_TYPE")]),
    ],
)
def test_an_invalid_request_is_refused(api: Api, asked: dict[str, Any], violations: list[tuple[str, str]]) -> None:
    answer = look_up(api, **asked)
    assert answer.status_code == 400
    details = answer.json()["details"][-1]["field_violations"]
    assert [(each["field"], each["reason"]) for each in details] == violations


def test_a_collector_key_cannot_look_up(api: Api) -> None:
    answer = api.client.post("/v1/users:lookup", json={"session_token": "t"}, headers=api.writer)
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (403, "SCOPE_MISSING")


def remove(api: Api, user_id: str, session_token: str, **headers: str) -> Any:
    body = {"session_token": session_token}
    return api.client.post(f"/v1/users/{user_id}:removeAlias", json=body, headers=headers or api.reader)


def test_a_removed_token_no_longer_finds_its_user(api: Api) -> None:
    api.stored({"session_token": "t"}, {"session_token": "kept"}, user_id="one")
    api.stored({"session_token": "t"}, user_id="two")
    answer = remove(api, "one", "t")
    assert (answer.status_code, answer.json()) == (200, {"removed": True})
    assert (found(api, session_token="t"), found(api, session_token="kept")) == (["two"], ["one"])
    assert api.get("one").json()["alias_count"] == 1
    assert remove(api, "one", "t").json() == {"removed": False}
    api.stored({"session_token": "t"}, user_id="one")
    assert set(found(api, session_token="t")) == {"one", "two"}


def test_only_a_token_of_the_same_application_removes_aliases(
    api: Api, stack: Stack, database: Database[dict[str, Any]]
) -> None:
    api.stored({"session_token": "t"})
    other = Api(stack.http, register(database, "a third one's"))
    with other.client:
        unknown = remove(other, "u", "t")
        assert (unknown.status_code, unknown.json()) == (404, remove(other, "never there", "t").json())
    assert remove(api, "u", "t", **api.writer).status_code == 403
    assert found(api, session_token="t") == ["u"]
    refused = remove(api, "u", "").json()["details"][-1]["field_violations"]
    assert [(each["field"], each["reason"]) for each in refused] == [("session_token", "REQUIRED")]


async def test_grpc_returns_the_same(api: Api, stack: Stack, application: Application) -> None:
    api.stored({"session_token": "t"})
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        response = await UserServiceStub(channel).LookupUsers(
            pb.LookupUsersRequest(session_token="t"),
            metadata=(("authorization", f"Bearer {application.management_token}"),),
        )
    assert [user.user_id for user in response.users] == ["u"]


@pytest.mark.parametrize("field", ["aliases", "avatar_url", "company_id"])
def test_an_index_serves_every_look_up(database: Database[dict[str, Any]], field: str) -> None:
    query = {"application_id": "a", field: "x", "user_id": {"$exists": True}}
    plan = database.profiles.find(query).explain()["queryPlanner"]["winningPlan"]
    assert "COLLSCAN" not in str(plan)
    assert field in str(plan["inputStage"]["keyPattern"])
