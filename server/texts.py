"""Texts that name something: what none of them may be."""

from server.errors import Violation


def text_violation(field: str, text: str, most: int) -> Violation | None:
    """What is wrong with the text in `field`, where it is empty or has more than `most` bytes in UTF-8."""
    if not text:
        return Violation(field, "REQUIRED", "must not be empty")
    if len(text) > most or len(text.encode()) > most:
        return Violation(field, "TOO_LONG", f"longer than {most:,} bytes in UTF-8")
    return None
