"""Strings of a request: what none of those that name something may be, and lists of paths."""

from collections.abc import Sequence

from server import limits
from server.errors import InvalidRequest, Violation


def text_violation(field: str, text: str, most: int) -> Violation | None:
    """What is wrong with the text in `field`, where it is empty or has more than `most` bytes in UTF-8."""
    if not text:
        return Violation(field, "REQUIRED", "must not be empty")
    if len(text) > most or len(text.encode()) > most:
        return Violation(field, "TOO_LONG", f"longer than {most:,} bytes in UTF-8")
    return None


def paths_text(field: str, elements: Sequence[str]) -> str:
    """The paths in a repeated field as one list by commas, as a URL has it; an element may itself be such a list.

    Raises InvalidRequest where they are too many or too long to be joined.
    """
    if len(elements) > limits.PATHS:
        raise InvalidRequest([Violation(field, "TOO_MANY", f"more than {limits.PATHS} fields")])
    if sum(map(len, elements)) > limits.PATHS_BYTES:
        raise InvalidRequest([Violation(field, "TOO_LONG", f"longer than {limits.PATHS_BYTES:,} bytes in UTF-8")])
    return ",".join(elements)
