"""Finds the fields with invalid values in a text that the JSON parser has refused, for which it gives only a byte.

Real clients send such values: Python's `json` writes NaN, JavaScript's `slice` cuts an emoji in half.
"""

import json
from typing import Any, Final

from gateway.errors.violations import Findings, Path

NOT_A_NUMBER: Final = "NOT_A_NUMBER", "must be a finite number that a double holds, or a string"
NOT_UNICODE: Final = "NOT_UNICODE", "must be Unicode: UTF-8 without half surrogate pairs"
NOT_JSON: Final = "NOT_JSON", "must be JSON"
"""The reason and the description of each violation."""

_INVALID_NUMBER = object()


def find_invalid_values(text: bytes, path: Path, findings: Findings) -> None:
    """Add a violation for each invalid value, at least one. The text should have few values: all are visited."""
    before = len(findings.violations)
    try:
        # Invalid UTF-8 becomes half a surrogate pair as well.
        value = json.loads(
            text.decode("utf-8", "surrogateescape").removeprefix("\ufeff"),
            parse_constant=lambda _: _INVALID_NUMBER,
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
    return number if number - number == 0 else _INVALID_NUMBER


def _visit(value: Any, path: Path, findings: Findings) -> None:
    if value is _INVALID_NUMBER:
        findings.refuse(path, *NOT_A_NUMBER)
    elif isinstance(value, str):
        if _has_surrogates(value):
            findings.refuse(path, *NOT_UNICODE)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _visit(each, (*path, index), findings)
    elif isinstance(value, dict):
        for key, each in value.items():
            inner = (*path, key.encode("utf-8", "replace").decode())
            if _has_surrogates(key):
                findings.refuse(inner, *NOT_UNICODE)
            _visit(each, inner, findings)


def _has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
