"""The examples of the reference pages: what is sent, and what is answered. tests/docs/ runs them as they stand."""

import tomllib
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parent.parent / "examples"


class Examples:
    """The examples of one file, by method."""

    def __init__(self, name: str, language: str) -> None:
        self._examples: Any = tomllib.loads((_FOLDER / name).read_text())
        self._language = language

    def of(self, method: str) -> str:
        """The examples of a method, as blocks of code. Raises KeyError where there is none."""
        parts = []
        for example in self._examples[method]:
            if about := example.get("about"):
                parts.append(about.strip())
            parts.append(f"```{self._language}\n{example['request'].strip()}\n```")
            if response := example.get("response"):
                parts.append(f"```{example.get('form', 'json')}\n{response.strip()}\n```")
        return "\n\n".join(parts)
