"""Erasure, suppression, export and removal of aliases, over HTTP and gRPC."""

import asyncio
from typing import Any

import grpc
import pytest
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.users.ids import alias_digest
from tests.support.applications import Application
from tests.support.database_dump import OPLOG, dump
from tests.support.stack import Api, Stack, percent_encoded

SUPPRESSED = {
    "field": "user_id",
    "reason": "SUPPRESSED",
    "description": "accepted but not stored: the user was erased, and its updates are suppressed for a period",
}


def erase(api: Api, user_id: str, **query: Any) -> Any:
    return api.client.delete(f"/v1/users/{percent_encoded(user_id)}", params=query, headers=api.reader)


def post(api: Api, verb: str, **body: Any) -> Any:
    return api.client.post(f"/v1/users:{verb}", json=body, headers=api.reader)


def everything(database: Database[dict[str, Any]]) -> bytes:
    """The bytes of everything in MongoDB except the oplog."""
    return b"".join(dump(database.client, without={OPLOG}).values())


@pytest.mark.parametrize("query", [{}, {"suppress_days": 30}])
def test_nothing_of_an_erased_user_remains(
    api: Api, application: Application, database: Database[dict[str, Any]], query: dict[str, Any]
) -> None:
    marker = f"marker-{application.application_id}"
    email = f"{marker}@acme.com"
    assert api.update({"anonymous_id": f"{marker}-a", "campaign": {"utm_source": f"{marker}-c"}}).status_code == 201
    api.stored(
        {
            "anonymous_id": f"{marker}-a",
            "session_token": f"{marker}-t",
            "company_id": f"{marker}-o",
            "campaign": {"utm_source": f"{marker}-c"},
            "metadata": {"email": email, f"{marker}-k": [f"{marker}-v"]},
            "user_agent_string": f"{marker}-u",
            "ip_address": "203.0.113.77",
        },
        user_id=marker,
    )
    # Another browser, another id, and a visitor whom an earlier version did not merge.
    api.stored({"anonymous_id": f"{marker}-b"}, user_id=marker)
    api.stored({"metadata": {"of": f"{marker}-m"}}, user_id=f"{marker}-m")
    merged = api.client.post(f"/v1/users/{marker}:merge", json={"source_user_id": f"{marker}-m"}, headers=api.reader)
    assert merged.json() == {"merged": True}
    api.update({"anonymous_id": f"{marker}-d", "metadata": {"of": f"{marker}-d"}})
    mine = {"application_id": application.application_id, "user_id": marker}
    database.profiles.update_one(mine, {"$push": {"anonymous_ids": {"$each": [f"{marker}-d"], "$position": 0}}})
    digest = alias_digest(application.application_id, f"{marker}-t")
    traces = [marker.encode(), digest, digest.hex().encode(), b"203.0.113.77"]
    assert all(trace in everything(database) for trace in traces[:2] + traces[3:])
    shown = {"deleted": True, "alias_count": 1, "visitor_count": 1, "pointer_count": 3}
    assert erase(api, marker, validate_only=True, **query).json() == shown
    assert erase(api, f"{marker}-m", **query).json() == {"deleted": True}
    left = everything(database)
    assert [trace for trace in traces if trace in left] == []
    own = {"_id": {"$regex": f"^{application.application_id}/"}}
    # Of the user, the other id, and three browsers.
    assert [set(each) for each in database.profiles.find(own)] == (
        [{"_id", "suppressed_time", "suppressed_until"}] * 5 if query else []
    )


@pytest.mark.parametrize("user_id", ["a/b", "auth0|12", "%2F", "é", "x" * 512])
def test_an_erased_user_is_not_found_anywhere(api: Api, user_id: str) -> None:
    api.stored({"session_token": "t", "company_id": "c"}, user_id=user_id)
    assert erase(api, user_id, suppress_days=1).json() == {"deleted": True}
    assert erase(api, user_id).json() == {"deleted": False}
    assert api.get(user_id).json() == api.get("never").json()
    assert post(api, "lookup", session_token="t").json() == {"users": [], "next_page_token": "", "companies": []}
    listed = api.client.get("/v1/users", headers=api.reader).json()
    assert (listed["users"], api.client.get("/v1/users:count", headers=api.reader).json()) == ([], {"count": 0})
    exported = api.client.get(f"/v1/users/{percent_encoded(user_id)}:export", headers=api.reader)
    assert (exported.status_code, exported.json()) == (404, api.get("never").json())


def test_without_suppression_an_update_creates_the_user_again(api: Api) -> None:
    api.stored({"metadata": {"old": 1}})
    erase(api, "u")
    assert api.stored({"metadata": {"new": 1}})["metadata"] == {"new": 1}


def test_a_late_update_is_accepted_and_dropped_with_a_warning(api: Api) -> None:
    erase(api, "u", suppress_days=30)
    answer = api.update({"user_id": "u", "metadata": {"phone": 1}})
    assert (answer.status_code, answer.json()["warnings"][-1]) == (201, SUPPRESSED)
    batch = api.batch([{"user_id": "other"}, {"user_id": "u"}])
    assert (batch.status_code, batch.json()["warnings"]) == (201, [SUPPRESSED | {"field": "users[1].user_id"}])
    assert (api.get("u").status_code, api.get("other").status_code) == (404, 200)


async def test_a_late_update_of_a_stream_is_acknowledged_as_suppressed(
    api: Api, stack: Stack, application: Application
) -> None:
    erase(api, "u", suppress_days=30)
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        call = UserServiceStub(channel).StreamUpdateUsers(
            iter([pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="u"), UserUpdate(user_id="v")])]),
            metadata=(("x-moesif-application-id", application.collector_key),),
        )
        acknowledgements = [each async for response in call for each in response.acknowledgements]
    suppressed = {each.sequence_number: each.response.suppressed for each in acknowledgements}
    assert suppressed == {0: True, 1: False}
    assert [each.HasField("error") for each in acknowledgements] == [False, False]


async def test_no_late_update_restores_a_suppressed_user(
    api: Api, stack: Stack, application: Application, database: Database[dict[str, Any]]
) -> None:
    erased = asyncio.Event()
    after: list[Any] = []

    async def write(number: int) -> None:
        for count in range(30):
            late = erased.is_set()
            answer = await asyncio.to_thread(api.update, {"user_id": "u", "metadata": {f"k{number}": count}})
            assert answer.status_code == 201
            if late:
                after.append(answer.json()["warnings"])

    writers = [asyncio.create_task(write(number)) for number in range(8)]
    await asyncio.sleep(0.05)
    assert (await asyncio.to_thread(erase, api, "u", suppress_days=1)).status_code == 200
    erased.set()
    await asyncio.gather(*writers)
    assert after
    assert all(each == [SUPPRESSED] for each in after)
    own = {"_id": {"$regex": f"^{application.application_id}/"}}
    assert [set(each) for each in database.profiles.find(own)] == [{"_id", "suppressed_time", "suppressed_until"}]


def test_a_batch_of_users_is_erased_with_a_result_for_each(api: Api) -> None:
    api.batch([{"user_id": "a"}, {"user_id": "b"}])
    answer = post(api, "batchDelete", user_ids=["a", "", "never", "x" * 513, "b"], suppress_days=1)
    results = answer.json()["results"]
    erased = {index: each["response"]["deleted"] for index, each in enumerate(results) if "response" in each}
    assert erased == {0: True, 2: False, 4: True}
    refused = {index: each["error"] for index, each in enumerate(results) if "error" in each}
    assert sorted(refused) == [1, 3]
    fields = [each["details"][1]["field_violations"][0] for each in refused.values()]
    assert [(each["field"], each["reason"]) for each in fields] == [
        ("user_ids[1]", "REQUIRED"),
        ("user_ids[3]", "TOO_LONG"),
    ]
    assert (api.get("a").status_code, api.get("b").status_code) == (404, 404)


def test_a_batch_may_have_a_thousand_users(api: Api) -> None:
    ids = [f"u{number}" for number in range(1000)]
    api.batch([{"user_id": user_id, "session_token": user_id} for user_id in ids])
    removed = post(api, "batchRemoveAliases", requests=[{"user_id": each, "session_token": each} for each in ids])
    assert [each["response"]["removed"] for each in removed.json()["results"]] == [True] * 1000
    assert len(post(api, "batchExport", user_ids=ids).json()["results"]) == 1000
    read = post(api, "batchGet", user_ids=ids, fields=["user_id"]).json()["results"]
    assert read == [{"response": {"user": {"user_id": each}}} for each in ids]
    assert [each["response"]["deleted"] for each in post(api, "batchDelete", user_ids=ids).json()["results"]] == [
        True
    ] * 1000
    for verb, body in (
        ("batchDelete", {"user_ids": [*ids, "x"]}),
        ("batchExport", {"user_ids": [*ids, "x"]}),
        ("batchGet", {"user_ids": [*ids, "x"]}),
        ("batchRemoveAliases", {"requests": [{"user_id": "u", "session_token": "t"}] * 1001}),
    ):
        answer = post(api, verb, **body)
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (400, "BATCH_TOO_LARGE")


@pytest.mark.parametrize("days", [-1, 3651])
def test_the_suppression_period_is_limited(api: Api, days: int) -> None:
    for answer in (erase(api, "u", suppress_days=days), post(api, "batchDelete", user_ids=["u"], suppress_days=days)):
        violation = answer.json()["details"][1]["field_violations"][0]
        assert (answer.status_code, violation["field"], violation["reason"]) == (400, "suppress_days", "OUT_OF_RANGE")


def test_an_export_contains_everything_that_is_stored(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    api.update({"anonymous_id": "b", "session_token": "t"})
    api.update({"anonymous_id": "a", "campaign": {"utm_source": "seen"}, "session_token": "t0"})
    api.stored({"anonymous_id": "b", "session_token": "t1", "metadata": {"a.b": [1, None]}})
    api.update({"anonymous_id": "c", "session_token": "t3"})
    # As an earlier version stored them: the user has the ids, and the visitors stayed apart.
    mine = {"application_id": application.application_id, "user_id": "u"}
    database.profiles.update_one(mine, {"$set": {"anonymous_id": "a", "anonymous_ids": ["c", "b"]}})
    profile = api.stored({"session_token": "t2", "ip_address": "203.0.113.7"})
    answer = api.client.get("/v1/users/u:export", headers=api.reader).json()
    visitor, other = sorted(answer["visitors"], key=lambda each: str(each["visitor"]["anonymous_id"]))
    assert answer == {
        "user": profile,
        "alias_digests": [alias_digest(application.application_id, token).hex() for token in ("t", "t1", "t2")],
        "visitors": answer["visitors"],
    }
    assert (other["visitor"]["anonymous_id"], len(answer["visitors"])) == ("c", 2)
    assert (profile["ip_address"], profile["observed_ip_address"]) == ("203.0.113.7", "127.0.0.1")
    seen = visitor["visitor"]
    assert (seen["user_id"], seen["anonymous_id"], seen["campaign"]) == ("", "a", {"utm_source": "seen"})
    assert visitor["alias_digests"] == [alias_digest(application.application_id, "t0").hex()]
    several = post(api, "batchExport", user_ids=["u", "never", ""]).json()["results"]
    assert several[0] == {"response": {"user_export": answer}}
    assert [each["error"]["code"] for each in several[1:]] == [5, 3]
    assert api.stored({}, user_id="alone")["user_id"] == "alone"
    alone = api.client.get("/v1/users/alone:export", headers=api.reader).json()
    assert (alone["alias_digests"], alone["visitors"]) == ([], [])


def test_each_item_that_does_not_fit_the_response_has_its_own_error(api: Api) -> None:
    ids = [f"u{number}" for number in range(20)]
    for start in range(0, len(ids), 10):
        api.batch([{"user_id": each, "metadata": {"x": "x" * 900_000}} for each in ids[start : start + 10]])
    results = post(api, "batchExport", user_ids=[*ids, "never"]).json()["results"]
    whole = [each for each in results if "response" in each]
    assert 8 <= len(whole) < 20
    assert {each["error"]["details"][0]["reason"] for each in results[len(whole) :]} == {"RESPONSE_TOO_LARGE"}


def test_a_batch_of_aliases_is_removed_with_a_result_for_each(api: Api) -> None:
    api.stored({"session_token": "t"})
    asked = [("u", "t"), ("u", "t"), ("never", "t"), ("u", ""), ("", "t")]
    requests = [{"user_id": user_id, "session_token": token} for user_id, token in asked]
    results = post(api, "batchRemoveAliases", requests=requests).json()["results"]
    assert sorted(each["response"]["removed"] for each in results[:2]) == [False, True]
    assert [each["error"]["code"] for each in results[2:]] == [5, 3, 3]
    fields = [each["error"]["details"][1]["field_violations"][0]["field"] for each in results[3:]]
    assert fields == ["requests[3].session_token", "requests[4].user_id"]
