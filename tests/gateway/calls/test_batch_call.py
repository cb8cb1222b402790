"""Large batches: the items of each RPC, the work of each turn, and items left unsent by a deadline or a failure."""

import gzip
from collections.abc import Callable
from typing import Any

import grpc
import orjson
import pytest
from google.rpc import code_pb2
from userfold.v1 import user_pb2
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.warning_pb2 import Warning

from gateway.app import INTERNAL, SERVICES
from gateway.calls import batch_call, batch_response
from gateway.calls.batch_call import BatchCall
from gateway.errors.answer import Answer
from gateway.errors.rendering import Refusal, reason_of
from gateway.http import content_encoding
from gateway.http.messages import Request
from gateway.routing.http_rules import bindings_of
from gateway.transcoding.json_decoder import ObjectDecoder
from runtime.turns import Turns
from tests.gateway.messages import bad_request, error_info, status_with, stored
from tests.support.update_json import update_of

(BINDING,) = (each for each in bindings_of(SERVICES, INTERNAL) if each.body == "users")
assert BINDING.batch_method
METHOD = BINDING.batch_method


class CountedTurns(Turns):
    """Keeps the application of each turn."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Any] = []

    async def turn(self, application_id: Any) -> None:
        self.taken.append(application_id)
        await super().turn(application_id)


class FakeServer:
    """Keeps the users and the deadline of each RPC. `does` is called with its number, and may return a response."""

    def __init__(self) -> None:
        self.rpcs: list[list[Any]] = []
        self.sizes: list[int] = []
        self.seconds: set[float] = set()
        self.does: Callable[[int], Any] = lambda _: None

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        async def call(request: Any, **options: Any) -> Any:
            self.seconds.add(options["timeout"])
            users = [update_of(each) for each in request.users_json]
            self.rpcs.append(users)
            self.sizes.append(request.ByteSize())
            response = self.does(len(self.rpcs))
            return response or pb.BatchUpdateUsersResponse(results=[stored()] * len(users))

        return call


class Clock:
    """The running event loop, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now


class Sent:
    """A BatchCall, its server, its turns and its clock."""

    server: Any

    def __init__(self) -> None:
        self.server = FakeServer()
        self.turns = CountedTurns()
        self.clock = Clock()
        decoder = ObjectDecoder(user_pb2.UserUpdate.DESCRIPTOR)
        self.call = BatchCall(BINDING, METHOD, self.server, 9.0, decoder, self.turns)

    async def post(self, body: bytes, **headers: str) -> Answer:
        encoded = {name.encode(): value.encode() for name, value in headers.items()}
        return await self.call.answer("app", Request("POST", b"/", headers=encoded, body=body), {}, ())


@pytest.fixture
async def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    made = Sent()
    monkeypatch.setattr(batch_call, "_now", made.clock.time)
    return made


def users(count: int, **more: Any) -> bytes:
    return orjson.dumps([{"user_id": str(number), **more} for number in range(count)])


async def test_a_small_batch_takes_no_turn(sent: Sent) -> None:
    assert (await sent.post(users(100))).http_status == 201
    assert sent.turns.taken == []


@pytest.mark.unmeasured
async def test_a_large_batch_is_processed_in_turns_of_its_application(sent: Sent) -> None:
    """12 MB of empty arrays: none is parsed, and each turn scans one window or inflates one slice."""
    bomb = b'[{"user_id":"1","metadata":{"a":[' + b"[]," * 4_000_000 + b'1]}},{"user_id":"2"}]'
    answer = await sent.post(gzip.compress(bomb), **{"content-encoding": "gzip"})
    assert (answer.http_status, answer.value["saved_count"], answer.value["failed_count"]) == (400, 1, 1)
    assert [[user.user_id for user in rpc] for rpc in sent.server.rpcs] == [["2"]]
    assert set(sent.turns.taken) == {"app"}
    assert len(sent.turns.taken) >= len(bomb) / 8192 + len(bomb) / (256 * 1024) - 3


async def test_decoding_takes_a_turn_for_each_32_kib(sent: Sent) -> None:
    assert (await sent.post(users(400, metadata={"a": "x" * 500}))).http_status == 201
    assert 400 * 550 / (32 * 1024) <= len(sent.turns.taken) <= 400 * 900 / (32 * 1024)


async def test_each_rpc_has_its_limits(sent: Sent) -> None:
    assert (await sent.post(users(2500))).value == {"saved_count": 2500}
    assert [len(rpc) for rpc in sent.server.rpcs] == [1000, 1000, 500]
    sent.server.sizes.clear()
    assert (await sent.post(users(11, metadata={"a": "x" * 1_000_000}))).value == {"saved_count": 11}
    assert len(sent.server.sizes) == 3
    assert max(sent.server.sizes) <= 4 * 1024 * 1024
    assert sent.server.seconds == {9.0}


async def test_the_limit_of_an_inflated_batch_is_12_mib(sent: Sent) -> None:
    most = 12 * 1024 * 1024
    for size in (most, most + 1):
        text = gzip.compress(users(1) + b" " * (size - len(users(1))))
        if size == most:
            assert (await sent.post(text, **{"content-encoding": "gzip"})).http_status == 201
        else:
            with pytest.raises(content_encoding.BodyTooLarge):
                await sent.post(text, **{"content-encoding": "gzip"})


async def test_items_are_numbered_over_the_whole_batch(sent: Sent) -> None:
    refused = status_with(code_pb2.INVALID_ARGUMENT, "No.", error_info("R"), bad_request("users[320].metadata.x"))
    warning = Warning(field="users[321].ip_address", reason="W", description="w")

    def does(number: int) -> Any:
        if number == 5:
            results = [stored() for _ in range(999)]
            results[320].error.CopyFrom(refused)
            results[321].response.warnings.append(warning)
            return pb.BatchUpdateUsersResponse(results=results)
        return None

    sent.server.does = does
    body = [{"user_id": str(number)} for number in range(5000)]
    body[0] = {"user_id": []}  # type: ignore[dict-item]
    answer = await sent.post(orjson.dumps(body))
    assert [each["index"] for each in answer.value["refused"]] == [0, 4321]
    assert (
        answer.value["refused"][1]["status"]["details"][1]["field_violations"][0]["field"] == "users[4321].metadata.x"
    )
    assert [each["field"] for each in answer.value["warnings"]] == ["users[4322].ip_address"]
    assert (answer.value["saved_count"], answer.value["failed_count"]) == (4998, 2)


async def test_items_that_are_not_sent_in_time_are_refused_one_by_one(sent: Sent) -> None:
    def does(number: int) -> None:
        # The last RPC may begin at 55 - 9 s.
        sent.clock.now = 46.0 if number == 1 else 46.1

    sent.server.does = does
    answer = await sent.post(users(3000))
    assert len(sent.server.rpcs) == 2
    assert (answer.http_status, answer.value["saved_count"], answer.value["failed_count"]) == (504, 2000, 1000)
    refused = answer.value["refused"]
    assert [each["index"] for each in refused] == list(range(2000, 3000))
    assert {each["status"]["details"][0]["reason"] for each in refused} == {"NOT_SENT_IN_TIME"}


async def test_a_stopping_gateway_sends_no_more_items_after_a_while(sent: Sent) -> None:
    def does(number: int) -> None:
        if number == 1:
            sent.call.stop()
        sent.clock.now += 10.0

    sent.server.does = does
    answer = await sent.post(users(5000))
    assert (len(sent.server.rpcs), answer.value["saved_count"], answer.value["failed_count"]) == (2, 2000, 3000)


async def test_a_large_batch_waits_for_a_slot_no_longer_than_it_may_take(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_call, "SECONDS", 9.0)
    for _ in range(2):
        await sent.call._large.acquire("app")
    with pytest.raises(Refusal) as caught:
        await sent.post(users(30_000))
    assert (caught.value.http_status, reason_of(caught.value.status)) == (504, "NOT_SENT_IN_TIME")
    # Other applications have slots.
    await sent.call._large.acquire("other")


def failure(code: grpc.StatusCode) -> Exception:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), None, None)


async def test_a_failure_of_the_first_rpc_fails_the_batch(sent: Sent) -> None:
    def does(_: int) -> None:
        raise failure(grpc.StatusCode.UNAVAILABLE)

    sent.server.does = does
    with pytest.raises(Refusal) as caught:
        await sent.post(users(3000))
    assert reason_of(caught.value.status) == "WRITE_OUTCOME_UNKNOWN"
    assert len(sent.server.rpcs) == 1


async def test_a_failure_of_a_later_rpc_fails_its_items(sent: Sent) -> None:
    def does(number: int) -> None:
        if number == 2:
            raise failure(grpc.StatusCode.UNAVAILABLE)

    sent.server.does = does
    answer = await sent.post(users(3000))
    assert [len(rpc) for rpc in sent.server.rpcs] == [1000] * 3
    assert (answer.http_status, answer.value["saved_count"]) == (503, 2000)
    assert [each["index"] for each in answer.value["refused"]] == list(range(1000, 2000))


@pytest.mark.parametrize("item", [b"0", b'{"user_id":[],"metadata":""}'])
async def test_an_answer_lists_1_mib_of_refused_items_and_counts_the_remaining_ones(sent: Sent, item: bytes) -> None:
    answer = await sent.post(b"[" + b",".join([item] * 20_000) + b"]")
    assert (answer.value["saved_count"], answer.value["failed_count"]) == (0, 20_000)
    assert len(answer.value["refused"]) < 20_000
    assert batch_response.REFUSED_BYTES < len(orjson.dumps(answer.value)) < batch_response.REFUSED_BYTES * 1.1
    assert sorted(answer.refused.values()) == [1, 20_000]


async def test_results_with_content_are_read_in_turns(sent: Sent) -> None:
    refused = pb.UpdateUserResult(error=status_with(code_pb2.INVALID_ARGUMENT, "No.", error_info("R")))
    sent.server.does = lambda _: pb.BatchUpdateUsersResponse(results=[refused] * 100)
    assert (await sent.post(users(100))).value["failed_count"] == 100
    assert len(sent.turns.taken) == 2
