import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from runtime import logs
from runtime.reporting.events import EVENTS


@contextmanager
def configured(level: str = "info", form: logs.Format = logs.Format.AUTO, program: str = "") -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure(level, form, program)
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


def test_a_line_names_the_program_and_a_warning_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with configured(program="gateway"):
        structlog.get_logger().error("certificates not reloaded", why="it holds no certificate")
        structlog.get_logger().info("certificates reloaded")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["program"], first["why"]) == ("gateway", "it holds no certificate")
    assert first["to_do"] == EVENTS["certificates not reloaded"].to_do
    assert (second["program"], "to_do" in second) == ("gateway", False)


@pytest.mark.parametrize(
    ("form", "is_terminal", "is_json"),
    [("auto", False, True), ("auto", True, False), ("json", True, True), ("human", False, False)],
)
def test_lines_are_for_people_on_a_terminal_unless_the_settings_say_otherwise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: str, is_terminal: bool, is_json: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    with configured(form=logs.Format(form)):
        structlog.get_logger().info("ready", grpc="127.0.0.1:50051")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ready" in line
    assert line.startswith("{") is is_json
