"""What descriptors do not show: routes and idempotency, from protos/contract.json."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_CONTRACT: Final = Path(__file__).parent.parent.parent / "protos" / "contract.json"


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
        reads = self._method(method)["idempotency"] == "NO_SIDE_EFFECTS"
        return "safe: the method only reads." if reads else "safe: a second time changes nothing."

    def routes(self, method: str) -> list[Route]:
        """The routes of a method: the shortest first, and a GET before a POST. Empty for a method of gRPC alone."""
        found = [
            Route(route.split()[0], route.split()[1], facts["body"], facts["response_body"])
            for route, facts in self._facts["routes"].items()
            if isinstance(facts, dict) and facts["method"] == f"userfold.v1.{method}"
        ]
        return sorted(found, key=lambda route: (len(route.path), route.method))

    def _method(self, method: str) -> Any:
        return self._facts["methods"][f"userfold.v1.{method}"]
