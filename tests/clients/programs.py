"""Programs that stand for somebody else's: each a process of its own, which reaches this machine alone."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
_SECONDS = 60


def example(name: str, **replaced: str) -> str:
    """An example of the public API page, as written there, with nothing changed but each key of `replaced`."""
    text = (HERE / "examples" / f"{name}.txt").read_text()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return text


def run(command: Sequence[str | Path], *, cwd: Path | None = None, **variables: str) -> str:
    """What a command prints. It must succeed, and complain of nothing."""
    ended = finished(command, cwd=cwd, **variables)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    return ended.stdout


def finished(
    command: Sequence[str | Path], *, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A command that has ended, in whatever way."""
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
    """What a Python program prints."""
    return run([sys.executable, "-c", source], cwd=None, **variables)


def environment() -> dict[str, str]:
    """The environment, without proxies: a client would send them what is meant for this machine."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
