"""The path of a field in an error: `metadata.sales_info.stage`, `metadata["a.b"]`, `metadata.list[2]`."""

import json
import re
from collections.abc import Sequence

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_MAX_LENGTH = 160


def field_path(parts: Sequence[str | int]) -> str:
    """The path of `parts`, which are keys and array indices, from the outside in. Shortened to 160 characters."""
    path = ""
    for part in parts:
        path += _part(part)
        # The rest is cut off, and a key may be very long.
        if len(path) > _MAX_LENGTH + 1:
            break
    path = path.removeprefix(".")
    return path if len(path) <= _MAX_LENGTH else f"{path[: _MAX_LENGTH - 1]}…"


def key_text(key: str) -> str:
    """What a key adds to a path: `.key`, or `["a.b"]`."""
    return f".{key}" if _PLAIN.match(key) else f"[{json.dumps(key, ensure_ascii=False)}]"


def whole_path(keys: Sequence[str]) -> str:
    """The path of `keys`, from the outside in, however long it is."""
    return "".join(map(key_text, keys))[1:]


def _part(part: str | int) -> str:
    return f"[{part}]" if isinstance(part, int) else key_text(part[: _MAX_LENGTH + 1])
