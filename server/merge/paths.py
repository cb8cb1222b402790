"""How a field is named to a caller: `metadata.sales_info.stage`, `metadata["a.b"]`, `metadata.list[2]`."""

import json
import re
from collections.abc import Sequence

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_LONGEST = 160


def field_path(parts: Sequence[str | int]) -> str:
    """The path of `parts`: keys and array indices, from the request inwards. Shortened to 160 characters."""
    path = ""
    for part in parts:
        path += _part(part)
        # A key may be a mebibyte long: what is cut off is not looked at.
        if len(path) > _LONGEST + 1:
            break
    path = path.removeprefix(".")
    return path if len(path) <= _LONGEST else f"{path[: _LONGEST - 1]}…"


def _part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    part = part[: _LONGEST + 1]
    return f".{part}" if _PLAIN.match(part) else f"[{json.dumps(part, ensure_ascii=False)}]"
