"""The origin of a call, in the line of its refusal and in a line of its own."""

import re
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs
from userfold.internal.v1 import user_update_service_pb2 as internal_pb
from userfold.internal.v1.credential_service_pb2 import CheckCredentialRequest
from userfold.v1 import user_service_pb2 as pb

from runtime.reporting.origin import Addresses
from runtime.reporting.request_log import RequestLog
from server.errors import UserNotFound
from server.rpc.observing.refusal_log import flush_reports, status_of_refusal
from tests.server.served import KEY, Served, serving

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ORIGIN = (("x-request-id", "r-1"), ("traceparent", TRACE), ("x-userfold-client-library", "curl/1"))
GIVEN = {"request_id": "r-1", "trace_id": TRACE[3:35], "client_library": "curl/1"}
IDS = {"application": "app", "credential": "c"}
NEW = re.compile("[0-9a-f]{24}")


@pytest.fixture(autouse=True)
async def _own_lines() -> AsyncIterator[None]:
    """Nothing that other tests count is logged here, nor the other way round."""
    flush_reports()
    yield
    flush_reports()


@pytest.fixture
async def logging_served() -> AsyncIterator[Served]:
    """Served fakes, each call to which is logged, with the networks of clients."""
    async with serving(RequestLog(1.0, Addresses.TRUNCATED)) as served:
        yield served


def lines_of(event: str, lines: Any) -> list[dict[str, Any]]:
    """The lines of one event, without their level and duration."""
    return [
        {name: value for name, value in line.items() if name not in ("event", "log_level", "milliseconds")}
        for line in lines
        if line["event"] == event
    ]


async def failed(call: Any) -> str:
    """The request id in the trailing metadata of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    trailers: Any = caught.value.trailing_metadata()
    return str(dict(trailers)["x-request-id"])


async def test_the_line_of_a_refusal_and_its_response_have_the_request_id(served: Served) -> None:
    await served.credentials.CheckCredential(CheckCredentialRequest(), metadata=KEY)
    served.service.defect = UserNotFound()
    with capture_logs() as lines:
        assert await failed(served.stub.GetUser(pb.GetUserRequest(), metadata=(*KEY, *ORIGIN))) == "r-1"
        assert await failed(served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=ORIGIN)) == "r-1"
    refused = lines_of("refused", lines)
    # A collector key may not read.
    assert refused == [
        {"method": "GetUser", "reason": "SCOPE_MISSING", "calls": 1, **IDS, **GIVEN},
        {"method": "UpdateUser", "reason": "CREDENTIAL_MISSING", "calls": 1, **GIVEN},
    ]


async def test_a_call_without_an_id_gets_one(served: Served) -> None:
    with capture_logs() as lines:
        given = await failed(served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=(("x-request-id", "a b"),)))
    (refused,) = lines_of("refused", lines)
    assert refused["request_id"] == given
    assert NEW.fullmatch(given)
    assert refused["client_library"].startswith("grpc-python-asyncio/")


async def test_a_refused_call_for_several_requests_names_them(served: Served) -> None:
    await served.credentials.CheckCredential(CheckCredentialRequest(), metadata=KEY)
    request = internal_pb.BatchUpdateUsersRequest(users_json=[b"{}"] * 3, origins=["r-1 curl/1 -", "r-2", "r-3"])
    served.is_full = True
    with capture_logs() as lines:
        for _ in range(2):
            stream = served.updates.StreamBatchUpdateUsers(metadata=KEY)
            await stream.write(internal_pb.StreamBatchUpdateUsersRequest.FromString(request.SerializeToString()))
            assert (await stream.read()).HasField("error")
            stream.cancel()
        assert await failed(served.updates.BatchUpdateUsers(request, metadata=KEY)) == "r-1"
        flush_reports()
    refused = lines_of("refused", lines)
    ids = ["r-1", "r-2", "r-3"]
    one = {"reason": "OVERLOADED", "calls": 1, "application": "app", "request_ids": ids}
    assert refused == [
        {"method": name, **one} for name in ("StreamBatchUpdateUsers", "BatchUpdateUsers", "StreamBatchUpdateUsers")
    ]


async def test_an_item_that_is_a_request_of_its_own_is_refused_under_its_id(logging_served: Served) -> None:
    async def update(request: Any, call: Any) -> Any:
        call.origins, call.client_addresses = request.origins, request.client_addresses
        error = status_of_refusal("BatchUpdateUsers", UserNotFound(), call.origin_of(1), "users[1].")
        results: Any = [{"response": {}}, {"error": error}, {"response": {}}]
        return internal_pb.BatchUpdateUsersResponse(results=results)

    logging_served.update_batch = update
    request = internal_pb.BatchUpdateUsersRequest(
        users_json=[b"{}"] * 3,
        origins=["r-0 - -", f"r-1 curl/1 {TRACE}", "r-2"],
        client_addresses=["", "192.0.2.7", "2001:db8::1"],
    )
    with capture_logs() as lines:
        await logging_served.updates.BatchUpdateUsers(request, metadata=(*KEY, ("x-request-id", "group")))
    refused = GIVEN | IDS | {"client_address": "192.0.2.0/24", "method": "BatchUpdateUsers"}
    assert lines_of("refused", lines) == [refused | {"reason": "USER_NOT_FOUND", "calls": 1}]
    stored = {"method": "BatchUpdateUsers", "code": "OK", **IDS}
    assert lines_of("request", lines) == [
        stored | {"request_id": "r-0"},
        refused | {"code": "NOT_FOUND", "reason": "USER_NOT_FOUND"},
        stored | {"request_id": "r-2", "client_address": "2001:db8::/48"},
    ]


async def test_each_call_is_one_line_if_that_is_asked_for(logging_served: Served) -> None:
    stub = logging_served.stub
    with capture_logs() as lines:
        await stub.UpdateUser(pb.UpdateUserRequest(), metadata=(*KEY, *ORIGIN))
        stream = stub.StreamUpdateUsers(metadata=(*KEY, ("x-request-id", "r-2")))
        await stream.write(pb.StreamUpdateUsersRequest())
        await stream.done_writing()
        assert [each async for each in stream]
        await failed(stub.GetUser(pb.GetUserRequest(), metadata=(*KEY, ("x-request-id", "r-3"))))
        await failed(stub.GetUser(pb.GetUserRequest(), metadata=(("x-request-id", "r-4"),)))
    library = lines_of("request", lines)[1]["client_library"]
    network = {"client_address": "127.0.0.0/24"}
    assert lines_of("request", lines) == [
        {"method": "UpdateUser", "code": "OK", **GIVEN, **IDS, **network},
        {"method": "StreamUpdateUsers", "code": "OK", "request_id": "r-2", "client_library": library, **IDS, **network},
        {
            **{"method": "GetUser", "code": "PERMISSION_DENIED", "reason": "SCOPE_MISSING", "request_id": "r-3"},
            **{"client_library": library, **IDS, **network},
        },
        {
            **{"method": "GetUser", "code": "UNAUTHENTICATED", "reason": "CREDENTIAL_MISSING", "request_id": "r-4"},
            **{"client_library": library, **network},
        },
    ]
