"""Logs: one JSON object a line, on stderr."""

import sys

import structlog


def configure() -> None:
    """Set structlog up for a program. Log calls must pass no secret and no personal value."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
