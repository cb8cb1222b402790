"""The rows of the catalogue, read from the TOML files of this folder. What each key means: README.md."""

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
    """One thing that is sent, and what must come of it."""

    file: str
    name: str
    # What is sent.
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
    octets: str | Sequence[str] = ()
    frames: str | None = None
    # What is answered.
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
    told: dict[str, str] = field(default_factory=dict)
    # What is stored.
    stored: str = "[]"
    visitors: int = 0

    def octets_of_body(self, names: Mapping[str, str]) -> bytes | None:
        """The body as it is sent."""
        if self.body is None:
            return None
        data = codecs.encode(filled(self.body, names), self.encoding)
        for step in self.transform:
            data = _TRANSFORMS[step](data)
        return data

    def statuses(self) -> list[int]:
        """The HTTP status of each answer."""
        return [self.http] if isinstance(self.http, int) else [*self.http]

    def answer(self) -> Any:
        """The JSON value that the last answer holds."""
        warned = {"warnings": [_named(each, "field", "reason", "description") for each in self.warnings]}
        if self.text is not None:
            return {"status": self.grpc, "message": self.text}
        if self.rpc and self.count:
            results: list[dict[str, Any]] = [{"response": {}} for _ in range(self.count)]
            for item in self.items:
                results[item["index"]] = {"error": _status(item)}
            return {"results": results}
        told: dict[str, Any] = json.loads(filled(self.result))
        if self.refused:
            told |= _status({"refused": self.refused, "violations": self.violations, "facts": self.facts})
        if self.count:
            told["saved_count"] = self.count - len(self.items)
        if self.items:
            told["failed_count"] = len(self.items)
        if self.items:
            told["refused"] = [{"index": item["index"], "status": _status(item)} for item in self.items]
        return told | warned if self.warnings else told

    def headers_told(self) -> dict[str, str]:
        """Headers that the last answer has."""
        headers: dict[str, str] = _SHAPES.get(self.refused, {}).get("headers", {})
        return headers | self.told


def rows() -> list[Row]:
    """All rows. Raises TypeError for a key that none has."""
    return [
        Row(file=path.stem, **row)
        for path in sorted(HERE.glob("*.toml"))
        for row in tomllib.loads(path.read_text()).get("row", [])
    ]


def filled(text: str, names: Mapping[str, str] | None = None) -> str:
    """A text with `«TEXT*N»` repeated, `#` in it standing for the number from 0, and `«NAME»` replaced."""
    repeated = _REPEATED.sub(_repeated, text)
    return _NAMED.sub(lambda found: (names or {})[found[1]], repeated)


def _repeated(found: re.Match[str]) -> str:
    text, times = found[1], int(found[2])
    return "".join(text.replace("#", str(number)) for number in range(times)) if "#" in text else text * times


def _status(item: Mapping[str, Any]) -> dict[str, Any]:
    reason = item.get("refused", "INVALID_REQUEST")
    shape = _SHAPES[reason]
    facts = item.get("facts", {})
    metadata = {"metadata": {"scope": facts["scope"]}} if "scope" in facts else {}
    details: list[dict[str, Any]] = [{"@type": f"{_TYPES}ErrorInfo", "reason": reason, "domain": "userfold"} | metadata]
    if item.get("violations"):
        told = [_named(each, "field", "reason", "description") for each in item["violations"]]
        details.append({"@type": f"{_TYPES}BadRequest", "field_violations": told})
    message = shape["message"].format(**facts)
    return {"code": shape["code"], "status": shape["status"], "message": message, "details": details}


def _named(texts: Sequence[str], *names: str) -> dict[str, str]:
    return {name: filled(text) for name, text in zip(names, texts, strict=True)}
