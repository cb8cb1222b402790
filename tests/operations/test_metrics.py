"""The metrics of a real server and gateway after known traffic: exact counts, few labels, no value of a client's."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
import httpx2
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from runtime.metrics.applications import LIMIT, OTHER
from server.accounts.credentials import generate_collector_key
from server.local.mongod import EmbeddedMongod
from server.mongo.migrations import MIGRATIONS, version_after
from server.users.ids import visitor_id
from tests.support.applications import Application, register
from tests.support.programs import free_port
from tests.support.stack import Api, start_gateway, start_server
from tests.support.waiting import wait_until

_DATABASE = "userfold_metrics_test"

Labels = tuple[str, ...]


class Scraped:
    """The samples of one program, as Prometheus reads them."""

    def __init__(self, address: str) -> None:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        self.text = httpx2.get(f"http://{address}/metrics", headers=accept).text
        families = text_string_to_metric_families(self.text)  # type: ignore[no-untyped-call]  # It has no types.
        self.samples: list[Sample] = [sample for family in families for sample in family.samples]

    def values(self, name: str, *labels: str) -> dict[Labels, float]:
        """The values of one metric that are not 0, by these labels."""
        found = {
            tuple(each.labels[label] for label in labels): each.value for each in self.samples if each.name == name
        }
        return {labels: value for labels, value in found.items() if value}

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels."""
        return sum(each.value for each in self.samples if each.name == name and labels.items() <= each.labels.items())


@dataclass
class Traffic:
    """A server and a gateway of their own, what two applications sent, and what was scraped then."""

    one: Application
    other: Application
    gateway_address: str
    server_address: str
    api: Api
    server: Scraped
    gateway: Scraped

    def scrape(self) -> None:
        self.server, self.gateway = Scraped(self.server_address), Scraped(self.gateway_address)


_TOO_LONG = "marked-id-" * 60
_GATEWAY = "userfold_gateway_requests_total", "method", "route", "code", "application"
_SERVER = "userfold_server_requests_total", "method", "code", "application"


@pytest.fixture(scope="module")
def traffic(mongod: EmbeddedMongod, database: Database[dict[str, Any]]) -> Iterator[Traffic]:
    own = database.client[_DATABASE]
    one, other = (register(own, generate_collector_key()) for _ in range(2))
    server_address, gateway_address = (f"127.0.0.1:{free_port()}" for _ in range(2))
    long_ago = dict.fromkeys(("created_time", "modified_time", "stored_time"), datetime(2000, 1, 1, tzinfo=UTC))
    visitor = {"_id": visitor_id(one.application_id, "v"), "application_id": one.application_id, "anonymous_id": "v"}
    own.profiles.insert_one(visitor | long_ago)
    with ExitStack() as stack:
        server = start_server(mongod.uri, _DATABASE, {"USERFOLD_SERVER_METRICS_ADDRESS": server_address})
        stack.callback(server.stop)
        gateway = start_gateway(server.ready["grpc"], {"USERFOLD_GATEWAY_METRICS_ADDRESS": gateway_address})
        stack.callback(gateway.stop)
        api, second = Api(gateway.ready["http"], one), Api(gateway.ready["http"], other)
        stack.enter_context(api.client)
        stack.enter_context(second.client)
        channel = stack.enter_context(grpc.insecure_channel(server.ready["grpc"]))
        _send(api, second, UserServiceStub(channel))
        traffic = Traffic(
            one, other, gateway_address, server_address, api, Scraped(server_address), Scraped(gateway_address)
        )

        def is_counted() -> bool:
            # A request is counted just after its response.
            traffic.scrape()
            return traffic.gateway.value(_GATEWAY[0]) == 35 and sum(_called(traffic.server).values()) == 35

        wait_until(is_counted)
        yield traffic


def _send(api: Api, second: Api, stub: UserServiceStub) -> None:
    def update(number: int) -> int:
        # Sent concurrently, so that some travel in one RPC.
        return api.client.post("/v1/users", json={"user_id": f"marked-{number}"}, headers=api.writer).status_code

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(update, range(20))) == {201}
        bodies = [{"user_id": _TOO_LONG}, {"user_id": "marked"}] * 2
        assert sorted(pool.map(lambda body: api.update(body).status_code, bodies)) == [201, 201, 400, 400]
    assert second.update({"user_id": "marked", "marked_member": 1}).json()["warnings"]
    assert second.update({"user_id": "marked", "metadata": 1}).status_code == 400
    batch = [{"user_id": "marked-1"}, {"user_id": _TOO_LONG}, {"user_id": "marked-2", "marked": 1}]
    assert second.batch(batch).json()["failed_count"] == 1
    assert api.get("marked-1").status_code == 200
    assert api.get("marked-unknown").status_code == 404
    assert api.client.get("/v1/users/marked-1").status_code == 401
    assert api.client.get("/v1/users/marked-1", headers={"Authorization": "Bearer marked"}).status_code == 401
    assert api.client.get("/marked/path").status_code == 404
    assert api.client.request("BREW", "/marked/path").status_code == 400
    assert api.client.post("/v1/subscriptions", json={}, headers=api.writer).status_code == 201
    assert api.client.get("/healthz").status_code == 200
    key = (("x-moesif-application-id", api.application.collector_key),)
    user = UserUpdate(user_id="marked-1")
    stub.UpdateUser(pb.UpdateUserRequest(user=user), metadata=key)
    stub.BatchUpdateUsers(pb.BatchUpdateUsersRequest(users=[user] * 3), metadata=key)
    requests = [pb.StreamUpdateUsersRequest(users=[user] * 2)] * 3
    responses = list(stub.StreamUpdateUsers(iter(requests), metadata=key))
    assert sum([len(each.acknowledgements) for each in responses]) == 6


def _called(server: Scraped) -> dict[Labels, float]:
    """The requests of the server, without those by which a gateway reports its refusals once a second."""
    return {labels: count for labels, count in server.values(*_SERVER).items() if labels[0] != "ReportRefusals"}


def test_visitors_who_expire_are_counted(traffic: Traffic, database: Database[dict[str, Any]]) -> None:
    def is_counted() -> bool:
        traffic.scrape()
        return traffic.server.value("userfold_server_expired_visitors_total") == 1

    wait_until(is_counted)
    stored = database.client.get_database(_DATABASE, read_concern=ReadConcern("majority")).profiles
    assert stored.find_one({"_id": visitor_id(traffic.one.application_id, "v")}) is None


def test_requests_are_counted_by_what_the_client_called(traffic: Traffic) -> None:
    one, other = traffic.one.application_id, traffic.other.application_id
    user = "/v1/users/{user_id}"
    expected = {
        ("POST", "/v1/users", "201", one): 22,
        ("POST", "/v1/users", "400", one): 2,
        ("POST", "/v1/users", "201", other): 1,
        ("POST", "/v1/users", "400", other): 1,
        ("POST", "/v1/users/batch", "400", other): 1,
        ("GET", user, "200", one): 1,
        ("GET", user, "404", one): 1,
        ("GET", user, "401", "none"): 2,
        ("GET", "none", "404", "none"): 1,
        ("none", "none", "400", "none"): 1,
        ("POST", "/v1/subscriptions", "201", one): 1,
        ("GET", "/healthz", "200", "none"): 1,
    }
    counted = traffic.gateway.values(*_GATEWAY)
    assert counted == expected
    durations = traffic.gateway.values("userfold_gateway_request_seconds_count", "method", "route", "code")
    assert durations == {labels: sum(n for key, n in counted.items() if key[:3] == labels) for labels in durations}
    # The internal RPC in which single updates travel is no request of a client's.
    assert _called(traffic.server) == {
        ("UpdateUser", "OK", one): 23,
        ("UpdateUser", "INVALID_ARGUMENT", one): 2,
        ("UpdateUser", "OK", other): 1,
        ("BatchUpdateUsers", "OK", other): 1,
        ("BatchUpdateUsers", "OK", one): 1,
        ("StreamUpdateUsers", "OK", one): 1,
        ("GetUser", "OK", one): 1,
        ("GetUser", "NOT_FOUND", one): 1,
        ("CheckCredential", "OK", one): 2,
        ("CheckCredential", "OK", other): 1,
        ("CheckCredential", "UNAUTHENTICATED", "none"): 1,
    }
    durations = traffic.server.values("userfold_server_request_seconds_count", "method", "code")
    assert durations["UpdateUser", "OK"] == 24
    assert sum(durations.values()) == traffic.server.value("userfold_server_requests_total")


def test_updates_refusals_and_warnings_are_counted_one_by_one(traffic: Traffic) -> None:
    server, gateway = traffic.server, traffic.gateway
    assert server.value("userfold_server_updates_total") == 22 + 1 + 2 + 1 + 3 + 6
    assert server.values("userfold_server_refusals_total", "method", "reason") == {
        ("UpdateUser", "INVALID_REQUEST"): 2,
        ("BatchUpdateUsers", "INVALID_REQUEST"): 1,
        ("GetUser", "USER_NOT_FOUND"): 1,
        ("CheckCredential", "CREDENTIAL_UNKNOWN"): 1,
    }
    refused = gateway.values("userfold_gateway_refusals_total", "route", "reason")
    assert {labels: count for labels, count in refused.items() if labels[0] != "none"} == {
        ("/v1/users", "INVALID_REQUEST"): 3,
        ("/v1/users/batch", "INVALID_REQUEST"): 1,
        ("/v1/users/batch", "BATCH_PARTLY_REFUSED"): 1,
        ("/v1/users/{user_id}", "USER_NOT_FOUND"): 1,
        ("/v1/users/{user_id}", "CREDENTIAL_MISSING"): 1,
        ("/v1/users/{user_id}", "CREDENTIAL_UNKNOWN"): 1,
    }
    assert gateway.values("userfold_gateway_warnings_total", "route", "reason") == {
        ("/v1/users", "UNKNOWN_FIELD"): 1,
        ("/v1/users/batch", "UNKNOWN_FIELD"): 1,
        ("/v1/subscriptions", "NOT_STORED"): 1,
    }
    assert gateway.values("userfold_gateway_not_stored_total", "route", "application") == {
        ("/v1/subscriptions", traffic.one.application_id): 1
    }


def test_groups_commands_and_connections_are_measured(traffic: Traffic) -> None:
    server, gateway = traffic.server, traffic.gateway
    assert gateway.value("userfold_gateway_group_items_sum") == 22 + 2 + 1
    groups = gateway.value("userfold_gateway_group_items_count")
    assert 0 < groups <= 25
    assert gateway.value("userfold_gateway_group_wait_seconds_count") == groups
    stored = server.value("userfold_server_updates_total")
    assert server.value("userfold_server_group_items_sum", kind="writes") == stored
    groups = server.value("userfold_server_group_items_count", kind="writes")
    assert server.value("userfold_server_group_wait_seconds_count", kind="writes") == groups
    commands = server.values("userfold_server_mongodb_command_seconds_count", "command", "outcome")
    assert commands["update", "ok"] >= groups
    assert commands["find", "ok"] >= 1
    assert server.value("userfold_server_mongodb_connections") >= 1
    assert server.value("userfold_server_mongodb_connection_wait_seconds_count") >= sum(commands.values())


def test_gauges_show_what_is_there_now(traffic: Traffic) -> None:
    def value(name: str, **labels: str) -> float:
        traffic.scrape()
        return (traffic.server if "_server_" in name else traffic.gateway).value(name, **labels)

    wait_until(lambda: value("userfold_gateway_open_connections") >= 1)
    wait_until(lambda: value("userfold_server_open_streams", kind="batches") >= 1)
    wait_until(lambda: value("userfold_server_ready") == value("userfold_gateway_ready") == 1)
    newest = version_after(MIGRATIONS)
    wait_until(
        lambda: value("userfold_server_schema_version") == value("userfold_server_schema_version_supported") == newest
    )
    assert value("userfold_gateway_open_connections_limit") == 4096
    assert value("userfold_server_build_info", version="0.2.0") == value("userfold_gateway_build_info") == 1
    assert not math.isnan(value("process_resident_memory_bytes"))
    idle = (
        *("userfold_gateway_queued_updates", "userfold_gateway_queued_update_bytes", "userfold_gateway_held_bytes"),
        *("userfold_gateway_requests_in_flight", "userfold_server_pending_updates", "userfold_server_calls_in_flight"),
        *("userfold_server_pending_update_bytes", "userfold_server_call_bytes_in_flight"),
    )
    for name in idle:
        wait_until(lambda name=name: value(name) == 0)  # type: ignore[misc]  # Its type is not inferred.


def test_no_value_of_a_client_is_in_a_label(traffic: Traffic) -> None:
    secrets = (traffic.one.collector_key, traffic.one.management_token, traffic.other.collector_key)
    for text in (traffic.server.text, traffic.gateway.text):
        assert [value for value in ("marked", *secrets) if value in text] == []


def test_further_applications_have_one_label_together(traffic: Traffic, database: Database[dict[str, Any]]) -> None:
    own = database.client[_DATABASE]
    further = [register(own, generate_collector_key()) for _ in range(LIMIT)]
    statuses = [
        traffic.api.client.post(
            "/v1/users", json={"user_id": "u"}, headers={"X-Moesif-Application-Id": each.collector_key}
        ).status_code
        for each in further
    ]
    assert set(statuses) == {201}

    def others() -> list[float]:
        traffic.scrape()
        scraped = (
            (traffic.gateway, "userfold_gateway_requests_total"),
            (traffic.server, "userfold_server_requests_total"),
        )
        return [program.value(name, application=OTHER) for program, name in scraped]

    # Two applications have sent before. The server counts the checks of their credentials, too.
    wait_until(lambda: others() == [2, 4])
    known = {"none", OTHER, *(each.application_id for each in (traffic.one, traffic.other, *further[: LIMIT - 2]))}
    for program in (traffic.gateway, traffic.server):
        assert {each.labels["application"] for each in program.samples if "application" in each.labels} == known
        assert not [each for each in further[LIMIT - 2 :] if each.application_id in program.text]


def test_a_scraper_that_asks_for_nothing_gets_the_text_format(traffic: Traffic) -> None:
    answer = httpx2.get(f"http://{traffic.gateway_address}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "# HELP userfold_gateway_requests_total HTTP requests that were answered.\n" in answer.text
