"""Odd values by the names of their fields, and what a batch makes of them."""

import pytest

from gateway.errors.violations import Findings
from gateway.transcoding.invalid_json import find_invalid_values
from tests.gateway.fakes import FakeUserService, Gateway, reasons, violations

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
def test_each_odd_value_is_named(text: bytes, expected: list[tuple[str, str]]) -> None:
    findings = Findings()
    find_invalid_values(text, (), findings)
    assert [(each.field, each.reason) for each in findings.violations] == expected


@pytest.mark.parametrize("text", [b"{", b"{'a':1}", b'{"a":"\n"}', b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_that(text: bytes) -> None:
    findings = Findings()
    find_invalid_values(text, ("users", 3), findings)
    assert [(each.field, each.reason) for each in findings.violations] == [("users[3]", "NOT_JSON")]


@pytest.mark.parametrize(("text", "expected"), _ODD)
async def test_a_single_user_with_odd_values_is_refused_with_their_names(
    gateway: Gateway, service: FakeUserService, text: bytes, expected: list[tuple[str, str]]
) -> None:
    answer = await gateway.post("/v1/users", b'{"user_id":"1","metadata":%b}' % text)
    assert (answer.status_code, reasons(answer.json())) == (400, ["INVALID_REQUEST"])
    joined = [(f"metadata{'' if field.startswith('[') else '.'}{field}", reason) for field, reason in expected]
    assert violations(answer.json()) == joined
    assert service.requests == []


@pytest.mark.parametrize("filler", [b"", b"x" * 1000], ids=["a short body", "a long body"])
@pytest.mark.parametrize(("text", "expected"), [*_ODD, (b"{'a':1}", [("", "NOT_JSON")])])
async def test_one_odd_item_refuses_itself_alone(
    gateway: Gateway, service: FakeUserService, text: bytes, expected: list[tuple[str, str]], filler: bytes
) -> None:
    good = b'{"user_id":"1","metadata":{"a":"%b"}}' % filler
    odd = b'{"user_id":"2","metadata":%b}' % text
    answer = await gateway.post("/v1/users/batch", b"[%b]" % b",".join([*[good] * 321, odd, *[good] * 178]))
    told = answer.json()
    assert (answer.status_code, told["saved_count"], told["failed_count"]) == (400, 499, 1)
    (refused,) = told["refused"]
    assert refused["index"] == 321
    if expected != [("", "NOT_JSON")]:
        expected = [(f"metadata{'' if each.startswith('[') else '.'}{each}", reason) for each, reason in expected]
    named = [(f"users[321]{'.' if field else ''}{field}", reason) for field, reason in expected]
    assert violations(refused["status"]) == named
    assert sum(len(request.users) for request in service.requests) == 499


@pytest.mark.parametrize(
    "body", [b'[{"user_id":"1"},{"user_id":', b'[{"user_id":"1"},]', b'[{"user_id":"1"}}]', b"[{}] x"]
)
async def test_a_body_is_refused_as_a_whole_where_its_structure_is_wrong(
    gateway: Gateway, service: FakeUserService, body: bytes
) -> None:
    answer = await gateway.post("/v1/users/batch", body)
    assert (answer.status_code, reasons(answer.json())) == (400, ["BODY_NOT_JSON"])
    assert service.requests == []
