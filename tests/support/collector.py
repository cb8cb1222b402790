"""A collector of traces that speaks OTLP over gRPC, and keeps the spans that it receives."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it was received. Ids are in hexadecimal digits; `parent_id` is empty where there is none."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, Any]
    links: frozenset[tuple[str, str]]
    events: tuple[tuple[str, Mapping[str, Any]], ...]
    is_error: bool


class Collector(TraceServiceServicer):
    """Keeps what is exported to it, in the order of arrival."""

    def __init__(self) -> None:
        self.address = ""
        self.spans: list[ReceivedSpan] = []
        self.payloads: list[bytes] = []
        self._arrived = threading.Condition()

    def Export(self, request: Any, context: Any) -> Any:
        with self._arrived:
            self.payloads.append(request.SerializeToString())
            for of_resource in request.resource_spans:
                service = _values(of_resource.resource.attributes)["service.name"]
                for of_scope in of_resource.scope_spans:
                    self.spans += [_received(service, span) for span in of_scope.spans]
            self._arrived.notify_all()
        return pb.ExportTraceServiceResponse()

    def until(self, is_there: Callable[[list[ReceivedSpan]], bool]) -> list[ReceivedSpan]:
        """The spans, as soon as a condition holds for them."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: is_there(self.spans), timeout=30), [s.name for s in self.spans]
            return [*self.spans]


def _received(service: str, span: Any) -> ReceivedSpan:
    return ReceivedSpan(
        service,
        span.name,
        type(span).SpanKind.Name(span.kind),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _values(span.attributes),
        frozenset((each.trace_id.hex(), each.span_id.hex()) for each in span.links),
        tuple((each.name, _values(each.attributes)) for each in span.events),
        span.status.code == 2,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port, until the end of the block."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]  # It has no types.
    collector.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()
