"""The page about logs: every event of the code, with what its tables of events say."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from gateway.events import EVENTS as GATEWAY_EVENTS
from runtime.reporting.events import EVENTS
from server.events import EVENTS as SERVER_EVENTS
from tests.docs.markdown import DOCS, ROOT, table

_OF_LIBRARIES = "unhandled in the event loop"
"""The event of a library, the only one that has no words of the library."""


@cache
def _logged(top: str) -> tuple[tuple[str, str], ...]:
    """The level and the event of each call of a logger below a folder."""
    return tuple(_calls(top))


def _calls(top: str) -> Iterator[tuple[str, str]]:
    for path in (ROOT / top).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="_log"), attr=level), args=[event, *_]):
                    assert isinstance(event, ast.Constant), f"{path}: the event is no constant"
                    yield level, str(event.value)


def _rows() -> list[list[str]]:
    return table(Path(DOCS / "logs.md").read_text(), "event")


_PROGRAMS = {"server": SERVER_EVENTS, "gateway": GATEWAY_EVENTS}


def _levels(top: str) -> dict[str, str]:
    """The level of each event of a program, those of the runtime included."""
    return {event: level for folder in (top, "runtime") for level, event in _logged(folder)} | {_OF_LIBRARIES: "error"}


def test_every_event_of_the_code_is_in_the_table_of_its_program() -> None:
    known = {top: events.keys() - EVENTS.keys() for top, events in _PROGRAMS.items()}
    logged = {top: {event for _, event in _logged(top)} for top in (*_PROGRAMS, "runtime")}
    for top in _PROGRAMS:
        assert known[top] <= logged[top] <= known[top] | EVENTS.keys(), top
    everywhere = set().union(*logged.values()) | {_OF_LIBRARIES}
    assert logged["runtime"] <= EVENTS.keys() <= everywhere


def expected_rows() -> list[list[str]]:
    """The rows of the table of events."""
    rows = {
        (event, "both" if event in EVENTS else top): (_levels(top), events[event])
        for top, events in _PROGRAMS.items()
        for event in events
    }
    return [
        [f"`{event}`", program, levels[event], described.happened, described.to_do]
        for (event, program), (levels, described) in sorted(rows.items(), key=lambda row: row[0])
    ]


def test_the_page_says_of_each_event_what_its_line_says() -> None:
    assert _rows() == expected_rows()


def test_an_event_has_one_level() -> None:
    for top in _PROGRAMS:
        found = {(event, level) for folder in (top, "runtime") for level, event in _logged(folder)}
        assert len(found) == len({event for event, _ in found}), top
