"""The contract equals the committed one, and every change of it is found."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

from tests.contract import __main__ as command
from tests.contract.facts import as_text, changed, facts
from tests.contract.image import BUILT, breaking_changes, read_image


def test_the_contract_is_the_committed_one() -> None:
    found = command.differences(read_image(BUILT), facts(), command.IMAGE, command.FACTS)
    assert found == ([], []), "docs/versioning.md says what may change; to commit to it: make accept-contract"


def _file(image: FileDescriptorSet, name: str) -> FileDescriptorProto:
    (file,) = (each for each in image.file if each.name == name)
    return file


def _message(image: FileDescriptorSet, name: str) -> DescriptorProto:
    (message,) = (each for each in _file(image, "userfold/v1/user.proto").message_type if each.name == name)
    return message


def _remove_a_field(image: FileDescriptorSet) -> None:
    del _message(image, "VisitorExport").field[1]


def _rename_a_field_in_json(image: FileDescriptorSet) -> None:
    _message(image, "VisitorExport").field[1].json_name = "digests"


def _change_a_java_package(image: FileDescriptorSet) -> None:
    _file(image, "userfold/v1/user.proto").options.java_package = "com.userfold.v1"


def _remove_a_method(image: FileDescriptorSet) -> None:
    del _file(image, "userfold/v1/user_service.proto").service[0].method[-1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_remove_a_field, '"alias_digests" on message "VisitorExport" was deleted'),
        (_rename_a_field_in_json, 'changed option "json_name" from "aliasDigests" to "digests"'),
        (_change_a_java_package, 'File option "java_package" changed'),
        (_remove_a_method, '"BatchExportUsers" on service "UserService" was deleted'),
    ],
)
def test_a_change_of_the_protos_that_breaks_clients_is_found(
    change: Callable[[FileDescriptorSet], None], said: str
) -> None:
    now = read_image(BUILT)
    change(now)
    found = breaking_changes(read_image(BUILT), now)
    assert [line for line in found if said in line], found


def test_a_new_field_breaks_no_client() -> None:
    now = read_image(BUILT)
    _message(now, "VisitorExport").field.add(name="more", json_name="more", number=3, label=1, type=9)
    assert breaking_changes(read_image(BUILT), now) == []


def test_changed_and_removed_facts_are_distinguished_from_new_ones() -> None:
    before = {"routes": {"GET /a": 1, "GET /b": 2}, "codes": {"OK": 200}}
    now = {"routes": {"GET /a": 1, "GET /c": 3}, "codes": {"OK": 201}}
    assert changed(before, now) == (
        ["codes: OK: 201, no longer 200", "routes: GET /b: no longer"],
        ["routes: GET /c: 3"],
    )


def test_every_fact_is_one_line() -> None:
    found = facts()
    text = as_text(found)
    assert json.loads(text) == found
    assert len(text.splitlines()) == 2 + sum(2 + len(section) for section in found.values())
    assert max(map(len, text.splitlines())) < 240


def test_a_breaking_change_is_accepted_only_with_its_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image, found = tmp_path / "contract.binpb", tmp_path / "contract.json"
    monkeypatch.setattr(command, "IMAGE", image)
    monkeypatch.setattr(command, "FACTS", found)
    assert command.main(["check"]) == 1
    assert command.main(["accept"]) == 0
    assert command.main(["check"]) == 0
    # A new limit breaks no client. A removed route does.
    committed = json.loads(found.read_text())
    del committed["limits"]["ID_BYTES"]
    found.write_text(as_text(committed))
    assert (command.main(["check"]), command.main(["accept"]), command.main(["check"])) == (1, 0, 0)
    committed["routes"]["GET /v1/gone"] = {}
    found.write_text(as_text(committed))
    capsys.readouterr()
    assert (command.main(["check"]), command.main(["accept"])) == (1, 1)
    assert json.loads(found.read_text()) == committed
    printed = capsys.readouterr()
    assert "routes: GET /v1/gone: no longer" in printed.out
    assert "make accept-contract BREAKING=1" in printed.err
    assert (command.main(["accept", "--breaking"]), command.main(["check"])) == (0, 0)
