"""Strings of a request: their limits, and lists of paths."""

from collections.abc import Sequence

from server import limits
from server.errors import InvalidRequest, Violation


def text_violation(field: str, text: str, max_bytes: int) -> Violation | None:
    """The violation of an empty string in `field`, or of one with more than `max_bytes` in UTF-8."""
    if not text:
        return Violation(field, "REQUIRED", "must not be empty")
    if len(text) > max_bytes or len(text.encode()) > max_bytes:
        return Violation(field, "TOO_LONG", f"longer than {max_bytes:,} bytes in UTF-8")
    return None


def end_of_prefix(prefix: str) -> str | None:
    """The first string, in the order of bytes in UTF-8, after all strings that begin with `prefix`.

    None: no string is after them.
    """
    # The order of bytes in UTF-8 is that of code points, of which surrogates are none.
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)


def paths_text(field: str, elements: Sequence[str]) -> str:
    """The paths of a repeated field joined by commas, as in a URL. An element may itself be such a list.

    Raises InvalidRequest if they are too many or too long.
    """
    if len(elements) > limits.PATHS:
        raise InvalidRequest([Violation(field, "TOO_MANY", f"more than {limits.PATHS} fields")])
    if sum(map(len, elements)) > limits.PATHS_BYTES:
        raise InvalidRequest([Violation(field, "TOO_LONG", f"longer than {limits.PATHS_BYTES:,} bytes in UTF-8")])
    return ",".join(elements)
