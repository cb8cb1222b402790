"""Programs of other vendors' clients. Each is a process that reaches only this machine."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
_SECONDS = 60


def example(name: str, **replaced: str) -> str:
    """An example of the public API page, unchanged except for the replaced strings."""
    text = (HERE / "examples" / f"{name}.txt").read_text()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return text


def run(command: Sequence[str | Path], *, cwd: Path | None = None, **variables: str) -> str:
    """The output of a command, which must succeed and print nothing to stderr."""
    ended = finished(command, cwd=cwd, **variables)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    return ended.stdout


def finished(
    command: Sequence[str | Path], *, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command until it ends, with any exit status."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment() | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def run_python(source: str, **variables: str) -> str:
    """The output of a Python program."""
    return run([sys.executable, "-c", source], cwd=None, **variables)


def environment() -> dict[str, str]:
    """The environment without proxies, to which a client would send requests for this machine."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
