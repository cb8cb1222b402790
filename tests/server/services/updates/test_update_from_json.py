"""Updates as JSON: the same as messages, and anything else is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from userfold.v1.user_pb2 import UserUpdate as Message

from gateway.errors.violations import Findings
from gateway.transcoding.json_decoder import ObjectDecoder
from server import limits
from server.errors import InvalidRequest
from server.model import UserUpdate
from server.services.convert import update_from_message
from server.services.updates.update_from_json import update_from_json
from server.services.updates.update_messages import OF_USERS
from tests.support.strategies import UPDATES, UPDATES_WITH_OPERATIONS

_DECODER = ObjectDecoder(Message.DESCRIPTOR)


def _sent_as(update: dict[str, Any], *, as_json: bool) -> tuple[UserUpdate | None, list[Any]]:
    """The update that the server reads from what a gateway sends, and what the gateway found."""
    findings = Findings()
    copy = json.loads(json.dumps(update))
    if as_json:
        data = _DECODER.as_json(copy, (), findings)
        read = None if findings.violations else update_from_json(data, "192.0.2.1")
    else:
        message = _DECODER.message(copy, (), findings)
        read = None if message is None else update_from_message(message, "192.0.2.1")  # type: ignore[arg-type]
    return read, [*findings.violations, *findings.warnings]


@given(UPDATES | UPDATES_WITH_OPERATIONS, st.sampled_from(["u", "", None, 5]), st.booleans())
def test_an_update_is_the_same_as_json_and_as_a_message(update: dict[str, Any], user_id: Any, is_camel: bool) -> None:
    update = {"userId" if is_camel else "user_id": user_id, **update}
    one, other = _sent_as(update, as_json=True), _sent_as(update, as_json=False)
    for read, _ in (one, other):
        if read:
            # A message cannot tell these from what is not sent.
            read.campaign, read.clear_fields = read.campaign or None, list(read.clear_fields)
            read.metadata_operations = list(read.metadata_operations)
    assert one == other


@pytest.mark.parametrize(
    "value",
    [
        *({name: 5} for name in ("user_id", "company_id", "ip_address", "session_token", "anonymous_id", "metadata")),
        {"user_agent_string": ["x"]},
        {"campaign": "x"},
        {"campaign": {"utm_source": 5}},
        {"campaign": {"utm_other": "x"}},
        {"campaign": {"utm_source": None}},
        {"clear_fields": "company_id"},
        {"clear_fields": [5]},
        {"modified_time": "2026-01-02T03:04:05Z"},
        {"modified_time": [1]},
        {"modified_time": [1, 2, 3]},
        {"modified_time": [1.5, 2]},
        {"modified_time": [True, 2]},
        {"modified_time": [2**62, 0]},
        {"modified_time": [0, -1]},
        {"metadata_json": "{}"},
        {"metadata_operations": {"path": ["a"]}},
        *(
            {"metadata_operations": [operation]}
            for operation in (
                5,
                {"path": ["a"]},
                {"path": "a", "union": []},
                {"path": [5], "union": []},
                {"path": ["a"], "union": {}},
                {"path": ["a"], "union": [], "remove": []},
                {"path": ["a"], "union": [], "other": 1},
                {"path": ["a"], "set_once": 5},
                {"path": ["a"], "set_once": {"number_value": "5"}},
                {"path": ["a"], "set_once": {"number_value": True}},
                {"path": ["a"], "set_once": {"null_value": 5}},
                {"path": ["a"], "maximum": {"number_value": 5, "bool_value": True}},
            )
        ),
        {"other": 1},
    ],
    ids=str,
)
def test_another_type_or_member_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        update_from_json(json.dumps({"user_id": "u"} | value).encode(), None)
    assert "5" not in str(refusal.value.violations)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b'"x"', b"\xff", b'{"user_id":"\\ud83d"}', b"{" * 5000])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        update_from_json(data, None)
    assert [each.reason for each in refusal.value.violations] == ["NOT_A_JSON_OBJECT"]


def test_an_update_with_too_many_values_or_bytes_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.services.metadata_from_json._parsed", lambda _: pytest.fail("it was parsed"))
    for data, reason in (
        (b'{"metadata":{"a":[' + b"0," * 40_000 + b"0]}}", "TOO_MANY_VALUES"),
        (b'{"user_id":"' + b"x" * limits.UPDATE_BYTES + b'"}', "TOO_LARGE"),
    ):
        with pytest.raises(InvalidRequest) as refusal:
            update_from_json(data, None)
        assert [each.reason for each in refusal.value.violations] == [reason]


def test_more_names_to_clear_than_allowed_are_not_visited() -> None:
    names = ["company_id"] * limits.CLEAR_FIELDS + ["x", 5]
    update = update_from_json(json.dumps({"user_id": "u", "clear_fields": names}).encode(), None)
    assert len(update.clear_fields) > limits.CLEAR_FIELDS


@pytest.mark.parametrize(("sent", "etag"), [(b'"x"', "x"), (b'""', None), (b"null", None)])
def test_an_empty_etag_is_the_same_as_none(sent: bytes, etag: str | None) -> None:
    assert update_from_json(b'{"user_id":"u","etag":%s}' % sent, None).etag == etag


def test_the_size_of_an_update_is_that_of_its_json() -> None:
    assert OF_USERS.json_objects([b"{}"]).size_of(b"{}") == 2
