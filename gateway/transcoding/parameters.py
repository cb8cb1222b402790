"""The path and the query of a request as arguments of its message."""

import re
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import orjson
from google.protobuf.descriptor import FieldDescriptor

from gateway.errors.rendering import refusal
from gateway.errors.violations import NOT_UTF8, Findings, short_key
from gateway.routing.descriptors import is_timestamp
from gateway.routing.http_rules import Binding
from gateway.transcoding.json_decoder import REPEATED, UNKNOWN_FIELD
from gateway.transcoding.json_values import SCALAR_READERS, read_timestamp

_PARAMETERS: Final = 100
"""The limit of parameters in a query."""

_VALUES: Final = 1000
"""The limit of values in one parameter, separated by commas."""

# It matches at every position, in linear time: no quantifier backtracks. An unclosed quotation ends with the text.
_SEPARATED = re.compile(r'(?:[^",]++|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))*+', re.DOTALL)


class Parameters:
    """Reads the path and the query of the requests of one binding.

    A parameter that the binding does not have, or that is repeated in either case, is a violation: ignoring it would do
    something else than the caller wanted.
    """

    def __init__(self, binding: Binding) -> None:
        self._of_path = {name: binding.request_type.fields_by_name[name] for name in binding.pattern.groupindex}
        self._of_query = {name: field for field in binding.query.values() for name in (field.name, field.json_name)}

    def arguments(self, fields: Mapping[str, str], query: bytes) -> dict[str, Any]:
        """The arguments of the message, None for empty ones. `query` is percent-encoded. Raises Refusal."""
        if not (fields or query):
            return {}
        findings = Findings()
        arguments = {name: value_from_text(self._of_path[name], text, findings) for name, text in fields.items()}
        if query.count(b"&") >= _PARAMETERS:
            findings.refuse(("query",), "TOO_MANY", f"at most {_PARAMETERS} parameters")
        elif query:
            self._read_query(query, arguments, findings)
        if findings.violations:
            raise refusal("INVALID_REQUEST", violations=findings.violations)
        return arguments

    def _read_query(self, query: bytes, arguments: dict[str, Any], findings: Findings) -> None:
        # Latin-1 keeps every byte: invalid UTF-8 must not become a different string.
        for key, sent in parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1"):
            field = self._of_query.get(key)
            if field is None:
                shown = short_key(key.encode("latin-1").decode(errors="replace"))
                findings.refuse((shown,), *UNKNOWN_FIELD)
            elif field.name in arguments:
                findings.refuse((field.name,), *REPEATED)
            else:
                arguments[field.name] = None
                try:
                    text = sent.encode("latin-1").decode()
                except UnicodeDecodeError:
                    findings.refuse((field.name,), *NOT_UTF8)
                else:
                    arguments[field.name] = value_from_text(field, text, findings)


def value_from_text(field: FieldDescriptor, text: str, findings: Findings) -> Any:
    """The value of a field in a path or a query: a single value, a time, or a list of strings, separated by commas.

    None where it is empty, unless the field is a single string; and, with a violation, where it is invalid.
    """
    if field.is_repeated:
        return _separated(field, text, findings) if text else None
    if field.type == FieldDescriptor.TYPE_STRING:
        return text
    if not text:
        return None
    if is_timestamp(field):
        return read_timestamp(text, (field.name,), findings)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text
    return SCALAR_READERS[field.type](value, (field.name,), findings)


def _separated(field: FieldDescriptor, text: str, findings: Findings) -> list[str]:
    """The values between commas. Commas in double quotes separate nothing; a backslash there escapes a character."""
    values: list[str] = []
    if text.count(",") >= _VALUES:
        findings.refuse((field.name,), "TOO_MANY", f"at most {_VALUES:,} values")
        return values
    position = 0
    while position <= len(text):
        value = cast("re.Match[str]", _SEPARATED.match(text, position))
        values.append(value[0])
        position = value.end() + 1
    return values
