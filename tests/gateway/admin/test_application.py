"""What the admin listener serves, and to whom."""

import re
from collections.abc import AsyncIterator
from urllib.parse import urljoin

import httpx2
import pytest
import pytest_asyncio
from userfold.v1 import user_service_pb2 as pb

from tests.gateway.admin.conftest import TOKEN, Admin, running_admin
from tests.gateway.fakes import FakeUserService
from tests.gateway.messages import reasons
from tests.gateway.running import KEY, Backend, Gateway
from tests.support.http1 import AsyncConnection, request_bytes

PAGES = ["/", "/docs"]
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def admin(backend: Backend) -> AsyncIterator[Admin]:
    async with running_admin(backend.address) as running:
        yield running


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_needs_nothing_from_elsewhere_and_no_inline_script(admin: Admin, page: str) -> None:
    answer = await admin.client.get(page)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
    assert {policy["default-src"], policy["frame-ancestors"], policy["base-uri"]} == {"'none'"}
    assert {policy["script-src"], policy["style-src"], policy["connect-src"]} == {"'self'"}
    assert not re.search(r"<style|<script(?![^>]* src=)|\bstyle=|\bon\w+=|//", answer.text)
    linked = re.findall(r'(?:href|src)="([^"]+)"', answer.text)
    assert linked
    for link in linked:
        assert (await admin.client.get(urljoin(page, link))).status_code != 404, link


async def test_the_document_of_the_api_is_served(admin: Admin) -> None:
    answer = await admin.client.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    described = answer.json()
    assert described["openapi"] == "3.1.0"
    # "Try it out" calls the listener that serves the page.
    assert [server["url"] for server in described["servers"]] == ["/"]


async def test_the_page_of_the_api_names_no_other_site(admin: Admin) -> None:
    script = (await admin.client.get("/static/docs.js")).text
    assert 'url: "openapi.json"' in script
    assert "validatorUrl: null" in script
    assert "://" not in script


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("HEAD", "/readyz"),
        ("GET", "/health/probe"),
        ("GET", "/v1/config"),
        ("GET", "/v1/users/a%2Fb"),
        ("POST", "/v1/users"),
        ("PUT", "/v1/users"),
        ("GET", "/nowhere"),
        ("OPTIONS", "/v1/users"),
    ],
)
async def test_all_else_is_what_the_public_listener_serves(
    admin: Admin, gateway: Gateway, service: FakeUserService, method: str, path: str
) -> None:
    content = b'{"user_id": "1"}' if method == "POST" else None
    headers = KEY | {"X-Request-Id": "a-request", "traceparent": TRACEPARENT}
    public, answer = [
        await client.request(method, path, content=content, headers=headers)
        for client in (gateway.client, admin.client)
    ]
    assert answer.headers["x-request-id"] == public.headers["x-request-id"] == "a-request"
    assert answer.headers["traceparent"][:35] == public.headers["traceparent"][:35] == TRACEPARENT[:35]
    assert (answer.status_code, answer.content) == (public.status_code, public.content)
    assert public.headers["access-control-allow-origin"] == "*"
    # Pages of other sites may not read it.
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers.get("content-length") == public.headers.get("content-length")
    assert service.requests in ([], [pb.GetUserRequest(user_id="a/b")] * 2, service.requests[:1] * 2)


async def test_the_credential_is_checked_as_on_the_public_listener(admin: Admin, service: FakeUserService) -> None:
    async with httpx2.AsyncClient(base_url=admin.url, trust_env=False) as client:
        missing = await client.post("/v1/users", content=b"{}")
        assert (missing.status_code, reasons(missing.json())) == (401, ["CREDENTIAL_MISSING"])
        twice = await client.post("/v1/users", content=b"{}", headers=[*KEY.items(), *KEY.items()])
        assert (twice.status_code, reasons(twice.json())) == (401, ["CREDENTIAL_AMBIGUOUS"])
        service.unknown = {"unknown"}
        unknown = await client.post("/v1/users", content=b"{}", headers={"X-Moesif-Application-Id": "unknown"})
        assert unknown.status_code == 401
    assert service.requests == []


async def test_a_large_response_arrives_whole(admin: Admin, service: FakeUserService) -> None:
    service.reply = pb.GetUserResponse()
    service.reply.user.metadata["text"] = "x" * 3_000_000
    answer = await admin.client.get("/v1/users/1")
    assert answer.json()["metadata"] == {"text": "x" * 3_000_000}


@pytest.mark.parametrize("name", ["/static/", "/static/nothing.css", "/static/../application.py"])
async def test_only_files_of_the_folder_are_served(admin: Admin, name: str) -> None:
    connection = await AsyncConnection.open(admin.url)
    response = await connection.exchange(request_bytes("GET", name, {}))
    connection.close()
    assert (response.status, response.json["details"][0]["reason"]) == (404, "ROUTE_NOT_FOUND")


async def test_a_file_has_no_method_but_get(admin: Admin) -> None:
    answer = await admin.client.post("/static/page.css")
    assert (answer.status_code, reasons(answer.json()), answer.headers["allow"]) == (
        405,
        ["METHOD_NOT_ALLOWED"],
        "GET, HEAD",
    )


async def test_metrics_need_the_operators_token(admin: Admin) -> None:
    answer = await admin.client.get("/metrics", headers={"Authorization": f"bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "test_total 1.0" in answer.text
    accepted = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/openmetrics-text; version=1.0.0"}
    answer = await admin.client.get("/metrics", headers=accepted)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "CREDENTIAL_MISSING"),
        ([TOKEN], "CREDENTIAL_UNKNOWN"),
        ([f"Bearer {TOKEN}x"], "CREDENTIAL_UNKNOWN"),
        (["Bearer \N{LATIN SMALL LETTER E WITH ACUTE}"], "CREDENTIAL_UNKNOWN"),
        ([f"Bearer {TOKEN}", f"Bearer {TOKEN}"], "CREDENTIAL_AMBIGUOUS"),
    ],
)
async def test_nobody_else_gets_metrics(admin: Admin, headers: list[str], reason: str) -> None:
    sent = [(b"Authorization", each.encode("latin-1")) for each in headers]
    answer = await admin.client.get("/metrics", headers=sent)
    assert (answer.status_code, reasons(answer.json())) == (401, [reason])
    assert "test_total" not in answer.text


async def test_without_a_token_there_are_no_metrics(backend: Backend) -> None:
    async with running_admin(backend.address, token=None) as admin:
        answer = await admin.client.get("/metrics")
    assert (answer.status_code, reasons(answer.json())) == (404, ["ROUTE_NOT_FOUND"])


async def test_the_response_to_a_forwarded_request_has_its_id(admin: Admin, service: FakeUserService) -> None:
    answer = await admin.client.get("/v1/users/1", headers={"X-Request-Id": "order-4711"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "order-4711")


@pytest.mark.parametrize(
    ("method", "path", "body", "address"),
    [
        ("POST", "/v1/users", {"user_id": "1"}, ""),
        ("POST", "/v1/users/batch", [{"user_id": "1"}], ""),
        ("GET", "/v1/users/1", None, "127.0.0.1"),
    ],
)
async def test_the_address_of_an_operator_is_not_that_of_a_user(
    admin: Admin, service: FakeUserService, method: str, path: str, body: object, address: str
) -> None:
    answer = await admin.client.request(method, path, json=body, headers=KEY)
    assert answer.is_success
    (metadata,) = service.metadata
    addresses = service.client_addresses or [metadata["x-userfold-client-address"]]
    assert addresses == [address]
