import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from runtime import logs


@contextmanager
def configured(level: str = "info") -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure(level)
        yield
    finally:
        structlog.reset_defaults()
        root.handlers[:], root.level = before


async def test_the_log_of_an_unhandled_exception_holds_nothing_of_its_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    try:
        raise ValueError("john@acmeinc.com")
    except ValueError as error:
        context = {"message": "Future exception was never retrieved", "future": future, "exception": error}
        future.set_exception(error)
        assert future.exception()
        with configured():
            loop.default_exception_handler(context)
    reported = json.loads(capsys.readouterr().err)
    assert "john" not in str(reported)
    assert (reported["event"], reported["logger"], reported["exception"]) == (
        "unhandled in the event loop",
        "asyncio",
        "ValueError",
    )
    assert reported["traceback"][0].endswith("holds_nothing_of_its_message")


def test_the_log_of_a_library_is_written_without_values(capsys: pytest.CaptureFixture[str]) -> None:
    with configured():
        logging.getLogger("library").warning("failed for %s", "john@acmeinc.com")
    reported = json.loads(capsys.readouterr().err)
    assert (reported["event"], reported["logger"], reported["level"]) == ("failed for %s", "library", "warning")


def test_events_below_the_level_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    for level, expected in (("info", "iwe"), ("warning", "we"), ("error", "e")):
        with configured(level):
            for say in (structlog.get_logger(), logging.getLogger("library")):
                say.debug("d")
                say.info("i")
                say.warning("w")
                say.error("e")
        reported = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert "".join(each["event"] for each in reported if "logger" not in each) == expected
        # Libraries are logged from `warning`.
        assert "".join(each["event"] for each in reported if "logger" in each) == expected.removeprefix("i")
