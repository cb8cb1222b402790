"""`reasons.proto` documents exactly the reasons that the programs return."""

import ast
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from userfold.v1.reasons_pb2 import ErrorReason, FieldReason

from tests.contract.image import BUILT
from tests.contract.reasons import Source, Unreadable, error_reasons, field_reasons, reasons_in


def _documented(enum: str) -> dict[str, str]:
    """The comment of each value."""
    image = FileDescriptorSet.FromString(BUILT.read_bytes())
    (file,) = (each for each in image.file if each.name == "userfold/v1/reasons.proto")
    index = [each.name for each in file.enum_type].index(enum)
    comments = {tuple(each.path): each.leading_comments for each in file.source_code_info.location}
    values = enumerate(file.enum_type[index].value)
    return {value.name: " ".join(comments[5, index, 2, at].split()) for at, value in values if value.number}


def test_the_reasons_of_errors_are_those_of_the_proto() -> None:
    assert set(_documented("ErrorReason")) == error_reasons()
    assert ErrorReason.keys()[0] == "ERROR_REASON_UNSPECIFIED"


def test_the_reasons_of_fields_are_those_of_the_proto() -> None:
    assert set(_documented("FieldReason")) == set(field_reasons())
    assert FieldReason.keys()[0] == "FIELD_REASON_UNSPECIFIED"


def test_the_proto_says_which_reasons_refuse_and_which_warn() -> None:
    comments = _documented("FieldReason")
    warning = {reason for reason, comment in comments.items() if comment.startswith("Only in warnings. ")}
    both = {reason for reason, comment in comments.items() if comment.startswith("In a violation, ")}
    roles = field_reasons()
    assert warning == {reason for reason in roles if roles[reason] == {"warning"}}
    assert both == {reason for reason in roles if roles[reason] == {"violation", "warning"}}


def _source(text: str) -> Source:
    module = ModuleType("module")
    exec(text, module.__dict__)  # noqa: S102  # Source of the test itself.
    return Source(Path("module.py"), module, ast.parse(text))


_TAKERS = """
class Findings:
    def refuse(self, path, reason, description): ...
    def refuse_value(self, path, reason, description): self.refuse(path, reason, description)
    def warn(self, path, reason, description): ...
class UpdateWarning:
    field: str
    reason: str
    description: str
PAIR = "A_PAIR", "both"
ONE = "A_CONSTANT"
TABLE = {"BY_KEY": "looked up", "BY_ANOTHER": "looked up"}
OF_FIELDS = {"filter": "BY_FIELD"}
"""


@pytest.mark.parametrize(
    ("given", "role", "reasons"),
    [
        ("found.refuse(path, 'GIVEN', 'text')", "violation", {"GIVEN"}),
        ("found.refuse_value(path, ONE, 'text')", "violation", {"A_CONSTANT"}),
        ("found.warn(path, *PAIR)", "warning", {"A_PAIR"}),
        ("found.refuse(path, 'ONE' if path else 'OTHER', 'text')", "violation", {"ONE", "OTHER"}),
        ("found.refuse(path, flaw, TABLE[flaw])", "violation", {"BY_KEY", "BY_ANOTHER"}),
        ("found.refuse(path, OF_FIELDS[path], 'text')", "violation", {"BY_FIELD"}),
        ("UpdateWarning(field='', reason='NAMED', description='text')", "warning", {"NAMED"}),
        ("answer = {'field': '', 'reason': 'IN_A_DICT', 'description': 'text'}", "warning", {"IN_A_DICT"}),
        ("other.refuse(path, 'no reason')", "", set()),
        ("refuse(path, error, context)", "", set()),
    ],
)
def test_the_sources_are_read(given: str, role: str, reasons: set[str]) -> None:
    found = reasons_in([_source(f"{_TAKERS}\ndef give(found, path, flaw, other, error, context):\n    {given}\n")])
    assert found == {reason: {role} for reason in reasons}


def test_a_reason_that_cannot_be_read_from_the_sources_is_an_error() -> None:
    with pytest.raises(Unreadable, match=r"module.py:\d+: made_up"):
        reasons_in([_source(f"{_TAKERS}\ndef give(found, path, made_up):\n    found.refuse(path, made_up, 'text')\n")])
