"""The examples of the reference pages as examples of operations. tests/docs/ runs them, and tests/api/ those here."""

import json
import shlex
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from gateway.routing.http_rules import Binding

_FOLDER: Final = Path(__file__).parent.parent.parent / "examples"
_LEFT_OUT: Final = "…"


@dataclass(frozen=True, slots=True)
class HttpExample:
    """One request and its response. `parameters` are those of the path and the query, lists as such."""

    name: str
    about: str
    method: str
    path: str
    parameters: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    response: Any = None

    @property
    def is_error(self) -> bool:
        """Whether the response is an error."""
        return "code" in self.response

    def entry(self, value: Any) -> dict[str, Any]:
        """An Example Object with this value."""
        return {"summary": self.about, "value": value} if self.about else {"value": value}


class HttpExamples:
    """The examples of one file."""

    def __init__(self, subject: str) -> None:
        self._examples = tomllib.loads((_FOLDER / f"http-{subject}.toml").read_text())

    def of(self, binding: Binding) -> list[HttpExample]:
        """The examples that a route has under its own method."""
        own = self._examples.get(binding.rpc.rpartition("/")[2], [])
        found = []
        for place, example in enumerate(own):
            verb, url, body = _request_of(example["request"])
            match = binding.pattern.fullmatch(url.path)
            if verb != binding.method or not match:
                continue
            about = " ".join(example.get("about", "").split()).rstrip(":")
            name = binding.rpc.rpartition("/")[2] + (str(place + 1) if place else "")
            parameters = dict(match.groupdict())
            for key, value in parse_qsl(url.query):
                parameters[key] = _value(binding, key, value)
            response = _without_left_out(json.loads(example["response"]))
            found.append(HttpExample(name, about, verb, url.path, parameters, body, response))
        return found


def _value(binding: Binding, name: str, text: str) -> Any:
    described = binding.query[name]
    if described.is_repeated:
        return text.split(",")
    return text if described.type in (described.TYPE_STRING, described.TYPE_MESSAGE) else json.loads(text)


def _request_of(command: str) -> tuple[str, SplitResult, Any]:
    """The method, the URL and the JSON body of a call of curl."""
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    verb = url = ""
    body: Any = None
    query: list[str] = []
    for word in words:
        match word:
            case "-X":
                verb = next(words)
            case "-H":
                next(words)
            case "-d":
                body = json.loads(next(words))
            case "--data-urlencode":
                query.append(next(words))
            case "-s" | "-sG":
                pass
            case _:
                url = word
    parts = urlsplit(url)
    if query:
        parts = parts._replace(query=urlencode([each.partition("=")[::2] for each in query]))
    return verb or ("GET" if body is None else "POST"), parts, body


def _without_left_out(value: Any) -> Any:
    """The value without the members that stand for those that a page does not show."""
    if isinstance(value, dict):
        return {name: _without_left_out(each) for name, each in value.items() if name != _LEFT_OUT}
    return [_without_left_out(each) for each in value] if isinstance(value, list) else value
