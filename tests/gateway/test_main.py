"""The program, as an operator runs it."""

import asyncio
import logging
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import orjson
import pytest
import structlog

from gateway.http.listener import listener_url
from runtime import logs
from tests.gateway.fakes import FakeUserService
from tests.gateway.running import KEY, Backend
from tests.support.programs import free_port, start_program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@contextmanager
def program(**environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = start_program(
        "gateway", variables={"USERFOLD_HTTP_ADDRESS": "127.0.0.1:0"} | environment, stderr=subprocess.PIPE
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ready(process: subprocess.Popen[bytes]) -> dict[str, str]:
    """The URLs in the ready line."""
    assert process.stdout
    line = process.stdout.readline().decode()
    prefix = "userfold-gateway ready "
    assert line.startswith(prefix)
    assert line.endswith("\n")
    return dict(word.split("=", 1) for word in line.removeprefix(prefix).split())


def url_of(process: subprocess.Popen[bytes]) -> str:
    return ready(process)["http"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_with_status_0(number: int) -> None:
    with program() as process:
        with urllib.request.urlopen(f"{url_of(process)}/v1/rules", timeout=10) as answer:  # noqa: S310  # Ours.
            assert answer.read() == b"[]"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, b"", b"")


async def test_a_request_in_flight_ends_before_it_stops(backend: Backend, service: FakeUserService) -> None:
    service.seconds = 1.0
    with program(USERFOLD_GRPC_ADDRESS=backend.address) as process:
        host, _, port = url_of(process).removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\nContent-Length: 15\r\n\r\n" + b'{"user_id":"1"}'
        )
        await service.arrived.wait()
        process.send_signal(signal.SIGTERM)
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await writer.wait_closed()
        assert await asyncio.to_thread(process.wait, 20) == 0
    assert answer.startswith(b"HTTP/1.1 201 Created\r\n")


def shown(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:  # Ours.
        text: str = answer.read().decode()
    return text


def test_it_serves_metrics() -> None:
    metrics = f"127.0.0.1:{free_port()}"
    with program(USERFOLD_GATEWAY_METRICS_ADDRESS=metrics) as process:
        url = url_of(process)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/nowhere", timeout=10)  # noqa: S310  # Ours.
        caught.value.close()
        # A request is counted when its response has been sent.
        wait_until(
            lambda: 'userfold_gateway_request_seconds_count{code="404",method="GET",route="none"} 1.0' in shown(metrics)
        )
        assert 'userfold_gateway_refusals_total{reason="ROUTE_NOT_FOUND",route="none"} 1.0' in shown(metrics)
        process.terminate()
        _, err = process.communicate(timeout=20)
    (line,) = err.splitlines()
    event = orjson.loads(line)
    assert (event["event"], event["reason"], event["http_status"]) == ("refused", "ROUTE_NOT_FOUND", 404)


def test_the_admin_listener_serves_until_it_stops_with_the_gateway() -> None:
    with program(USERFOLD_METRICS_TOKEN="0123456789abcdef") as process:
        urls = ready(process)
        assert list(urls) == ["http", "admin"]
        with urllib.request.urlopen(f"{urls['admin']}/health/probe", timeout=10) as answer:  # noqa: S310  # Ours.
            assert orjson.loads(answer.read()) == {"status": True, "region": "local"}
        with urllib.request.urlopen(f"{urls['http']}/v1/rules", timeout=10) as answer:  # noqa: S310  # Ours.
            assert answer.status == 200
        authorized = urllib.request.Request(  # noqa: S310  # Ours.
            f"{urls['admin']}/metrics", headers={"Authorization": "Bearer 0123456789abcdef"}
        )
        with urllib.request.urlopen(authorized, timeout=10) as answer:  # noqa: S310  # Ours.
            text = answer.read().decode()
        # Both listeners are one application: its requests are counted together.
        assert 'userfold_gateway_request_seconds_count{code="200",method="GET",route="/health/probe"} 1.0' in text
        assert 'userfold_gateway_request_seconds_count{code="200",method="GET",route="/v1/rules"} 1.0' in text
        process.terminate()
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_the_admin_listener_can_be_switched_off() -> None:
    with program(USERFOLD_ADMIN_ADDRESS="off") as process:
        assert list(ready(process)) == ["http"]


@pytest.mark.parametrize(
    "name", ["USERFOLD_HTTP_ADDRESS", "USERFOLD_ADMIN_ADDRESS", "USERFOLD_GATEWAY_METRICS_ADDRESS"]
)
def test_an_address_in_use_is_one_line_that_names_the_variable(name: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        program(**{name: f"127.0.0.1:{taken.getsockname()[1]}"}) as process,
    ):
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, b"")
    assert err.decode().startswith(f"userfold-gateway: {name}: cannot listen there: Address already in use")
    assert len(err.splitlines()) == 1


def test_an_unknown_host_is_one_line_too() -> None:
    with program(USERFOLD_HTTP_ADDRESS="no-such-host.invalid:0") as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.decode().startswith("userfold-gateway: USERFOLD_HTTP_ADDRESS: cannot listen there: ")
    assert len(err.splitlines()) == 1


def test_an_invalid_setting_is_one_line_that_names_the_variable() -> None:
    with program(USERFOLD_TRUSTED_PROXIES="everyone") as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, b"")
    assert len(err.splitlines()) == 1
    assert b"USERFOLD_TRUSTED_PROXIES" in err


async def test_a_local_process_is_no_trusted_proxy_by_default(backend: Backend, service: FakeUserService) -> None:
    with program(USERFOLD_GRPC_ADDRESS=backend.address) as process:
        async with httpx2.AsyncClient(trust_env=False) as client:
            headers = KEY | {"X-Forwarded-For": "203.0.113.7"}
            await client.post(f"{url_of(process)}/v1/users", content=b"{}", headers=headers)
    assert service.client_addresses == ["127.0.0.1"]


def test_a_log_record_of_a_library_is_one_line_without_the_exceptions_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure("info")
        try:
            raise ValueError("john@acmeinc.com")
        except ValueError:
            logging.getLogger("library").exception("failed for %s", "john")
        logging.getLogger("library").warning("careful")
    finally:
        structlog.reset_defaults()
        root.handlers[:], root.level = before
    first, second = (orjson.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["event"], first["logger"], first["exception"]) == ("failed for %s", "library", "ValueError")
    assert "john" not in repr(first)
    assert (second["event"], second["level"]) == ("careful", "warning")


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1:8080"), ("::1", "http://[::1]:8080")])
def test_the_url_is_valid_for_every_kind_of_address(host: str, url: str) -> None:
    assert listener_url(host, 8080, "http") == url
