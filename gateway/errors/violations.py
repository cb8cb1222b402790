"""What decoding finds wrong or remarkable in a request: each finding names the path of its field."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from google.protobuf.descriptor import Descriptor

Path: TypeAlias = tuple[str | int, ...]
"""Keys and array indices, from the request inwards."""

FINDINGS_LIMIT: Final = 20
"""The limit of violations, and of warnings, in one answer."""

NOT_UTF8: Final = ("NOT_UTF8", "must be percent-encoded UTF-8")
"""The reason and the description of a violation: a path or a query is not UTF-8."""

_PATH_CHARACTERS = 160
_KEY_CHARACTERS = 64
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ITEM = re.compile(r"\A([A-Za-z_]+)\[\d+\]\.?")


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation or a warning. `field` is its path in the request, `reason` is in UPPER_SNAKE_CASE, and the
    `description` is one of the gateway's own, which never shows the value.
    """

    field: str
    reason: str
    description: str


@dataclass(slots=True)
class Findings:
    """Violations, for which the object is refused, and warnings, for which it is not. The first 20 of each are kept."""

    violations: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def refuse(self, path: Path, reason: str, description: str) -> None:
        """Add a violation."""
        if len(self.violations) < FINDINGS_LIMIT:
            self.violations.append(Finding(field_path(path), reason, description))

    def warn(self, path: Path, reason: str, description: str) -> None:
        """Add a warning."""
        if len(self.warnings) < FINDINGS_LIMIT:
            self.warnings.append(Finding(field_path(path), reason, description))


def field_path(parts: Sequence[str | int]) -> str:
    """The path as a string, such as `users[3].metadata["a.b"].stage`. Shortened to 160 characters."""
    return _shortened("".join(map(_part, parts)).removeprefix("."), _PATH_CHARACTERS)


def short_key(key: str) -> str:
    """A key that a caller chose, shortened to 64 characters."""
    return _shortened(key, _KEY_CHARACTERS)


def schema_name(path: str, message: Descriptor | None) -> str:
    """The part of a path that the schema has, such as `campaign.utm_source`: the part that a log may show.

    Keys inside a Struct and unknown keys are chosen by a caller. A path of nothing else is `*`.
    """
    known: list[str] = []
    item = _ITEM.match(path)
    # The item of a batch is no field of the message.
    if item and not (message is not None and item[1] in message.fields_by_name):
        path = path[item.end() :]
    for name in path.split("."):
        plain = name.partition("[")[0]
        field = message.fields_by_name.get(plain) if message is not None else None
        if field is None:
            break
        known.append(plain)
        message = field.message_type
        if message is None or message.full_name.startswith("google."):
            break
    return ".".join(known) or "*"


def _part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    # A key may be as long as the body: no more of it is read than can be shown.
    shown = part[: _PATH_CHARACTERS + 1]
    return f".{shown}" if _PLAIN.fullmatch(shown) else f"[{json.dumps(shown, ensure_ascii=False)}]"


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
