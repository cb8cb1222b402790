"""Every error over HTTP: status, headers and the whole body."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo.database import Database

from server.accounts.credentials import generate_collector_key, generate_management_token
from tests.support.applications import register
from tests.support.stack import Api

_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_FIELDS = "type.googleapis.com/google.rpc.BadRequest"
_RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retry_delay": "1s"}


def _body(code: int, status: str, reason: str, message: str, *details: object, **more: object) -> dict[str, Any]:
    info = {"@type": _INFO, "reason": reason, "domain": "userfold"} | more
    return {"code": code, "status": status, "message": message, "details": [info, *details]}


def _violations(*violations: tuple[str, str, str]) -> dict[str, Any]:
    keys = ("field", "reason", "description")
    return {"@type": _FIELDS, "field_violations": [dict(zip(keys, item, strict=True)) for item in violations]}


@contextmanager
def _failing(database: Database[dict[str, Any]], command: str, times: int, code: int, **only: object) -> Iterator[None]:
    admin = database.client.admin
    data = {"failCommands": [command], "appName": "userfold", "errorCode": code, **only}
    admin.command({"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data})
    try:
        yield
    finally:
        admin.command({"configureFailPoint": "failCommand", "mode": "off"})


_USER_ID = "a user_id is required: any string of 1 to 512 bytes"


def test_no_credential(api: Api) -> None:
    answer = api.client.post("/v1/users", json={"user_id": "u"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == _body(
        16,
        "UNAUTHENTICATED",
        "CREDENTIAL_MISSING",
        "Send a collector key as X-Moesif-Application-Id, or a management token as Authorization: Bearer.",
    )


@pytest.mark.parametrize(
    "headers", [{"X-Moesif-Application-Id": "unknown"}, {"Authorization": "Bearer unknown"}], ids=["key", "token"]
)
@pytest.mark.parametrize("path", ["/v1/users", "/v1/users/batch"])
def test_an_unknown_credential(api: Api, path: str, headers: dict[str, str]) -> None:
    body: object = [] if path.endswith("batch") else {"user_id": "u"}
    answer = api.client.post(path, json=body, headers=headers)
    assert answer.status_code == 401
    assert answer.json() == _body(
        16, "UNAUTHENTICATED", "CREDENTIAL_UNKNOWN", "The credential belongs to no application."
    )


def test_credentials_in_place_of_each_other_are_recognised(api: Api) -> None:
    key, token = generate_collector_key(), generate_management_token()
    for headers, message in (
        (
            {"Authorization": f"Bearer {key}"},
            "This is a collector key, which is sent as X-Moesif-Application-Id: a bearer token must be a management"
            " token.",
        ),
        (
            {"X-Moesif-Application-Id": token},
            "This is a management token, which is sent as Authorization: Bearer. X-Moesif-Application-Id carries a"
            " collector key.",
        ),
    ):
        answer = api.client.post("/v1/users", json={"user_id": "u"}, headers=headers)
        assert answer.status_code == 401
        assert answer.json() == _body(16, "UNAUTHENTICATED", "CREDENTIAL_UNKNOWN", message)
    # One of another kind is as unknown as any other.
    answer = api.client.get("/v1/users/u", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["message"] == "The credential belongs to no application."


def test_reading_with_a_collector_key(api: Api) -> None:
    answer = api.client.get("/v1/users/u", headers=api.writer)
    assert answer.status_code == 403
    assert answer.json() == _body(
        7,
        "PERMISSION_DENIED",
        "SCOPE_MISSING",
        "The credential may not do this: it takes a management token with the scope that the metadata names.",
        metadata={"scope": "read:users"},
    )


def test_a_user_that_does_not_exist(api: Api) -> None:
    answer = api.get("nobody")
    assert answer.status_code == 404
    assert answer.json() == _body(5, "NOT_FOUND", "USER_NOT_FOUND", "The application has no user with this user_id.")


def test_fields_that_break_rules(api: Api) -> None:
    answer = api.update({"company_id": "x" * 513, "metadata": {"email": {}, "name": []}})
    assert answer.status_code == 400
    assert answer.json() == _body(
        3,
        "INVALID_ARGUMENT",
        "INVALID_REQUEST",
        f"user_id: {_USER_ID} (and 3 more)",
        _violations(
            ("user_id", "REQUIRED", _USER_ID),
            ("company_id", "TOO_LONG", "longer than 512 bytes in UTF-8"),
            ("metadata.email", "WRONG_TYPE", "must be a string"),
            ("metadata.name", "WRONG_TYPE", "must be a string"),
        ),
    )


def test_a_profile_that_would_grow_too_large(api: Api) -> None:
    assert api.update({"user_id": "u", "metadata": {"a": "x" * 600_000}}).status_code == 201
    answer = api.update({"user_id": "u", "metadata": {"b": "x" * 600_000}})
    assert answer.status_code == 400
    assert answer.json() == _body(
        9,
        "FAILED_PRECONDITION",
        "PROFILE_TOO_LARGE",
        "The merged profile would pass 1,048,576 bytes or 50,000 values; nothing of the update was written.",
    )
    batch = api.batch([{"user_id": "u", "metadata": {"b": "x" * 600_000}}, {"user_id": "v"}])
    assert (batch.status_code, batch.json()["saved_count"]) == (400, 1)
    assert [item["status"] for item in batch.json()["refused"]] == [answer.json()]


@pytest.mark.parametrize("path", ["/v1/users:search", "/v1/users:count", "/v1/users:lookup", "/v1/campaigns:report"])
def test_a_query_that_exceeds_the_time_limit_of_the_database_has_no_retry_after(
    api: Api, database: Database[dict[str, Any]], path: str
) -> None:
    body = {"company_id": "c"} if path.endswith("lookup") else {}
    command = "aggregate" if path.endswith(("count", "report")) else "find"
    # A report reads a sample first, and does without one that failed.
    times = 2 if path.endswith("report") else 1
    with _failing(database, command, times, 50, namespace=f"{database.name}.profiles"):
        answer = api.client.post(path, json=body, headers=api.reader)
    assert (answer.status_code, "retry-after" in answer.headers) == (400, False)
    assert answer.json() == _body(
        9,
        "FAILED_PRECONDITION",
        "QUERY_TOO_SLOW",
        "The database did not answer in time. A user_id, a company_id or a range of created_time makes it faster.",
    )


def test_a_write_that_the_database_did_not_confirm(api: Api, database: Database[dict[str, Any]]) -> None:
    for path, body in (("/v1/users", {"user_id": "u"}), ("/v1/users/batch", [{"user_id": "u"}])):
        with _failing(database, "update", 1, 50):
            answer = api.client.post(path, json=body, headers=api.writer)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        status = answer.json() if isinstance(body, dict) else answer.json()["refused"][0]["status"]
        assert status == _body(
            14,
            "UNAVAILABLE",
            "WRITE_OUTCOME_UNKNOWN",
            "The database did not confirm the write, which may have been applied. Sending it again is safe.",
            _RETRY,
        )


def test_a_database_that_does_not_answer(api: Api, database: Database[dict[str, Any]]) -> None:
    fresh = Api(str(api.client.base_url), register(database, generate_collector_key()))
    with fresh.client, _failing(database, "find", 2, 50):
        answers = [fresh.update({"user_id": "u"}), api.get("u")]
    expected = _body(
        14,
        "UNAVAILABLE",
        "DATABASE_UNAVAILABLE",
        "The database does not answer; the request has had no effect. Send it again later.",
        _RETRY,
    )
    assert [(answer.status_code, answer.headers["retry-after"], answer.json()) for answer in answers] == [
        (503, "1", expected)
    ] * 2


def test_a_defect(api: Api, database: Database[dict[str, Any]]) -> None:
    with _failing(database, "update", 1, 13):
        answer = api.update({"user_id": "u"})
    assert answer.status_code == 500
    error_id = answer.json()["details"][0]["metadata"].pop("error_id")
    assert len(error_id) == 32
    expected = _body(
        13,
        "INTERNAL",
        "INTERNAL",
        "A defect of the server, found in its log by the error_id. Sending the request again is safe.",
    )
    expected["details"][0]["metadata"] = {"error_id": error_id}
    assert answer.json() == expected


def test_a_batch_with_refused_users_saves_the_others(api: Api) -> None:
    answer = api.batch(
        [
            {"user_id": "a"},
            {"user_id": "b", "metadata": {"email": []}},
            "no user",
            {"user_id": "c", "nickname": "x"},
            {"company_id": "c"},
        ]
    )
    assert answer.status_code == 400
    body = answer.json()
    expected = _body(3, "INVALID_ARGUMENT", "BATCH_PARTLY_REFUSED", "3 of 5 users were refused; the others are saved.")
    assert {key: body[key] for key in expected} == expected
    assert body["saved_count"] == 2
    assert [warning["field"] for warning in body["warnings"]] == ["users[3].nickname"]
    assert [item["index"] for item in body["refused"]] == [1, 2, 4]
    assert [item["status"] for item in body["refused"]] == [
        _body(3, "INVALID_ARGUMENT", "INVALID_REQUEST", f"{violation[0]}: {violation[2]}", _violations(violation))
        for violation in (
            ("users[1].metadata.email", "WRONG_TYPE", "must be a string"),
            ("users[2]", "WRONG_TYPE", "must be an object"),
            ("users[4].user_id", "REQUIRED", _USER_ID),
        )
    ]
    assert [api.get(user_id).status_code for user_id in "abc"] == [200, 404, 200]


def test_a_batch_of_5_000_users_is_stored_in_its_order(api: Api) -> None:
    answer = api.batch([{"user_id": f"u{number % 7}", "metadata": {"n": number}} for number in range(5000)])
    assert (answer.status_code, answer.json()) == (201, {"saved_count": 5000})
    last = {api.get(f"u{number}").json()["metadata"]["n"] for number in range(7)}
    assert last == set(range(4993, 5000))


@pytest.mark.parametrize(
    ("path", "size", "limit"), [("/v1/users", 1 << 20, "1,048,576"), ("/v1/users/batch", 12 << 20, "12,582,912")]
)
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_a_body_too_large(api: Api, path: str, size: int, limit: str, compressed: bool) -> None:
    body = b'{"user_id": "u", "metadata": {"a": "%s"}}' % (b"x" * size)
    headers = {"Content-Encoding": "gzip"} if compressed else {}
    answer = api.raw(gzip.compress(body) if compressed else body, path, **headers)
    assert answer.status_code == 413
    assert answer.json() == _body(
        3, "INVALID_ARGUMENT", "BODY_TOO_LARGE", f"The body may have at most {limit} bytes, inflated."
    )


def test_a_body_that_is_not_json(api: Api) -> None:
    answer = api.raw('{"user_id": "é", "metadata": {"v": nan}}'.encode())
    assert answer.status_code == 400
    assert answer.json() == _body(
        3, "INVALID_ARGUMENT", "BODY_NOT_JSON", "The body is not JSON in UTF-8: it is invalid at byte 36."
    )


def test_an_unknown_encoding(api: Api) -> None:
    answer = api.raw(b"{}", **{"Content-Encoding": "br"})
    assert answer.status_code == 415
    assert answer.json() == _body(
        3, "INVALID_ARGUMENT", "UNSUPPORTED_CONTENT_ENCODING", "Content-Encoding must be gzip or identity."
    )


def test_a_path_that_does_not_exist(api: Api) -> None:
    answer = api.client.get("/v1/nowhere")
    assert answer.status_code == 404
    assert answer.json() == _body(5, "NOT_FOUND", "ROUTE_NOT_FOUND", "There is no route with this path.")


def test_a_method_that_the_path_does_not_have(api: Api) -> None:
    answer = api.client.put("/v1/users/batch")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, POST"
    assert answer.json() == _body(12, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED", "This path does not have this method.")
