"""The rows of the catalogue, read from the TOML files of this folder. README.md explains the keys."""

import codecs
import gzip
import json
import re
import tomllib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent

_SHAPES: Final[dict[str, dict[str, Any]]] = tomllib.loads((HERE / "answers.toml").read_text())["answer"]
_TYPES: Final = "type.googleapis.com/google.rpc."
_REPEATED: Final = re.compile(r"«([^»]+)\*([0-9]+)»")
_NAMED: Final = re.compile("«([a-z_]+)»")

_TRANSFORMS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zlib": zlib.compress,
    "halve": lambda data: data[: len(data) // 2],
    "break": lambda data: data[:-8] + bytes(byte ^ 0xFF for byte in data[-8:]),
    "append": lambda data: data + b"more",
}


@dataclass(frozen=True)
class Row:
    """One request, its expected response, and what must be stored then."""

    file: str
    name: str
    # The request.
    before: str = "[]"
    request: str = ""
    raw: str = ""
    rpc: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    credential: str = "token"
    body: str | None = None
    encoding: str = "utf-8"
    transform: Sequence[str] = ()
    message: str | Sequence[str] = ()
    payload: str | Sequence[str] = ()
    frames: str | None = None
    # The response.
    http: int | Sequence[int] = ()
    grpc: str = ""
    refused: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    violations: Sequence[Sequence[str]] = ()
    count: int = 0
    items: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[Sequence[str]] = ()
    result: str = "{}"
    text: str | None = None
    headers_returned: dict[str, str] = field(default_factory=dict)
    # The stored users.
    stored: str = "[]"
    visitors: int = 0

    def encoded_body(self, names: Mapping[str, str]) -> bytes | None:
        """The body in its encoding."""
        if self.body is None:
            return None
        data = codecs.encode(filled(self.body, names), self.encoding)
        for step in self.transform:
            data = _TRANSFORMS[step](data)
        return data

    def statuses(self) -> list[int]:
        """The HTTP status of each response."""
        return [self.http] if isinstance(self.http, int) else [*self.http]

    def answer(self) -> Any:
        """The JSON value of the last response."""
        warned = {"warnings": [_named(each, "field", "reason", "description") for each in self.warnings]}
        if self.text is not None:
            return {"status": self.grpc, "message": self.text}
        if self.rpc and self.count:
            results: list[dict[str, Any]] = [{"response": {}} for _ in range(self.count)]
            for item in self.items:
                results[item["index"]] = {"error": _status(item)}
            return {"results": results}
        value: dict[str, Any] = json.loads(filled(self.result))
        if self.refused:
            value |= _status({"refused": self.refused, "violations": self.violations, "facts": self.facts})
        if self.count:
            value["saved_count"] = self.count - len(self.items)
        if self.items:
            value["failed_count"] = len(self.items)
        if self.items:
            value["refused"] = [{"index": item["index"], "status": _status(item)} for item in self.items]
        return value | warned if self.warnings else value

    def expected_headers(self) -> dict[str, str]:
        """Headers of the last response."""
        headers: dict[str, str] = _SHAPES.get(self.refused, {}).get("headers", {})
        return headers | self.headers_returned


def rows() -> list[Row]:
    """All rows. Raises TypeError for an unknown key."""
    return [
        Row(file=path.stem, **row)
        for path in sorted(HERE.glob("*.toml"))
        for row in tomllib.loads(path.read_text()).get("row", [])
    ]


def filled(text: str, names: Mapping[str, str] | None = None) -> str:
    """`text` with each `«TEXT*N»` repeated, where `#` is the number of the repetition, and each `«NAME»` replaced."""
    repeated = _REPEATED.sub(_repeated, text)
    return _NAMED.sub(lambda found: (names or {})[found[1]], repeated)


def _repeated(found: re.Match[str]) -> str:
    text, times = found[1], int(found[2])
    return "".join(text.replace("#", str(number)) for number in range(times)) if "#" in text else text * times


def _status(item: Mapping[str, Any]) -> dict[str, Any]:
    reason = item.get("refused", "INVALID_REQUEST")
    shape = _SHAPES[reason]
    reason = shape.get("reason", reason)
    facts = item.get("facts", {})
    named = {name: facts[name] for name in ("scope", "column") if name in facts}
    metadata = {"metadata": named} if named else {}
    details: list[dict[str, Any]] = [{"@type": f"{_TYPES}ErrorInfo", "reason": reason, "domain": "userfold"} | metadata]
    if item.get("violations"):
        violations = [_named(each, "field", "reason", "description") for each in item["violations"]]
        details.append({"@type": f"{_TYPES}BadRequest", "field_violations": violations})
    message = shape["message"].format(**facts, first=_first(item.get("violations", ())))
    return {"code": shape["code"], "status": shape["status"], "message": message, "details": details}


def _first(violations: Sequence[Sequence[str]]) -> str:
    """How a message names the first violation."""
    if not violations:
        return ""
    more = len(violations) - 1
    rest = f" (and {'at least ' if more == 19 else ''}{more} more)" if more else ""
    return f"{filled(violations[0][0])}: {filled(violations[0][2])}{rest}"


def _named(texts: Sequence[str], *names: str) -> dict[str, str]:
    return {name: filled(text) for name, text in zip(names, texts, strict=True)}
