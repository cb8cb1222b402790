"""Logs: one JSON object a line, on stderr, of our own and of the libraries that use `logging`."""

import logging
import sys
import traceback

import structlog


class _Forward(logging.Handler):
    """Passes a library's record on, without its exception's text, which may hold values."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        known = {"exception": type(error).__name__, "traceback": locations(error)} if error else {}
        # asyncio writes the exception, or a callback's arguments, into the message itself.
        event = "unhandled in the event loop" if record.name == "asyncio" else record.msg
        structlog.get_logger().log(record.levelno, event, logger=record.name, **known)


def configure(level: str) -> None:
    """Set logging up for the program, from a level on: `info`, `warning` or `error`.

    Log calls must pass no secret and no personal value.
    """
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(least),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(least, logging.WARNING), handlers=[_Forward()], force=True)


def locations(error: BaseException) -> list[str]:
    """Where an exception came from, as `file:line function`, the innermost last. Nothing of its text."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
