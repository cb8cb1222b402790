"""The lock files: which requirements of pyproject.toml each one pins. `make lock` runs this before pip-compile."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent.parent

RUN: Final = "requirements-run"
"""What `make run` installs."""

ALL: Final = "requirements"
"""What `make setup` installs: all of RUN, and what development needs."""

_RUN_EXTRAS: Final = ("embedded", "build")


def inputs() -> Mapping[str, Sequence[str]]:
    """The lines of the input of each lock file, without those of packages in this repository."""
    project: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras: Mapping[str, Sequence[str]] = project["optional-dependencies"]
    own = [line for line in project["dependencies"] if line != "userfold-api"]
    return {
        ALL: [*own, *(line for lines in extras.values() for line in lines)],
        RUN: [*own, *(line for name in _RUN_EXTRAS for line in extras[name])],
    }


def pins(name: str) -> dict[str, str]:
    """The version of each package in a lock file."""
    lines = (ROOT / f"{name}.lock").read_text().splitlines()
    return dict(line.split("==", 1) for line in lines if line and not line.startswith("#"))


def main() -> None:
    """Write the inputs into `build/`. The second lock file has the versions of the first."""
    for name, lines in inputs().items():
        constraint = [f"--constraint {ROOT / ALL}.lock"] if name == RUN else []
        (ROOT / "build" / f"{name}.in").write_text("".join(f"{line}\n" for line in [*constraint, *lines]))


if __name__ == "__main__":
    main()
