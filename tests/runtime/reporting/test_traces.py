"""When traces are written: only where the standard variables ask for them."""

import importlib
import logging
import subprocess
import sys
from typing import Any

import pytest
from structlog.testing import capture_logs

from runtime.reporting import traces
from runtime.reporting.spans import Tracer
from tests.support.collector import collecting

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _library_as_before() -> Any:
    library = logging.getLogger("opentelemetry")
    before = library.handlers[:], library.propagate
    yield
    library.handlers, library.propagate = before


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SERVICE_NAME": "x"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
        ENDPOINT | {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
    ],
)
def test_traces_are_off_unless_they_are_asked_for(variables: dict[str, str]) -> None:
    with capture_logs() as lines, traces.exported("gateway", "1", variables):
        assert traces.active() is None
    assert lines == []


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "OTEL_EXPORTER_OTLP_PROTOCOL must be grpc"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER must be otlp or none"),
    ],
)
def test_what_is_not_supported_is_logged_and_the_program_goes_on(variables: dict[str, str], why: str) -> None:
    with capture_logs() as lines, traces.exported("gateway", "1", variables):
        assert traces.active() is None
    assert [(line["event"], line["why"]) for line in lines] == [("traces are off", why)]


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (ImportError(), "userfold[traces] is not installed"),
        (ValueError("secret"), "OpenTelemetry refuses its variables: ValueError"),
    ],
)
def test_without_the_extra_or_with_an_invalid_variable_the_program_serves(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, why: str
) -> None:
    def fail(_: str) -> Any:
        raise failure

    monkeypatch.setattr(importlib, "import_module", fail)
    with capture_logs() as lines, traces.exported("gateway", "1", ENDPOINT):
        assert traces.active() is None
    assert [line["why"] for line in lines] == [why]


def test_nothing_of_opentelemetry_is_imported_by_the_programs() -> None:
    script = "import sys, gateway.__main__, server.__main__; print([m for m in sys.modules if 'opentelemetry' in m])"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"


def test_spans_are_exported_when_the_program_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address}
        monkeypatch.setenv(*next(iter(variables.items())))
        with traces.exported("gateway", "1.2", variables):
            tracer = traces.active()
            assert tracer
            parent = tracer.start("parent", traces.Kind.SERVER, TRACE)
            assert parent.traceparent[:35] == TRACE[:35]
            with traces.group("group", "userfold.writes", [parent.traceparent, TRACE, parent.traceparent]):
                assert traces.PARENT.get()[:35] == TRACE[:35]
            with pytest.raises(RuntimeError), traces.group("failed", "userfold.writes", [TRACE]):
                raise RuntimeError
            with traces.group("of none", "userfold.writes", ["", TRACE[:-1] + "0"]):
                assert traces.PARENT.get() == ""
            parent.end("FAILED")
        assert traces.active() is None
    spans = {each.name: each for each in collector.spans}
    assert spans.keys() == {"parent", "group", "failed"}
    assert spans["parent"].service == "userfold-gateway"
    assert (spans["parent"].is_error, spans["parent"].attributes["error.type"]) == (True, "FAILED")
    assert spans["group"].parent_id == spans["parent"].span_id
    assert len(spans["group"].links) == 2
    assert (spans["group"].attributes["userfold.writes"], spans["failed"].is_error) == (3, True)


def test_a_collector_that_takes_nothing_is_one_line_a_minute() -> None:
    failed = traces.TracesFailed()
    record = logging.LogRecord("opentelemetry.x", logging.ERROR, "", 0, "secret", None, None)
    with capture_logs() as lines:
        for _ in range(3):
            failed.handle(record)
    assert [(line["event"], line["logger"]) for line in lines] == [("traces not exported", "opentelemetry.x")]


def test_a_span_has_at_most_128_links(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
        tracer = Tracer("server", "1", {})
        span = tracer.start_group(
            "many", traces.Kind.CLIENT, [f"00-{number:032x}-{1:016x}-01" for number in range(1, 500)]
        )
        assert span
        span.end()
        tracer.stop()
    assert len(collector.spans[0].links) == 128
