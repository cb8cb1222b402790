"""Spans, as OpenTelemetry makes and exports them. Only `traces.py` imports this, and only where traces are written."""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from runtime.reporting.traces import Attributes, Kind, TracesFailed, is_sampled

LINKS: Final = 128
"""Links of one span, as in OpenTelemetry's own limit."""

_STOP_SECONDS: Final = 2.0


class Span:
    """A span that has begun, and must be ended once. `traceparent` names it."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""
        self._span.set_attributes(attributes)

    def link(self, traceparent: str) -> None:
        """Link to another span."""
        self._span.add_link(_context_of(traceparent))

    def event(self, name: str, attributes: Attributes) -> None:
        """Add an event."""
        self._span.add_event(name, attributes)

    def end(self, error: str = "") -> None:
        """End now; with an error, if one is named."""
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()


class Tracer:
    """Starts spans, and exports those that are sampled."""

    def __init__(self, program: str, version: str, environment: Mapping[str, str]) -> None:
        names = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": f"userfold-{program}"}
        resource = Resource.create({**names, "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("userfold")
        library = logging.getLogger("opentelemetry")
        library.handlers, library.propagate = [TracesFailed()], False

    def start(self, name: str, kind: Kind, parent: str = "", links: Sequence[str] = ()) -> Span:
        """Start a span, as a child of `parent` if there is one, with links to the spans `links`."""
        context = Context()
        if parent:
            context = trace.set_span_in_context(trace.NonRecordingSpan(_context_of(parent)), context)
        linked = [trace.Link(_context_of(each)) for each in links[:LINKS]]
        return Span(self._tracer.start_span(name, context, trace.SpanKind[kind.name], links=linked))

    def start_group(self, name: str, kind: Kind, requests: Sequence[str]) -> Span | None:
        """Start the span of work for many requests, as a child of the first one that is sampled, with links to all of
        those. None where none is.
        """
        sampled = [each for each in dict.fromkeys(requests) if is_sampled(each)]
        return self.start(name, kind, sampled[0], sampled) if sampled else None

    def stop(self) -> None:
        """Export what has ended, if the collector takes it soon."""
        stopping = threading.Thread(target=self._provider.shutdown, daemon=True)
        stopping.start()
        stopping.join(_STOP_SECONDS)


def _context_of(traceparent: str) -> trace.SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    sampled = trace.TraceFlags(int(flags, 16))
    return trace.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=sampled)
