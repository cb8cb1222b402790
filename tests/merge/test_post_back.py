"""A user that was read can be posted back unchanged: only `stored_time` changes."""

from typing import Any

import pytest
from pymongo.database import Database

from tests.support.stack import Api

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"

USERS: list[list[dict[str, Any]]] = [
    [{}],
    [
        {
            "company_id": "c",
            "anonymous_id": "a",
            "session_token": "t",
            "user_agent_string": FIREFOX,
            "modified_time": "2026-01-02T03:04:05.123456789Z",
            "campaign": {"utm_source": "google", "utm_medium": "cpc", "gclid": "1"},
            "metadata": {"email": "john@acmeinc.com", "deep": {"a.b": [1, None, {"$set": 24000}]}, "": 2**63},
        },
        {"campaign": {"utm_source": "bing"}, "metadata": {"name": "John", "ratio": 0.1}},
    ],
    [{"ip_address": "203.0.113.7", "metadata": {"email": "john@gmail.com"}}, {"company_id": "c"}],
]


@pytest.mark.parametrize("updates", USERS, ids=["nothing", "much", "a given address"])
@pytest.mark.parametrize("is_batch", [False, True], ids=["alone", "in a batch"])
def test_a_user_that_was_read_can_be_posted_back(api: Api, updates: list[dict[str, Any]], is_batch: bool) -> None:
    before = api.stored(*updates)
    answer = api.batch([before]) if is_batch else api.update(before)
    assert (answer.status_code, answer.json()) == (201, {"saved_count": 1} if is_batch else {})
    after = api.get("u").json()
    # It has changed if a millisecond has passed.
    for user in (before, after):
        assert user.pop("stored_time")
    assert after == before


def test_an_observed_address_does_not_become_the_ip_address(api: Api, database: Database[dict[str, Any]]) -> None:
    before = api.stored({})
    assert before["ip_address"] == before["observed_ip_address"] == "127.0.0.1"
    assert api.update(before).json() == {}
    assert api.batch([{"userId": "u", "ipAddress": "127.0.0.1", "observedIpAddress": "127.0.0.1"}]).status_code == 201
    (stored,) = database.profiles.find({"application_id": api.application.application_id})
    assert (stored["observed_ip_address"], "ip_address" in stored) == ("127.0.0.1", False)


def test_an_observed_address_cannot_be_sent(api: Api) -> None:
    before = api.stored({"ip_address": "203.0.113.7"})
    assert (before["ip_address"], "observed_ip_address" in before) == ("203.0.113.7", False)
    assert api.update(before | {"observed_ip_address": "203.0.113.8"}).json() == {}
    after = api.get("u").json()
    assert (after["ip_address"], "observed_ip_address" in after) == ("203.0.113.7", False)


def test_members_in_camel_case_are_accepted_as_well(api: Api) -> None:
    def camel_case(name: str) -> str:
        first, *others = name.split("_")
        return first + "".join(map(str.title, others))

    before = api.stored(*USERS[1])
    answer = api.update({camel_case(name): value for name, value in before.items()})
    assert (answer.status_code, answer.json()) == (201, {})
    after = api.get("u").json()
    assert {**after, "stored_time": ""} == {**before, "stored_time": ""}


def test_all_users_of_a_page_can_be_posted_back(api: Api) -> None:
    for number, updates in enumerate(USERS):
        for update in updates:
            assert api.update({"user_id": str(number)} | update).status_code == 201
    before = api.client.get("/v1/users", headers=api.reader).json()["users"]
    assert len(before) == len(USERS)
    assert api.batch(before).json() == {"saved_count": len(USERS)}
    after = api.client.get("/v1/users", headers=api.reader).json()["users"]
    assert [{**user, "stored_time": ""} for user in after] == [{**user, "stored_time": ""} for user in before]
