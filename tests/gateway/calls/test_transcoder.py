"""A request end to end, over a real socket and a real gRPC server."""

import asyncio
from typing import Any

import grpc
import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2
from userfold.v1 import user_pb2
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.warning_pb2 import Warning

from gateway.transcoding import json_parser
from tests.gateway.fakes import Failure, FakeUserService
from tests.gateway.messages import bad_request, error_info, reasons, retry_info, status_with, violations
from tests.gateway.running import Backend, Gateway, running_gateway
from tests.support.waiting import later, until

KEY = {"X-Moesif-Application-Id": "a key with spaces"}
EXAMPLE: dict[str, Any] = {
    "user_id": "12345",
    "company_id": "67890",
    "session_token": "XXXXXXXXXX",
    "modified_time": "2026-01-02T03:04:05.914",
    "campaign": {"utm_source": "google", "utm_medium": "cpc"},
    "metadata": {"email": "john@acmeinc.com", "sales_info": {"stage": "Customer", "lifetime_value": 24000}},
}


async def test_one_user_arrives_as_sent_and_is_answered_201(gateway: Gateway, service: FakeUserService) -> None:
    answer = await gateway.post("/v1/users", EXAMPLE, **KEY)
    assert (answer.status_code, answer.json()) == (201, {})
    time = Timestamp(seconds=1767323045, nanos=914_000_000)
    expected = {name: value for name, value in EXAMPLE.items() if name != "metadata"} | {"modified_time": time}
    text = orjson.dumps(EXAMPLE["metadata"])
    assert service.request == pb.UpdateUserRequest(user=user_pb2.UserUpdate(**expected, metadata_json=text))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/v1/users", EXAMPLE), ("POST", "/v1/users/batch", [EXAMPLE]), ("GET", "/v1/users/1", None)],
    ids=["gathered", "a batch", "without a body"],
)
async def test_only_credentials_the_client_address_and_the_origin_are_passed_on(
    gateway: Gateway, service: FakeUserService, method: str, path: str, body: object
) -> None:
    headers = {
        **KEY,
        "Authorization": "Bearer T",
        "Cookie": "c=1",
        "Forwarded": "for=9.9.9.9",
        "Grpc-Encoding": "gzip",
        "Grpc-Metadata-Evil": "x",
        "Grpc-Timeout": "1n",
        "Grpc-Trace-Bin": "AAAA",
        "TE": "trailers",
        "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "User-Agent": "evil/1",
        "X-Forwarded-For": "9.9.9.9",
        "X-Moesif-SDK": "x",
        "X-Request-Id": "r-1",
        "X-Userfold-Client-Address": "9.9.9.9",
    }
    answer = await gateway.client.request(method, path, json=body, headers=headers)
    assert answer.is_success
    (metadata,) = service.metadata
    addresses = {metadata["x-userfold-client-address"]} if not service.batches else {*service.client_addresses}
    assert addresses == {"127.0.0.1"}
    assert "evil" not in metadata["user-agent"]
    of_items = {origin for batch in service.batches for origin in batch.origins}
    trace = headers["Traceparent"]
    assert of_items == ({f"r-1 other {trace}"} if service.batches else set())
    assert service.batches or metadata["x-userfold-metadata-format"] == "json"
    origin = {"x-request-id": "r-1", "traceparent": trace}
    ours = {
        "user-agent",
        "x-userfold-client-address",
        "x-userfold-contract",
        "x-userfold-metadata-format",
        "x-userfold-reports-refusals",
    }
    assert {name: metadata[name] for name in metadata.keys() - ours} == {
        "x-moesif-application-id": "a key with spaces",
        "authorization": "Bearer T",
        **({} if service.batches else {**origin, "x-userfold-client-library": "other"}),
    }


async def test_a_call_of_its_own_has_the_client_address_in_its_metadata(
    gateway: Gateway, service: FakeUserService
) -> None:
    await gateway.post("/v1/users/batch", [EXAMPLE])
    await gateway.client.get("/v1/users/1")
    assert [metadata["x-userfold-client-address"] for metadata in service.metadata] == ["127.0.0.1"] * 2
    assert service.batches == []


@pytest.mark.parametrize("key", ["schlüssel".encode(), b"a\tb", b"k" * 5000])
async def test_a_credential_that_grpc_cannot_carry_is_unknown(
    gateway: Gateway, service: FakeUserService, key: bytes
) -> None:
    answer = await gateway.client.post("/v1/users", content=b"{}", headers=[(b"X-Moesif-Application-Id", key)])
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert reasons(answer.json()) == ["CREDENTIAL_UNKNOWN"]
    assert service.requests == []


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        ((), "203.0.113.7", "127.0.0.1"),
        (("10.0.0.0/8",), "203.0.113.7", "127.0.0.1"),
        (("127.0.0.1",), "203.0.113.7", "203.0.113.7"),
        (("127.0.0.0/8", "10.0.0.1"), "198.51.100.1, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (("127.0.0.1",), "2001:db8::7", "2001:db8::7"),
        (("127.0.0.1",), "unknown", ""),
    ],
)
async def test_x_forwarded_for_is_trusted_from_trusted_proxies_only(
    backend: Backend, service: FakeUserService, trusted: tuple[str, ...], forwarded: str, address: str
) -> None:
    async with running_gateway(backend.address, trusted_proxies=trusted) as gateway:
        await gateway.post("/v1/users", {"user_id": "1"}, **{"X-Forwarded-For": forwarded})
        await gateway.client.get("/v1/users/1", headers={"X-Forwarded-For": forwarded})
    assert service.client_addresses == [address]
    assert service.metadata[1]["x-userfold-client-address"] == address


async def test_at_most_20_warnings_are_answered_those_of_decoding_first(
    gateway: Gateway, service: FakeUserService
) -> None:
    warning = Warning(field="metadata.phone", reason="KEPT_AS_TEXT", description="is kept as text")
    service.reply = pb.UpdateUserResponse(warnings=[warning] * 15)
    answer = await gateway.post("/v1/users", {"user_id": "1", **{f"k{number}": 1 for number in range(8)}})
    assert answer.status_code == 201
    warnings = answer.json()["warnings"]
    assert warnings[7] == {
        "field": "k7",
        "reason": "UNKNOWN_FIELD",
        "description": "is ignored: there is no such field",
    }
    assert warnings[8] == {"field": "metadata.phone", "reason": "KEPT_AS_TEXT", "description": "is kept as text"}
    assert len(warnings) == 20


async def test_a_profile_has_the_names_of_the_proto_and_exact_numbers(
    gateway: Gateway, service: FakeUserService
) -> None:
    user: dict[str, Any] = {
        "user_id": "a/b",
        "created_time": Timestamp(seconds=0, nanos=5_000_000),
        "metadata": {"stage": None, "value": 24000, "ratio": 0.1, "list": [1, {"x": True}], "huge": 1e300},
        "user_agent": {"browser": {"name": "Firefox"}},
    }
    service.reply = pb.GetUserResponse(user=user_pb2.User(**user))
    answer = await gateway.client.get("/v1/users/a%2Fb")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "user_id": "a/b",
            "created_time": "1970-01-01T00:00:00.005Z",
            "user_agent": {"browser": {"name": "Firefox"}},
            "metadata": {"stage": None, "value": 24000, "ratio": 0.1, "list": [1, {"x": True}], "huge": 1e300},
        },
    )
    assert '"value":24000,' in answer.text or '"value":24000}' in answer.text
    assert service.request.user_id == "a/b"


@pytest.mark.parametrize(
    ("path", "user_id"),
    [
        ("/v1/users/batch", "batch"),
        ("/v1/users/%252F", "%2F"),
        ("/v1/users/auth0%7C12", "auth0|12"),
        ("/v1/users/a%3Ab", "a:b"),
        ("/v1/users/a%3Aexport", "a:export"),
        ("/v1/users/%E6%97%A5", "日"),
        ("/v1/users/a+b@x.io", "a+b@x.io"),
        ("//v1/users/x", "x"),
    ],
)
async def test_a_user_id_in_the_path_is_percent_decoded(
    gateway: Gateway, service: FakeUserService, path: str, user_id: str
) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Moesif-Application-Id: key\r\nConnection: close\r\n\r\n"
    assert (await gateway.raw(request.encode())).startswith(b"HTTP/1.1 200 OK\r\n")
    assert service.request.user_id == user_id


async def test_a_path_that_is_not_utf8_is_refused(gateway: Gateway, service: FakeUserService) -> None:
    answer = await gateway.client.get("/v1/users/%FF")
    assert answer.status_code == 400
    assert violations(answer.json()) == [("user_id", "NOT_UTF8")]
    assert service.requests == []


async def test_head_is_answered_as_get_without_the_body(gateway: Gateway, service: FakeUserService) -> None:
    service.reply = pb.GetUserResponse(user=user_pb2.User(user_id="1"))
    full, head = await gateway.client.get("/v1/users/1"), await gateway.client.head("/v1/users/1")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(full.content)))


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"1", b'"x"', b"\xef\xbb\xbf"])
async def test_one_user_must_be_an_object(gateway: Gateway, service: FakeUserService, body: bytes) -> None:
    answer = await gateway.post("/v1/users", body)
    error = answer.json()
    if body == b"\xef\xbb\xbf":
        assert reasons(error) == ["BODY_NOT_JSON"]
    else:
        assert (reasons(error), error["message"]) == (["BODY_NOT_AN_OBJECT"], "The body must be a JSON object.")
    assert answer.status_code == 400
    assert service.requests == []


async def test_a_user_with_violations_is_refused_without_a_call(gateway: Gateway, service: FakeUserService) -> None:
    answer = await gateway.post("/v1/users", {"user_id": {}, "campaign": {"gclid": []}, "modified_time": "soon"})
    assert answer.json() == {
        "code": 3,
        "status": "INVALID_ARGUMENT",
        "message": "user_id: must be a string (and 2 more)",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "INVALID_REQUEST",
                "domain": "userfold",
            },
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "field_violations": [
                    {"field": "user_id", "description": "must be a string", "reason": "WRONG_TYPE"},
                    {"field": "campaign.gclid", "description": "must be a string", "reason": "WRONG_TYPE"},
                    {
                        "field": "modified_time",
                        "description": "must be a time such as 2026-01-02T03:04:05Z, in the years 1 to 9999",
                        "reason": "NOT_A_TIME",
                    },
                ],
            },
        ],
    }
    assert service.requests == []


@pytest.mark.parametrize("body", [b"{", b'{"a" 1}', b'{"a":01}', b'{"a":"\n"}'])
async def test_invalid_json_is_refused_with_its_byte(gateway: Gateway, service: FakeUserService, body: bytes) -> None:
    answer = await gateway.post("/v1/users", body)
    error = answer.json()
    assert (answer.status_code, reasons(error)) == (400, ["BODY_NOT_JSON"])
    assert "at byte" in error["message"]
    assert service.requests == []


async def test_the_status_of_the_server_is_passed_on_complete(gateway: Gateway, service: FakeUserService) -> None:
    status = status_with(
        code_pb2.INVALID_ARGUMENT, "Too large.", error_info("PROFILE_TOO_LARGE"), bad_request("metadata.a")
    )
    service.reply = Failure(grpc.StatusCode.INVALID_ARGUMENT, trailer=status.SerializeToString())
    answer = await gateway.post("/v1/users", {"user_id": "1"})
    error = answer.json()
    assert (answer.status_code, error["message"], reasons(error)) == (400, "Too large.", ["PROFILE_TOO_LARGE"])
    assert violations(error) == [("metadata.a", "RULE")]


async def test_a_retry_delay_becomes_retry_after_rounded_up(gateway: Gateway, service: FakeUserService) -> None:
    status = status_with(code_pb2.UNAVAILABLE, "Later.", error_info("DATABASE_UNAVAILABLE"), retry_info(2, 1))
    service.reply = Failure(grpc.StatusCode.UNAVAILABLE, trailer=status.SerializeToString())
    answer = await gateway.post("/v1/users", {"user_id": "1"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")


async def test_a_slow_server_leaves_the_outcome_of_a_write_unknown_and_fails_a_read(
    backend: Backend, service: FakeUserService
) -> None:
    service.may_answer.clear()
    async with running_gateway(backend.address, rpc_seconds=20.0, read_seconds=0.1) as gateway:
        writing = asyncio.ensure_future(gateway.post("/v1/users", {"user_id": "1"}))
        await service.arrived.wait()
        await later(21)
        await until(writing.done)
        # gRPC measures the deadline of a call with its own clock.
        write, read = await writing, await gateway.client.get("/v1/users/1")
        service.may_answer.set()
    assert (write.status_code, reasons(write.json())) == (503, ["WRITE_OUTCOME_UNKNOWN"])
    assert (read.status_code, reasons(read.json())) == (504, ["SERVER_TOO_SLOW"])


async def test_a_client_that_disconnects_during_a_call_affects_no_other(
    gateway: Gateway, service: FakeUserService
) -> None:
    service.may_answer.clear()
    gone = asyncio.ensure_future(gateway.post("/v1/users", {"user_id": "1"}))
    await service.arrived.wait()
    gone.cancel()
    await asyncio.wait([gone])
    service.may_answer.set()
    assert (await gateway.post("/v1/users", {"user_id": "2"})).status_code == 201
    assert [request.user.user_id for request in service.requests] == ["1", "2"]


async def test_a_single_user_with_too_many_values_is_refused_before_it_is_parsed(
    gateway: Gateway, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_parser, "parse", None)
    answer = await gateway.post("/v1/users", b'{"user_id":"1","metadata":{"a":[' + b"[]," * 300_000 + b"1]}}")
    assert (answer.status_code, violations(answer.json())) == (400, [("metadata", "TOO_MANY_VALUES")])
    assert service.requests == []


async def test_a_read_may_take_longer_than_a_write(backend: Backend, service: FakeUserService) -> None:
    service.may_answer.clear()
    async with running_gateway(backend.address, rpc_seconds=0.001) as gateway:
        reading = asyncio.ensure_future(gateway.client.get("/v1/campaigns:report"))
        await service.arrived.wait()
        await later(10)
        service.may_answer.set()
        read = await reading
    assert read.status_code == 200
