"""The published results."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from benchmarks import console, importing
from benchmarks.comparison import report as comparison
from benchmarks.costs import report as costs
from benchmarks.environment.paths import PUBLISHED
from benchmarks.overload import report as overload


@pytest.mark.parametrize(
    ("name", "markdown"),
    [
        ("latest", comparison.markdown),
        ("overload", overload.markdown),
        ("costs", costs.markdown),
        ("importing", importing.markdown),
        ("console", console.markdown),
    ],
)
def test_the_published_tables_are_those_of_the_published_samples(
    name: str, markdown: Callable[[Mapping[str, Any]], str]
) -> None:
    results = json.loads((PUBLISHED / f"{name}.json").read_text())
    assert markdown(results) == (PUBLISHED / f"{name}.md").read_text()
