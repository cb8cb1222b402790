"""What MongoDB's `explain` returns."""

from collections.abc import Iterator
from typing import Any


def stages_of(plan: Any) -> Iterator[dict[str, Any]]:
    """Every stage of a plan, at any depth."""
    if isinstance(plan, dict):
        if "stage" in plan:
            yield plan
        for inner in plan.values():
            yield from stages_of(inner)
    elif isinstance(plan, list):
        for inner in plan:
            yield from stages_of(inner)
