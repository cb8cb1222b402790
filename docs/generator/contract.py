"""What descriptors do not show: routes and idempotency, from protos/contract.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_CONTRACT: Final = Path(__file__).parent.parent.parent / "protos" / "contract.json"


_REPETITIONS: Final[Mapping[str, str]] = {
    "NO_SIDE_EFFECTS": "safe: the method only reads.",
    "IDEMPOTENT": "safe: a second time changes nothing.",
    "IDEMPOTENCY_UNKNOWN": "another request: it is done a second time, as described above.",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One route of a method. `body` and `response_body` are as in `google.api.http`; empty for none."""

    method: str
    path: str
    body: str
    response_body: str


class Contract:
    """The facts of each method, by its name such as `UserService.GetUser`."""

    def __init__(self, path: Path = _CONTRACT) -> None:
        self._facts: Any = json.loads(path.read_text())

    def repetition(self, method: str) -> str:
        """What sending a request of this method again does: the end of a sentence."""
        return _REPETITIONS[self._method(method)["idempotency"]]

    def routes(self, method: str) -> list[Route]:
        """The routes of a method: the shortest first, and a GET before a POST. Empty for a method of gRPC alone."""
        found = [
            Route(route.split()[0], route.split()[1], facts["body"], facts["response_body"])
            for route, facts in self._facts["routes"].items()
            if isinstance(facts, dict) and facts["method"] == f"userfold.v1.{method}"
        ]
        return sorted(found, key=lambda route: (len(route.path), route.method))

    def scope(self, method: str) -> str:
        """The scope that a management token needs; empty where any will do."""
        scope: str | None = self._method(method)["scope"]
        return scope or ""

    def takes_collector_key(self, method: str) -> bool:
        """Whether a collector key may call the method."""
        return bool(self._method(method)["collector_key"])

    def http_status_of_reasons(self) -> dict[str, int]:
        """The HTTP status of each reason of an error."""
        return {name.partition(" ")[0]: facts["http"] for name, facts in self._facts["errors"].items()}

    def _method(self, method: str) -> Any:
        return self._facts["methods"][f"userfold.v1.{method}"]
