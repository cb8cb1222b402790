"""Suggestions of users while somebody types, over HTTP and gRPC."""

from typing import Any

import grpc
import pytest
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.users.ids import profile_id
from tests.support.applications import Application, register
from tests.support.stack import Api, Stack


def suggest(api: Api, **asked: Any) -> Any:
    return api.client.post("/v1/users:suggest", json=asked, headers=api.reader)


def suggested(api: Api, text: str, page_size: int = 50) -> list[tuple[str, str]]:
    """The ids of the suggested users, each with the field that begins with the text."""
    response = suggest(api, text=text, page_size=page_size)
    assert response.status_code == 200, response.text
    return [(each["user"]["user_id"], each["matched_field"]) for each in response.json()["suggestions"]]


def by_id(*user_ids: str) -> list[tuple[str, str]]:
    return [(user_id, "user_id") for user_id in user_ids]


def by_email(*user_ids: str) -> list[tuple[str, str]]:
    return [(user_id, "metadata.email") for user_id in user_ids]


def store(api: Api, *users: tuple[str, str | None]) -> None:
    """Store users with these ids and addresses."""
    batch = [{"user_id": user_id} | ({"metadata": {"email": email}} if email else {}) for user_id, email in users]
    assert api.batch(batch).status_code == 201


def test_users_by_id_come_before_users_by_address_and_each_list_is_in_order(api: Api) -> None:
    store(
        api,
        ("joe", "z@acme.com"),
        ("jo", None),
        ("1", "Johnny@acme.com"),
        ("2", "john@acme.com"),
        ("Jo", "jOanna@acme.com"),
        ("3", "ajo@acme.com"),
        ("4", "x@jo.com"),
    )
    assert suggested(api, "jo") == by_id("jo", "joe") + by_email("Jo", "2", "1")
    assert suggested(api, "JO") == by_email("Jo", "2", "1")
    assert suggested(api, "Jo") == by_id("Jo") + by_email("2", "1")
    assert suggested(api, "john@ACME.com") == by_email("2")
    assert suggested(api, " John@acme.com\n") == by_email("2")
    assert suggested(api, "john@acme.com.") == []


def test_a_user_of_whom_both_begin_with_the_text_is_suggested_once(api: Api) -> None:
    store(api, ("joe@acme.com", "joe@acme.com"), ("x", "joe@acme.org"))
    assert suggested(api, "joe") == by_id("joe@acme.com") + by_email("x")
    assert suggested(api, "Joe") == by_email("joe@acme.com", "x")


def test_neither_list_displaces_the_other(api: Api) -> None:
    store(api, *((f"a{number}", None) for number in range(9)), *((f"{n}", f"a{n}@acme.com") for n in range(9)))
    assert suggested(api, "a", page_size=4) == by_id("a0", "a1") + by_email("0", "1")
    assert len(suggest(api, text="a").json()["suggestions"]) == 10
    assert len(suggested(api, "a", page_size=1000)) == 18


HOSTILE = [
    *("$", "$ne", ".*", "^a", "a|b", "[a-z]", "\\", "\\d", "(", "/", "%", "*", "?", "{}", '{"$gt": ""}', "\0", "a\0b"),
    *("\x7f", "é", "\ud7ff", "\ue000", "\uffff", "😀", "a\U0010ffff", "\U0010ffff", "\U0010ffff\U0010ffff", "null"),
]


def test_no_character_of_a_text_has_a_meaning(api: Api) -> None:
    ids = sorted({*HOSTILE, *(f"{text}x" for text in HOSTILE), "a", "b", "z"})
    store(api, *((user_id, None) for user_id in ids))
    for text in HOSTILE:
        expected = sorted((each for each in ids if each.startswith(text)), key=str.encode)
        assert suggested(api, text) == by_id(*expected), ascii(text)


def test_half_a_surrogate_pair_is_refused(api: Api) -> None:
    answer = api.client.post("/v1/users:suggest", content=rb'{"text": "\ud83d"}', headers=api.reader)
    assert answer.status_code == 400


def test_addresses_of_other_scripts_begin_with_their_own_letters(api: Api) -> None:
    store(api, ("1", "josé@exämple.com"), ("2", "用户@例え.jp"), ("3", "ÉMILE@acme.com"))
    assert suggested(api, "JOSé") == by_email("1")
    assert suggested(api, "用户@例") == by_email("2")
    assert suggested(api, "Émile@ACME") == by_email("3")


def test_an_address_is_suggested_as_long_as_it_is_stored(api: Api) -> None:
    api.stored({"metadata": {"email": "joe@acme.com"}}, {"metadata": {"email": "jack@acme.com"}})
    assert (suggested(api, "joe"), suggested(api, "jack")) == ([], by_email("u"))
    api.stored({"metadata": {"email": "jack, no address"}})
    assert suggested(api, "jack") == []
    api.stored({"metadata": {"email": "jack@acme.com", "a": {"b": {}}}}, {"metadata": {"email": None}})
    assert suggested(api, "jack") == []
    store(api, ("gone", "gone@acme.com"))
    assert api.client.delete("/v1/users/gone", headers=api.reader).status_code == 200
    assert suggested(api, "gone") == []


def test_a_suggestion_is_a_small_part_of_the_profile(api: Api) -> None:
    metadata = {"email": "joe@acme.com", "name": "Joe Doe", "first_name": "Joe", "last_name": "Doe"}
    others = {"phone": "1", "plan": "pro", "a": {"name": "b"}}
    update = {"company_id": "c", "session_token": "t", "anonymous_id": "v", "campaign": {"utm_source": "google"}}
    stored = api.stored(update | {"metadata": metadata | others})
    expected = {"user_id": "u", "company_id": "c", "stored_time": stored["stored_time"], "metadata": metadata}
    for text, matched_field in (("u", "user_id"), ("joe", "metadata.email")):
        answer = suggest(api, text=text).json()
        assert answer == {"suggestions": [{"user": expected, "matched_field": matched_field}]}
    (user,) = (each["user"] for each in _without_name(api))
    assert user["metadata"] == {}


def _without_name(api: Api) -> Any:
    api.stored({"metadata": {"plan": "pro"}}, user_id="w")
    return suggest(api, text="w").json()["suggestions"]


def test_long_strings_are_cut(api: Api) -> None:
    metadata = {
        "email": "no address" + "é" * 600,
        "name": "😀" * 200_000,
        "first_name": "x" * 512,
        "last_name": "y" * 513,
    }
    api.stored({"metadata": metadata})
    (suggestion,) = suggest(api, text="u").json()["suggestions"]
    assert suggestion["user"]["metadata"] == {name: text[:512] for name, text in metadata.items()}


def test_a_visitor_without_a_user_id_is_not_suggested(api: Api) -> None:
    assert api.update({"anonymous_id": "joe", "metadata": {"email": "joe@acme.com"}}).status_code == 201
    assert suggested(api, "joe") == []


def test_an_application_is_suggested_no_user_of_another(
    api: Api, stack: Stack, database: Database[dict[str, Any]]
) -> None:
    other = Api(stack.http, register(database, "a neighbour"))
    with other.client:
        for each, name in ((api, "own"), (other, "other")):
            store(each, (f"a-{name}", None), (f"1-{name}", f"a-{name}@acme.com"))
        assert suggested(api, "a") == by_id("a-own") + by_email("1-own")
        assert suggested(other, "a") == by_id("a-other") + by_email("1-other")


@pytest.mark.parametrize(
    ("asked", "violation"),
    [
        ({}, ("text", "REQUIRED")),
        ({"text": ""}, ("text", "REQUIRED")),
        ({"text": "x" * 513}, ("text", "TOO_LONG")),
        ({"text": "x", "page_size": -1}, ("page_size", "OUT_OF_RANGE")),
        ({"text": {"$gt": ""}}, ("text", "WRONG_TYPE")),
    ],
)
def test_what_breaks_a_rule_is_refused(api: Api, asked: dict[str, Any], violation: tuple[str, str]) -> None:
    answer = suggest(api, **asked)
    assert answer.status_code == 400
    (found,) = answer.json()["details"][-1]["field_violations"]
    assert (found["field"], found["reason"]) == violation


def test_metadata_is_a_struct_over_grpc(api: Api, stack: Stack, application: Application) -> None:
    api.stored({"metadata": {"email": "joe@acme.com", "plan": "pro"}})
    credential = [("authorization", f"Bearer {application.management_token}")]
    with grpc.insecure_channel(stack.grpc) as channel:
        stub: Any = UserServiceStub(channel)
        (suggestion,) = stub.SuggestUsers(pb.SuggestUsersRequest(text="joe"), metadata=credential).suggestions
    assert dict(suggestion.user.metadata) == {"email": "joe@acme.com"}
    assert suggestion.matched_field == "metadata.email"


def test_the_key_of_an_address_is_stored_and_never_returned(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    stored = api.stored({"metadata": {"email": " Joe@Acme.com "}})
    document = database.profiles.find_one({"_id": profile_id(application.application_id, "u")}) or {}
    assert document["email_key"] == "joe@acme.com"
    assert "email_key" not in stored
