"""Logs of the programs and of libraries that use `logging`, on stderr: a JSON object a line, or a line for people."""

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from enum import StrEnum
from typing import Any

import structlog

from runtime.reporting.events import EVENTS, Event


class Format(StrEnum):
    """The form of a log line."""

    AUTO = "auto"
    """For people where stderr is a terminal, else JSON."""
    JSON = "json"
    HUMAN = "human"


class _Forward(logging.Handler):
    """Logs a library's record without the message of its exception, which may hold values."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        known = {"exception": type(error).__name__, "traceback": locations(error)} if error else {}
        # asyncio writes the exception, or a callback's arguments, into the message itself.
        event = "unhandled in the event loop" if record.name == "asyncio" else record.msg
        structlog.get_logger().log(record.levelno, event, logger=record.name, **known)


def configure(level: str, form: Format = Format.JSON, program: str = "", events: Mapping[str, Event] = EVENTS) -> None:
    """Configure logging for a program, from the level `info`, `warning` or `error`.

    Each line names the `program`, and a warning or an error what to do, as `events` says. Log calls must pass no secret
    and no personal value.
    """
    minimum = logging.getLevelNamesMapping()[level.upper()]
    is_human = form is Format.HUMAN or (form is Format.AUTO and sys.stderr.isatty())
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if is_human else "iso", utc=not is_human),
            _Explain(program, events),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
            if is_human
            else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(minimum, logging.WARNING), handlers=[_Forward()], force=True)


class _Explain:
    """Adds the program to each line, and to warnings and errors what to do."""

    def __init__(self, program: str, events: Mapping[str, Event]) -> None:
        self._program = {"program": program} if program else {}
        self._events = events

    def __call__(self, _logger: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line.update(self._program)
        if method in ("warning", "error") and (event := self._events.get(line["event"])):
            line.setdefault("to_do", event.to_do)
        return line


def locations(error: BaseException) -> list[str]:
    """Where an exception was raised, as `file:line function`, innermost last, without its message."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
