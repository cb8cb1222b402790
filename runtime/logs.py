"""Logs of the programs and of libraries that use `logging`: one JSON object a line, on stderr."""

import logging
import sys
import traceback

import structlog


class _Forward(logging.Handler):
    """Logs a library's record without the message of its exception, which may hold values."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        known = {"exception": type(error).__name__, "traceback": locations(error)} if error else {}
        # asyncio writes the exception, or a callback's arguments, into the message itself.
        event = "unhandled in the event loop" if record.name == "asyncio" else record.msg
        structlog.get_logger().log(record.levelno, event, logger=record.name, **known)


def configure(level: str) -> None:
    """Configure logging for the program, from the level `info`, `warning` or `error`.

    Log calls must pass no secret and no personal value.
    """
    minimum = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(minimum, logging.WARNING), handlers=[_Forward()], force=True)


def locations(error: BaseException) -> list[str]:
    """Where an exception was raised, as `file:line function`, innermost last, without its message."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
