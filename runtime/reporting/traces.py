"""Traces, by OpenTelemetry. Nothing of it is imported unless the operator's OTEL_* variables ask for traces.

A span is named by its `traceparent`, which is also what is passed on: between functions, threads and programs alike.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

if TYPE_CHECKING:
    from runtime.reporting.spans import Tracer

PARENT: Final[ContextVar[str]] = ContextVar("traceparent", default="")
"""The span that the current task works for. The driver copies it into its threads. Empty where there is none."""

_SAMPLED: Final = frozenset("13579bdf")
"""How the `traceparent` of a trace that is recorded ends."""

_WARNING_SECONDS: Final = 60.0

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

_log = structlog.get_logger()

Attributes: TypeAlias = Mapping[str, str | int | Sequence[str]]
"""What a span says. Never a value of a profile, a credential, or anything else that is in no log line."""


class Kind(Enum):
    """What a span describes: a request that was received, a call that was made, or work in between."""

    SERVER = auto()
    CLIENT = auto()
    INTERNAL = auto()


class _State:
    tracer: Tracer | None = None


def active() -> Tracer | None:
    """The tracer of this program, if it writes traces."""
    return _State.tracer


def is_sampled(traceparent: str) -> bool:
    """Whether a trace is recorded."""
    return traceparent[-1:] in _SAMPLED


@contextmanager
def exported(program: str, version: str, environment: Mapping[str, str]) -> Iterator[None]:
    """In the block, the program writes traces where the standard variables ask for that.

    Traces never keep a program from serving: what prevents them is logged.
    """
    _State.tracer = tracer = _tracer(program, version, environment)
    try:
        yield
    finally:
        _State.tracer = None
        if tracer is not None:
            tracer.stop()


@contextmanager
def group(name: str, count: str, requests: Sequence[str]) -> Iterator[None]:
    """In the block, the current task works for these requests, as one span. The attribute `count` is their number."""
    tracer = active()
    span = None if tracer is None else tracer.start_group(name, Kind.INTERNAL, requests)
    PARENT.set("" if span is None else span.traceparent)
    if span is None:
        yield
        return
    span.set({count: len(requests)})
    error = ""
    try:
        yield
    except Exception as failure:
        error = type(failure).__name__
        raise
    finally:
        span.end(error)


def _tracer(program: str, version: str, environment: Mapping[str, str]) -> Tracer | None:
    exporters = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporters == "none":
        return None
    if not exporters and not any(environment.get(name) for name in _ENDPOINTS):
        return None
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), "grpc")
    if exporters not in ("", "otlp"):
        _log.warning("traces are off", why="OTEL_TRACES_EXPORTER must be otlp or none")
    elif protocol != "grpc":
        _log.warning("traces are off", why="OTEL_EXPORTER_OTLP_PROTOCOL must be grpc")
    else:
        try:
            tracer: Tracer = importlib.import_module("runtime.reporting.spans").Tracer(program, version, environment)
            return tracer
        except ImportError:
            _log.warning("traces are off", why="userfold[traces] is not installed")
        except Exception as error:
            # Its message may hold the value of a variable, such as a header with a key.
            _log.warning("traces are off", why=f"OpenTelemetry refuses its variables: {type(error).__name__}")
    return None


class TracesFailed(logging.Handler):
    """Reports once a minute that traces are not exported: OpenTelemetry logs each attempt."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + _WARNING_SECONDS
            _log.warning("traces not exported", logger=record.name)
