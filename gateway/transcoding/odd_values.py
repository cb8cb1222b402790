"""What a JSON text holds that no value can be made of, by the names of the fields.

Real clients send such values: Python's `json` writes NaN, JavaScript's `slice` cuts an emoji in half. The strict parser
names only a byte, so this is for texts that it has refused.
"""

import json
from typing import Any, Final

from gateway.errors.violations import Findings, Path

NOT_A_NUMBER: Final = "NOT_A_NUMBER", "must be a finite number that a double holds, or a string"
NOT_UNICODE: Final = "NOT_UNICODE", "must be Unicode: UTF-8 without half surrogate pairs"
NOT_JSON: Final = "NOT_JSON", "must be JSON"
"""Reason and description of each finding."""

_ODD = object()


def find_odd_values(text: bytes, path: Path, findings: Findings) -> None:
    """Add a violation for each value in a text that the strict parser has refused: at least one.

    The text should have a bounded number of values, all of which are visited.
    """
    before = len(findings.violations)
    try:
        # What is no UTF-8 becomes half a surrogate pair, too.
        value = json.loads(
            text.decode("utf-8", "surrogateescape").removeprefix("\ufeff"),
            parse_constant=lambda _: _ODD,
            parse_float=_number,
            parse_int=str,
        )
        _visit(value, path, findings)
    except (ValueError, RecursionError):
        pass
    if len(findings.violations) == before:
        findings.refuse(path, *NOT_JSON)


def _number(text: str) -> Any:
    number = float(text)
    return number if number - number == 0 else _ODD


def _visit(value: Any, path: Path, findings: Findings) -> None:
    if value is _ODD:
        findings.refuse(path, *NOT_A_NUMBER)
    elif isinstance(value, str):
        if _is_odd(value):
            findings.refuse(path, *NOT_UNICODE)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _visit(each, (*path, index), findings)
    elif isinstance(value, dict):
        for key, each in value.items():
            inner = (*path, key.encode("utf-8", "replace").decode())
            if _is_odd(key):
                findings.refuse(inner, *NOT_UNICODE)
            _visit(each, inner, findings)


def _is_odd(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
