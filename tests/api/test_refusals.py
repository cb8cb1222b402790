"""Refusals of every kind, made over HTTP and gRPC, are in the list of their application, and in no other."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import grpc
import pytest
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.accounts.credentials import generate_collector_key
from tests.support.applications import Application, register
from tests.support.stack import Api, Stack
from tests.support.waiting import wait_until

LIBRARY = {"User-Agent": "moesifapi-python/1.5.5"}


def listed(api: Api) -> Sequence[Mapping[str, Any]]:
    response = api.client.get("/v1/refusals", headers=api.reader)
    assert response.status_code == 200, response.text
    refusals: Sequence[Mapping[str, Any]] = response.json()["refusals"]
    return refusals


def kinds(api: Api) -> set[tuple[Any, ...]]:
    """Reason, method, fields, name of the library, and count of what is listed."""
    return {
        (
            each["reason"] + " (warning)" * each["is_warning"],
            each["method"],
            *(f"{field['field']} {field['reason']}" for field in each["fields"]),
            each["client_library"].partition("/")[0],
            each["count"],
        )
        for each in listed(api)
    }


def test_refusals_of_gateway_and_server_are_listed(
    api: Api, stack: Stack, application: Application, database: Database[dict[str, Any]]
) -> None:
    other = Api(stack.http, register(database, generate_collector_key()))
    assert (listed(api), listed(other)) == ([], [])
    sender = api.writer | LIBRARY
    send = api.client.post
    # Refused by the gateway, which does not call the server.
    for _ in range(3):
        assert send("/v1/users", content=b"{", headers=sender).status_code == 400
    assert send("/v1/users", json={"user_id": "john", "ip_address": []}, headers=sender).status_code == 400
    assert send("/v1/user", json={}, headers=sender).status_code == 404
    # Refused by the server: the gateway reports it, with the library.
    assert send("/v1/users", json={"user_id": "x" * 513}, headers=sender).status_code == 400
    assert send("/v1/users/batch", json=[{"user_id": "a"}, {}, {}], headers=sender).status_code == 400
    assert api.client.get("/v1/users/never", headers=api.reader | LIBRARY).status_code == 404
    # Accepted with warnings.
    assert send("/v1/users", json={"user_id": "a", "metadata": {"email": "john"}}, headers=sender).status_code == 201
    assert send("/v1/subscriptions", json={}, headers=sender).status_code == 201
    # Over gRPC.
    key = (("x-moesif-application-id", application.collector_key),)
    with grpc.insecure_channel(stack.grpc) as channel:
        stub = UserServiceStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.UpdateUser(pb.UpdateUserRequest(user=UserUpdate(company_id="x" * 513)), metadata=key)
        with pytest.raises(grpc.RpcError):
            stub.GetUser(pb.GetUserRequest(user_id="a"), metadata=key)
        stub.BatchUpdateUsers(pb.BatchUpdateUsersRequest(users=[UserUpdate()] * 5), metadata=key)
    expected = {
        ("BODY_NOT_JSON", "/v1/users", "moesifapi-python", 3),
        ("INVALID_REQUEST", "/v1/users", "ip_address WRONG_TYPE", "moesifapi-python", 1),
        ("ROUTE_NOT_FOUND", "POST /v1/user", "moesifapi-python", 1),
        ("INVALID_REQUEST", "/v1/users", "user_id TOO_LONG", "moesifapi-python", 1),
        ("BATCH_PARTLY_REFUSED", "/v1/users/batch", "moesifapi-python", 1),
        ("INVALID_REQUEST", "/v1/users/batch", "user_id REQUIRED", "moesifapi-python", 2),
        ("USER_NOT_FOUND", "/v1/users/{user_id}", "moesifapi-python", 1),
        (
            "NOT_AN_EMAIL_ADDRESS (warning)",
            "/v1/users",
            "metadata NOT_AN_EMAIL_ADDRESS",
            "moesifapi-python",
            1,
        ),
        ("NOT_STORED (warning)", "/v1/subscriptions", "moesifapi-python", 1),
        ("INVALID_REQUEST", "UpdateUser", "company_id TOO_LONG", "user_id REQUIRED", "grpc-python", 1),
        ("SCOPE_MISSING", "GetUser", "grpc-python", 1),
        ("INVALID_REQUEST", "BatchUpdateUsers", "user_id REQUIRED", "grpc-python", 5),
    }
    with suppress(TimeoutError):  # The comparison below shows the difference.
        wait_until(lambda: kinds(api) == expected, seconds=30)
    assert kinds(api) == expected
    times = [(each["first_time"], each["last_time"]) for each in listed(api)]
    assert all(first <= last for first, last in times)
    assert [last for _, last in times] == sorted((last for _, last in times), reverse=True)
    assert listed(other) == []
    other.client.close()
    own = list(database.refusals.find({"application_id": application.application_id}))
    assert not any(value in repr(own) for value in ("john", "never", application.collector_key))
