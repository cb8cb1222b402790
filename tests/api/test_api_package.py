"""The package of the stubs: its wheel, in an environment without Userfold, runs the programs of its README."""

import json
import re
import shutil
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from email.parser import Parser
from pathlib import Path
from typing import Final

import pytest
from google.protobuf import text_format
from userfold.v1.user_pb2 import User

from tests.clients.programs import finished, run
from tests.support.applications import Application
from tests.support.stack import Api, Stack

pytestmark = pytest.mark.long

_ROOT: Final = Path(__file__).parents[2]
_PROTOS: Final = _ROOT / "protos"
_PIP: Final = ("-m", "pip", "--disable-pip-version-check")
_LITTER: Final = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, as setuptools writes into the source directory."""
    folder = tmp_path_factory.mktemp("wheel")
    source = shutil.copytree(_PROTOS, folder / "protos", ignore=_LITTER)
    options = ("--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", folder)
    _succeeds([sys.executable, *_PIP, "wheel", *options, source])
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and its requirements, at the locked versions."""
    environment = tmp_path_factory.mktemp("producer") / "venv"
    _succeeds([sys.executable, "-m", "venv", environment])
    python = environment / "bin" / "python"
    _succeeds([python, *_PIP, "install", "--constraint", _ROOT / "requirements.lock", wheel])
    return python


def _succeeds(command: Sequence[str | Path]) -> None:
    ended = finished(command)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_wheel_holds_only_the_stubs_their_types_and_the_protos(wheel: Path) -> None:
    protos = [path.relative_to(_PROTOS) for path in _PROTOS.rglob("*.proto")]
    names = {str(proto.with_suffix("")) for proto in protos}
    assert {"userfold/v1/user", "userfold/v1/reasons", "userfold/internal/v1/user_update_service"} <= names
    kinds = (".proto", "_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
    expected = {f"{name}{kind}" for name in names for kind in kinds}
    # The internal ones are included because the programs of Userfold install this package as well.
    packages = ("userfold", "userfold/v1", "userfold/internal", "userfold/internal/v1")
    expected |= {f"{package}/__init__.py" for package in packages} | {
        "userfold/py.typed",
        "userfold/v1/service_config.json",
    }
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == expected
        for proto in protos:
            assert archive.read(str(proto)) == (_PROTOS / proto).read_bytes()


def test_the_wheel_requires_only_the_runtimes_of_grpc_and_protobuf(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(path).decode())
    asked = {re.split(r"[^a-z0-9-]", requirement)[0] for requirement in metadata.get_all("Requires-Dist", [])}
    assert metadata["Name"] == "userfold-api"
    assert asked == {"grpcio", "protobuf", "googleapis-common-protos"}


def test_an_environment_with_the_wheel_holds_nothing_else_of_userfold(python: Path) -> None:
    listed = json.loads(run([python, *_PIP, "list", "--format", "json"]))
    installed = {package["name"].lower().replace("_", "-") for package in listed}
    expected = {"userfold-api", "grpcio", "protobuf", "googleapis-common-protos", "typing-extensions"}
    assert installed - {"pip", "setuptools"} == expected


def _example(heading: str, stack: Stack, application: Application) -> str:
    """The program below a heading of the package's README, for this server and application."""
    section = (_PROTOS / "README.md").read_text().split(f"\n## {heading}\n")[1]
    source: str = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    for old, new in (("127.0.0.1:50051", stack.grpc), ("MANAGEMENT_TOKEN", application.management_token)):
        assert old in source
        source = source.replace(old, new)
    return source


def test_the_first_example_of_the_packages_readme_updates_and_reads_a_user(
    python: Path, stack: Stack, application: Application, tmp_path: Path
) -> None:
    source = _example("One update, and one read", stack, application)
    # -I: imports come neither from the checkout nor from PYTHONPATH.
    printed = text_format.Parse(run([python, "-I", "-c", source], cwd=tmp_path), User())
    assert 0 <= (printed.modified_time.ToDatetime() - printed.created_time.ToDatetime()).total_seconds() < 60
    printed.ClearField("created_time")
    printed.ClearField("modified_time")
    printed.ClearField("stored_time")
    printed.ClearField("etag")
    expected = User(user_id="12345", ip_address="127.0.0.1", observed_ip_address="127.0.0.1", alias_count=0)
    expected.metadata["title"] = "Software Engineer"
    assert printed == expected


def test_the_producer_of_the_packages_readme_streams_and_prints_what_is_refused(
    python: Path, api: Api, stack: Stack, application: Application, tmp_path: Path
) -> None:
    source = _example("A stream", stack, application)
    assert run([python, "-I", "-c", source], cwd=tmp_path) == ""
    assert [api.get(user_id).json()["metadata"] for user_id in ("0", "4999")] == [{"visits": 0}, {"visits": 4999}]
    broken = source.replace("str(number)", '"x" * (513 * (number == 7)) or str(number)')
    assert broken != source
    printed = run([python, "-I", "-c", broken], cwd=tmp_path)
    assert printed == f"refused: {'x' * 513} user_id: longer than 512 bytes in UTF-8\n"


def test_type_checkers_know_the_fields_of_a_message(python: Path, tmp_path: Path) -> None:
    (tmp_path / "producer.py").write_text(
        "from userfold.v1.user_pb2 import UserUpdate\n"
        "reveal_type(UserUpdate().session_token)\n"
        "UserUpdate(user_id=1)\n"
        "UserUpdate(nickname='J')\n"
    )
    options = (
        "--strict",
        "--no-error-summary",
        "--config-file=",
        "--cache-dir=/dev/null",
        "--python-executable",
        python,
    )
    printed = finished([sys.executable, "-m", "mypy", *options, "producer.py"], cwd=tmp_path).stdout
    assert 'producer.py:2: note: Revealed type is "str"' in printed
    assert re.findall(r"^(\S+): error: .*\[(.*)]$", printed, re.MULTILINE) == [
        ("producer.py:3", "arg-type"),
        ("producer.py:4", "call-arg"),
    ], printed


def test_every_package_of_the_programs_is_in_their_wheel() -> None:
    root = Path(__file__).parents[2]
    named = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = [
        path.parent for top in ("cli", "server", "gateway", "runtime") for path in (root / top).rglob("__init__.py")
    ]
    assert sorted(named) == sorted(".".join(each.relative_to(root).parts) for each in found)


def test_every_file_that_the_gateway_serves_is_in_its_wheel() -> None:
    root = Path(__file__).parents[2]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "gateway.admin"
    ]
    folder = root / "gateway" / "admin"
    files = {path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert files == {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
