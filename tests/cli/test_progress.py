"""The progress of long commands."""

import io
from contextlib import redirect_stderr
from unittest.mock import patch

from cli.progress import LINE_SECONDS, Reporter


def test_without_a_terminal_a_line_every_few_seconds_has_the_rate_and_the_time_left() -> None:
    now = 100.0
    with redirect_stderr(io.StringIO()) as stderr, Reporter("imported", 4000, clock=lambda: now) as reporter:
        reporter.advance(10, 5)
        now += LINE_SECONDS
        reporter.advance(1000, 50_000, ", refused 3")
        reporter.advance(1001, 50_001)
        now += LINE_SECONDS
        reporter.advance(4000, 200_000)
        reporter.say("waiting")
    assert stderr.getvalue().splitlines() == [
        "imported 50,000, refused 3, 5,000/s, 25%, 30 s left",
        "imported 200,000, 10,000/s",
        "waiting",
    ]
    assert reporter.seconds == 2 * LINE_SECONDS


def test_on_a_terminal_there_is_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with patch("sys.stderr", Terminal()) as stderr:
        with Reporter("imported", 1000) as reporter:
            reporter.advance(500, 7, ", refused 1")
            reporter.say("waiting [x]")
        shown = stderr.getvalue()
    assert "imported 7, refused 1" in shown
    assert "50%" in shown
    assert "waiting [x]" in shown
