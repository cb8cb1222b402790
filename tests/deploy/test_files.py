"""The files for deployment: each is checked by what can check it without a cluster, and against the programs."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from tests.docs.markdown import DOCS

ROOT: Final = Path(__file__).parent.parent.parent
DEPLOY: Final = ROOT / "deploy"
_TOOLS: Final = Path(sys.executable).parent
_OVERLAYS: Final = sorted(path.parent for path in DEPLOY.glob("kubernetes/overlays/*/kustomization.yaml"))
_STOPPING_SECONDS: Final = 30
"""How long a program takes to stop after its drain: docs/deploying.md."""


def _run(tool: str, *arguments: str | Path, stdin: str | None = None) -> str:
    command = [str(_TOOLS / tool), *map(str, arguments)]
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def _yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def _objects(overlay: Path) -> list[dict[str, Any]]:
    return [*YAML(typ="safe").load_all(_run("kubectl", "kustomize", overlay))]


def _pods(overlay: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for described in _objects(overlay):
        if described["kind"] == "Deployment":
            yield described["metadata"]["name"], described["spec"]["template"]["spec"]
        elif described["kind"] == "CronJob":
            yield described["metadata"]["name"], described["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def test_the_image_is_built_as_its_linter_wants() -> None:
    _run("hadolint", DEPLOY / "docker/Dockerfile")


def test_the_scripts_have_no_flaw_that_a_linter_finds() -> None:
    _run("shellcheck", *DEPLOY.rglob("*.sh"))


def test_the_yaml_is_well_formed() -> None:
    _run("yamllint", "--strict", "--config-file", DEPLOY / "yamllint.yaml", DEPLOY)


def test_the_compose_file_is_valid() -> None:
    _run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose/compose.yaml")


@pytest.mark.parametrize("overlay", _OVERLAYS, ids=lambda path: path.name)
def test_kubernetes_would_accept_every_object_of_an_overlay(overlay: Path, tmp_path: Path) -> None:
    built = tmp_path / "built.yaml"
    built.write_text(_run("kubectl", "kustomize", overlay))
    _run("kubernetes-validate", "--strict", built)


@pytest.mark.parametrize("overlay", _OVERLAYS, ids=lambda path: path.name)
def test_every_container_is_an_ordinary_user_on_a_read_only_root(overlay: Path) -> None:
    pods = dict(_pods(overlay))
    assert {"userfold-server", "userfold-gateway"} <= pods.keys()
    for pod in pods.values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()


@pytest.mark.parametrize("overlay", _OVERLAYS, ids=lambda path: path.name)
def test_a_pod_is_killed_only_after_its_drain_and_its_stop(overlay: Path) -> None:
    objects = _objects(overlay)
    (settings,) = [described["data"] for described in objects if described["kind"] == "ConfigMap"]
    needed = int(settings["USERFOLD_DRAIN_SECONDS"]) + _STOPPING_SECONDS
    for name, pod in _pods(overlay):
        assert name == "userfold-backup" or pod["terminationGracePeriodSeconds"] > needed


def test_a_container_and_a_unit_are_killed_only_after_their_drain_and_their_stop() -> None:
    services = _yaml(DEPLOY / "compose/compose.yaml")["services"]
    for name in ("server", "gateway"):
        drain = int(services[name]["environment"]["USERFOLD_DRAIN_SECONDS"])
        assert int(services[name]["stop_grace_period"].removesuffix("s")) > drain + _STOPPING_SECONDS
        unit = (DEPLOY / f"systemd/userfold-{name}.service").read_text()
        assert int(_only(r"TimeoutStopSec=(\d+)", unit)) > 10 + _STOPPING_SECONDS


@pytest.mark.parametrize("overlay", _OVERLAYS, ids=lambda path: path.name)
def test_probes_services_and_policies_name_ports_that_containers_have(overlay: Path) -> None:
    objects = _objects(overlay)
    ports = {
        name: {port["name"]: port["containerPort"] for port in pod["containers"][0].get("ports", ())}
        for name, pod in _pods(overlay)
    }
    for name, pod in _pods(overlay):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            check: Mapping[str, Any] = pod["containers"][0].get(probe, {})
            if "httpGet" in check:
                assert check["httpGet"]["port"] in ports[name]
                assert check["httpGet"]["path"] in {"/healthz", "/readyz"}
            if "grpc" in check:
                assert check["grpc"]["port"] in ports[name].values()
    for described in objects:
        spec = described.get("spec", {})
        if described["kind"] == "Service":
            chosen = ports[spec["selector"]["app.kubernetes.io/name"]]
            assert all(port["targetPort"] in chosen for port in spec["ports"])
        if described["kind"] == "NetworkPolicy":
            of_pod = ports.get(spec["podSelector"]["matchLabels"].get("app.kubernetes.io/name", ""), {})
            named = {port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]}
            assert named <= of_pod.keys()


def test_every_variable_in_the_files_is_one_of_the_documentation() -> None:
    documented = {*re.findall(r"^\| `(USERFOLD_[A-Z_]+)`", (DOCS / "configuration.md").read_text(), re.MULTILINE)}
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    named = {name for path in files for name in re.findall(r"USERFOLD_[A-Z_]*[A-Z]", path.read_text())}
    assert len(named) > 10
    assert named <= documented


def test_the_image_holds_every_package_of_the_programs() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    packages = {
        name.split(".")[0] for name in re.findall(r'^    "([a-z.]+)",$', _only(r"packages = \[(.*?)\]", project), re.M)
    }
    dockerfile = (DEPLOY / "docker/Dockerfile").read_text()
    context = (DEPLOY / "docker/Dockerfile.dockerignore").read_text()
    assert packages >= {"server", "gateway", "runtime", "cli"}
    for package in packages:
        assert f"COPY {package} {package}\n" in dockerfile
        assert f"\n!{package}\n" in context


def test_units_run_the_commands_of_the_programs() -> None:
    for path in DEPLOY.glob("systemd/*.service"):
        commands = re.findall(r"/opt/userfold/bin/userfold (\w+(?: create| verify)?)", path.read_text())
        assert commands
        assert {*commands} <= {"server", "gateway", "backup create", "backup verify"}


def _only(pattern: str, text: str) -> str:
    (found,) = re.findall(pattern, text, re.DOTALL)
    return str(found)
