"""The status of a running server, over HTTP and over gRPC."""

import socket
from importlib.metadata import version

import grpc
from userfold.v1.status_service_pb2 import GetStatusRequest
from userfold.v1.status_service_pb2_grpc import StatusServiceStub

from tests.support.stack import Api, Stack


def test_the_status_says_how_the_server_is(api: Api, stack: Stack) -> None:
    assert api.update({"user_id": "1"}).status_code == 201
    status = api.client.get("/v1/status", headers=api.reader).json()
    assert (status["is_ready"], status["not_ready_reason"]) == (True, "")
    assert status["version"] == status["gateway_version"] == version("userfold")
    assert status["instance"] == socket.gethostname().partition(".")[0]
    updates, database = status["updates"], status["database"]
    assert updates["recent_group_count"] >= 1
    assert 0 < updates["median_seconds"] <= updates["p95_seconds"]
    assert updates["last_stored_time"] > status["start_time"]
    assert database["version"].count(".") == 2
    assert [member["state"] for member in database["members"]] == ["primary"]
    assert database["schema_version"] == database["supported_schema_version"]
    assert not database["is_migrating"]
    # Nothing says where to connect to, and nothing is of an application.
    text = str(status)
    assert not any(each in text for each in ("127.0.0.1", "mongodb://", stack.grpc.rpartition(":")[2]))
    assert api.application.application_id not in text
    with grpc.insecure_channel(stack.grpc) as channel:
        credential = (("authorization", f"Bearer {api.application.management_token}"),)
        same = StatusServiceStub(channel).GetStatus(GetStatusRequest(), timeout=30, metadata=credential)
    # No gateway passed it on.
    assert (same.version, same.gateway_version) == (version("userfold"), "")
    assert same.start_time.ToJsonString() == status["start_time"]
