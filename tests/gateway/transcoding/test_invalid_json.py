"""Invalid values are reported by the names of their fields, in a batch for each item."""

import pytest

from gateway.errors.violations import Findings
from gateway.transcoding.invalid_json import find_invalid_values
from tests.gateway.fakes import FakeUserService
from tests.gateway.messages import reasons, violations
from tests.gateway.running import Gateway

_ODD = [
    (b'{"a":NaN}', [("a", "NOT_A_NUMBER")]),
    (b'{"a":[1,-Infinity],"b":Infinity}', [("a[1]", "NOT_A_NUMBER"), ("b", "NOT_A_NUMBER")]),
    (b'{"a":{"b":1e400}}', [("a.b", "NOT_A_NUMBER")]),
    (b'{"a":%b,"b":NaN}' % (b"1" * 5000), [("b", "NOT_A_NUMBER")]),
    (b'{"a":"abc\\ud83d"}', [("a", "NOT_UNICODE")]),
    (b'{"a":"\xff\xfe"}', [("a", "NOT_UNICODE")]),
    (b'{"a\\ud83d":1}', [("['a?']".replace("'", '"'), "NOT_UNICODE")]),
]


@pytest.mark.parametrize(("text", "expected"), _ODD)
def test_each_invalid_value_is_named(text: bytes, expected: list[tuple[str, str]]) -> None:
    findings = Findings()
    find_invalid_values(text, (), findings)
    assert [(each.field, each.reason) for each in findings.violations] == expected


@pytest.mark.parametrize("text", [b"{", b"{'a':1}", b'{"a":"\n"}', b"[" * 100_000, b"\xff"])
def test_other_invalid_json_is_reported_as_such(text: bytes) -> None:
    findings = Findings()
    find_invalid_values(text, ("users", 3), findings)
    assert [(each.field, each.reason) for each in findings.violations] == [("users[3]", "NOT_JSON")]


@pytest.mark.parametrize(("text", "expected"), _ODD)
async def test_a_single_user_with_invalid_values_is_refused_with_their_names(
    gateway: Gateway, service: FakeUserService, text: bytes, expected: list[tuple[str, str]]
) -> None:
    answer = await gateway.post("/v1/users", b'{"user_id":"1","metadata":%b}' % text)
    assert (answer.status_code, reasons(answer.json())) == (400, ["INVALID_REQUEST"])
    joined = [(f"metadata{'' if field.startswith('[') else '.'}{field}", reason) for field, reason in expected]
    assert violations(answer.json()) == joined
    assert service.requests == []


@pytest.mark.parametrize("filler", [b"", b"x" * 1000], ids=["a short body", "a long body"])
@pytest.mark.parametrize(("text", "expected"), [*_ODD, (b"{'a':1}", [("", "NOT_JSON")])])
async def test_an_item_with_invalid_values_is_refused_alone(
    gateway: Gateway, service: FakeUserService, text: bytes, expected: list[tuple[str, str]], filler: bytes
) -> None:
    good = b'{"user_id":"1","metadata":{"a":"%b"}}' % filler
    invalid = b'{"user_id":"2","metadata":%b}' % text
    answer = await gateway.post("/v1/users/batch", b"[%b]" % b",".join([*[good] * 321, invalid, *[good] * 178]))
    body = answer.json()
    assert (answer.status_code, body["saved_count"], body["failed_count"]) == (400, 499, 1)
    (refused,) = body["refused"]
    assert refused["index"] == 321
    if expected != [("", "NOT_JSON")]:
        expected = [(f"metadata{'' if each.startswith('[') else '.'}{each}", reason) for each, reason in expected]
    named = [(f"users[321]{'.' if field else ''}{field}", reason) for field, reason in expected]
    assert violations(refused["status"]) == named
    assert sum(len(request.users) for request in service.requests) == 499


@pytest.mark.parametrize(
    "body", [b'[{"user_id":"1"},{"user_id":', b'[{"user_id":"1"},]', b'[{"user_id":"1"}}]', b"[{}] x"]
)
async def test_a_body_with_an_invalid_structure_is_refused_as_a_whole(
    gateway: Gateway, service: FakeUserService, body: bytes
) -> None:
    answer = await gateway.post("/v1/users/batch", body)
    assert (answer.status_code, reasons(answer.json())) == (400, ["BODY_NOT_JSON"])
    assert service.requests == []
