"""Traces of a running gateway and server, and one refused request in all that operators look at."""

import json
import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.accounts.credentials import generate_collector_key
from server.local.mongod import EmbeddedMongod
from tests.support.applications import Application, register
from tests.support.collector import Collector, ReceivedSpan, collecting
from tests.support.programs import free_port
from tests.support.stack import Api, start_gateway, start_server

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACE = f"00-{TRACE_ID}-b7ad6b7169203331-01"
RPC = "userfold.internal.v1.UserUpdateService/StreamBatchUpdateUsers"
CALL = "userfold.internal.v1.UserUpdateService/BatchUpdateUsers"


@dataclass(frozen=True)
class Traced:
    """A running stack that writes traces, metrics, and a line for each request."""

    api: Api
    grpc: str
    collector: Collector
    metrics: tuple[str, str]
    logs: tuple[Path, Path]

    def lines(self, program: int) -> list[dict[str, Any]]:
        """The log of the gateway (0) or the server (1)."""
        return [json.loads(line) for line in self.logs[program].read_text().splitlines()]

    def spans(self, *names: str, trace_id: str) -> list[ReceivedSpan]:
        """The spans of a trace with these names, one of each, in this order."""

        def found(spans: list[ReceivedSpan]) -> dict[str, ReceivedSpan]:
            return {each.name: each for each in spans if each.trace_id == trace_id}

        spans = self.collector.until(lambda spans: {*names} <= found(spans).keys())
        return [found(spans)[name] for name in names]


@pytest.fixture(scope="module")
def traced(
    mongod: EmbeddedMongod, database: Database[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traces")
    logs = folder / "gateway", folder / "server"
    metrics = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        collector = stack.enter_context(collecting())
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "USERFOLD_ACCESS_LOG": "1",
            "USERFOLD_GATEWAY_METRICS_ADDRESS": metrics[0],
            "USERFOLD_SERVER_METRICS_ADDRESS": metrics[1],
        }
        gateway_log, server_log = (stack.enter_context(path.open("wb")) for path in logs)
        server = start_server(mongod.uri, variables=variables, stderr=server_log, measured=True)
        stack.callback(server.stop)
        gateway = start_gateway(server.ready["grpc"], variables, stderr=gateway_log, measured=True)
        stack.callback(gateway.stop)
        api = Api(gateway.ready["http"], register(database, generate_collector_key()))
        stack.enter_context(api.client)
        yield Traced(api, server.ready["grpc"], collector, metrics, logs)


def exposed(address: str) -> str:
    """The metrics of a program, with the examples of their counters."""
    request = urllib.request.Request(f"http://{address}/metrics", headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # Ours.
        return str(answer.read().decode())


def test_one_update_is_one_trace_from_the_client_to_mongodb(traced: Traced) -> None:
    answer = traced.api.update({"user_id": "john@acmeinc.com"}, Traceparent=TRACE)
    assert answer.status_code == 201
    names = ("POST /v1/users", "group commit", "update profiles")
    request, commit, command = traced.spans(*names, trace_id=TRACE_ID)
    spans = traced.collector.until(lambda spans: len([s for s in spans if s.trace_id == TRACE_ID]) >= 5)
    of_group = {each.service: each for each in spans if each.trace_id == TRACE_ID and "UserUpdateService" in each.name}
    call, served = of_group["userfold-gateway"], of_group["userfold-server"]
    assert (request.parent_id, request.kind) == ("b7ad6b7169203331", "SPAN_KIND_SERVER")
    assert (call.parent_id, call.kind) == (request.span_id, "SPAN_KIND_CLIENT")
    assert (served.parent_id, served.kind) == (call.span_id, "SPAN_KIND_SERVER")
    assert (commit.parent_id, commit.links) == (served.span_id, frozenset({(TRACE_ID, served.span_id)}))
    assert (command.parent_id, command.kind) == (commit.span_id, "SPAN_KIND_CLIENT")
    assert answer.headers["traceparent"] == f"00-{TRACE_ID}-{request.span_id}-01"
    assert request.attributes["http.response.status_code"] == 201
    assert request.attributes["userfold.request_id"] == answer.headers["x-request-id"]
    assert (commit.attributes["userfold.writes"], served.attributes["userfold.requests"]) == (1, 1)
    assert command.attributes["db.collection.name"] == "profiles"
    assert b"john" not in b"".join(traced.collector.payloads)


def test_a_group_is_linked_to_its_requests_and_they_to_it(traced: Traced) -> None:
    ids = [f"{number:032x}" for number in range(1, 41)]

    def post(trace_id: str) -> int:
        return traced.api.update({"user_id": trace_id}, Traceparent=f"00-{trace_id}-b7ad6b7169203331-01").status_code

    with ThreadPoolExecutor(len(ids)) as clients:
        assert {*clients.map(post, ids)} == {201}
    spans = traced.collector.until(
        lambda spans: {*ids} <= {each.trace_id for each in spans if each.name == "POST /v1/users"}
    )
    requests = {(each.trace_id, each.span_id): each for each in spans if each.name == "POST /v1/users"}
    groups = [each for each in spans if each.name == CALL and each.kind == "SPAN_KIND_CLIENT" and len(each.links) > 1]
    assert groups
    for group in groups:
        linked = [requests[link] for link in group.links]
        assert group.attributes["userfold.requests"] == len(linked)
        (parent,) = [each for each in linked if each.span_id == group.parent_id]
        assert all((group.trace_id, group.span_id) in each.links for each in linked if each is not parent)


def test_a_read_over_grpc_is_in_the_trace_of_its_caller(traced: Traced) -> None:
    trace_id = "1" * 32
    metadata = (
        ("authorization", f"Bearer {traced.api.application.management_token}"),
        ("traceparent", f"00-{trace_id}-b7ad6b7169203331-01"),
        ("x-request-id", "read-1"),
    )
    with grpc.insecure_channel(traced.grpc) as channel, pytest.raises(grpc.RpcError):
        UserServiceStub(channel).GetUser(pb.GetUserRequest(user_id="nobody"), metadata=metadata)
    call, command = traced.spans("userfold.v1.UserService/GetUser", "find profiles", trace_id=trace_id)
    assert command.parent_id == call.span_id
    assert (call.attributes["userfold.request_id"], call.is_error) == ("read-1", False)
    assert (call.attributes["userfold.reason"], call.attributes["rpc.response.status_code"]) == (
        "USER_NOT_FOUND",
        "NOT_FOUND",
    )


def test_a_trace_that_the_caller_does_not_record_is_not_recorded(traced: Traced) -> None:
    unsampled, sampled = "2" * 32, "3" * 32
    for trace_id, flags in ((unsampled, "00"), (sampled, "01")):
        traced.api.update({"user_id": "u"}, Traceparent=f"00-{trace_id}-b7ad6b7169203331-{flags}")
    spans = traced.collector.until(lambda spans: any(each.trace_id == sampled for each in spans))
    assert not any(each.trace_id == unsampled for each in spans)


def test_one_refused_request_is_found_by_its_id_in_both_logs_in_metrics_and_in_its_trace(traced: Traced) -> None:
    trace_id = "4" * 32
    answer = traced.api.update(
        # The server refuses it: JSON of the right types, which no profile may hold.
        {"user_id": "x" * 513},
        **{"X-Request-Id": "order-4711", "Traceparent": f"00-{trace_id}-b7ad6b7169203331-01"},
    )
    assert (answer.status_code, answer.headers["x-request-id"]) == (400, "order-4711")
    request, commit = traced.spans("POST /v1/users", CALL, trace_id=trace_id)
    assert (request.attributes["userfold.request_id"], request.attributes["userfold.reasons"]) == (
        "order-4711",
        ["INVALID_REQUEST"],
    )
    served = traced.collector.until(lambda spans: any(each.events for each in spans if each.trace_id == trace_id))
    (events,) = [each.events for each in served if each.trace_id == trace_id and each.events]
    assert events[0][1]["userfold.request_id"] == "order-4711"
    assert commit.trace_id == trace_id
    application: Application = traced.api.application
    for program in (0, 1):
        lines = [line for line in traced.lines(program) if line.get("request_id") == "order-4711"]
        assert {line["event"] for line in lines} == {"refused", "request"}
        for line in lines:
            assert (line["application"], line["trace_id"]) == (application.application_id, trace_id)
            assert line["program"] == ("gateway", "server")[program]
            assert line["credential"]
        example = re.search(
            r'^userfold_\w+_refusals_total\{.*INVALID_REQUEST.* # \{.*request_id="order-4711".*\}',
            exposed(traced.metrics[program]),
            re.MULTILINE,
        )
        assert example
        assert f'trace_id="{trace_id}"' in example[0]
