"""What decoding finds to say about a request, each finding at the path of its field."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from google.protobuf.descriptor import Descriptor

Path: TypeAlias = tuple[str | int, ...]
"""Keys and array indices, from the request inwards."""

MOST: Final = 20
"""The findings of one kind that one answer tells, at most."""

NOT_UTF8: Final = ("NOT_UTF8", "must be percent-encoded UTF-8")
"""The reason and the description of a path or a query that is no text."""

_LONGEST_PATH = 160
_LONGEST_KEY = 64
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ITEM = re.compile(r"\A[A-Za-z_]+\[\d+\]\.?")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one field.

    `field` is a path from the request, `reason` in UPPER_SNAKE, `description` a fixed text of ours, never the value.
    """

    field: str
    reason: str
    description: str


@dataclass(slots=True)
class Findings:
    """The violations, which refuse the object, and the warnings, which do not. At most 20 of each are kept."""

    violations: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def refuse(self, path: Path, reason: str, description: str) -> None:
        """Add a violation."""
        if len(self.violations) < MOST:
            self.violations.append(Finding(field_path(path), reason, description))

    def warn(self, path: Path, reason: str, description: str) -> None:
        """Add a warning."""
        if len(self.warnings) < MOST:
            self.warnings.append(Finding(field_path(path), reason, description))


def field_path(parts: Sequence[str | int]) -> str:
    """The path as text, such as `users[3].metadata["a.b"].stage`. Shortened to 160 characters."""
    return _shortened("".join(map(_part, parts)).removeprefix("."), _LONGEST_PATH)


def short_key(key: str) -> str:
    """A key that a caller made up, shortened to 64 characters."""
    return _shortened(key, _LONGEST_KEY)


def schema_name(path: str, message: Descriptor | None) -> str:
    """The part of a path that the schema knows, such as `campaign.utm_source`: what a log may show.

    Keys below a Struct and unknown keys are a caller's own. The answer for those alone is `*`.
    """
    known: list[str] = []
    for name in _ITEM.sub("", path).split("."):
        plain = name.partition("[")[0]
        found = message.fields_by_name.get(plain) if message is not None else None
        if found is None:
            break
        known.append(plain)
        message = found.message_type
        if message is None or message.full_name.startswith("google."):
            break
    return ".".join(known) or "*"


def _part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    # A key may be as long as the body: no more is looked at than can be shown.
    shown = part[: _LONGEST_PATH + 1]
    return f".{shown}" if _PLAIN.fullmatch(shown) else f"[{json.dumps(shown, ensure_ascii=False)}]"


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
