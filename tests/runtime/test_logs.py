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


async def test_what_asyncio_says_of_a_lost_exception_holds_nothing_of_its_text(
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
    told = json.loads(capsys.readouterr().err)
    assert "john" not in str(told)
    assert (told["event"], told["logger"], told["exception"]) == (
        "unhandled in the event loop",
        "asyncio",
        "ValueError",
    )
    assert told["traceback"][0].endswith("holds_nothing_of_its_text")


def test_what_a_library_logs_is_told_without_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    with configured():
        logging.getLogger("library").warning("failed for %s", "john@acmeinc.com")
    told = json.loads(capsys.readouterr().err)
    assert (told["event"], told["logger"], told["level"]) == ("failed for %s", "library", "warning")


def test_what_is_less_than_the_level_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    for level, expected in (("info", "iwe"), ("warning", "we"), ("error", "e")):
        with configured(level):
            for say in (structlog.get_logger(), logging.getLogger("library")):
                say.debug("d")
                say.info("i")
                say.warning("w")
                say.error("e")
        told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert "".join(each["event"] for each in told if "logger" not in each) == expected
        # Libraries are heard from `warning` on.
        assert "".join(each["event"] for each in told if "logger" in each) == expected.removeprefix("i")
