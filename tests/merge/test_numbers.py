"""The same numbers in every form of an update, read back over HTTP and gRPC: one rule holds for all."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from tests.support.stack import Api, Stack

# The number in the update, and the number in the response, as JSON.
_DOUBLES = [
    ("0", "0"),
    ("-0", "0"),
    ("-0.0", "-0.0"),
    ("0.1", "0.1"),
    ("-2.5", "-2.5"),
    ("24000.0", "24000"),
    ("24e3", "24000"),
    ("1e15", "1000000000000000"),
    ("9007199254740991", "9007199254740991"),
    ("9007199254740992", "9007199254740992"),
    ("9007199254740994", "9007199254740994"),
    ("9007199254740994.0", "9007199254740994"),
    ("1152921504606846976", "1152921504606846976"),
    ("-9223372036854774784", "-9223372036854774784"),
    ("9223372036854774784", "9223372036854774784"),
    ("9223372036854775808", "9.223372036854775808e18"),
    ("-9223372036854775808", "-9.223372036854775808e18"),
    ("36893488147419103232", "3.6893488147419103232e19"),
    ("1e21", "1e21"),
    ("1000000000000000000000", "1e21"),
    ("1e22", "1e22"),
    ("10000000000000000000000", "1e22"),
    ("1e300", "1e300"),
    ("1.7976931348623157e308", "1.7976931348623157e308"),
    ("5e-324", "5e-324"),
    ("1e-400", "0"),
]
_INTEGERS = [
    "9007199254740993",
    "-9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "-9223372036854775809",
    "1" + "0" * 30 + "1",
    "9" * 300,
    "9" * 309,
    "9" * 400,
    "-" + "1" + "0" * 400,
    "9" * 5000,
]
_KEPT = ("INTEGER_KEPT_AS_TEXT", "is stored as a string: a number would lose digits")


class Transports:
    """Sends metadata in one of its forms, and reads it back."""

    def __init__(self, api: Api, channel: grpc.Channel) -> None:
        self._api = api
        self._stub = UserServiceStub(channel)
        self._key = (("x-moesif-application-id", api.application.collector_key),)
        self._token = (("authorization", f"Bearer {api.application.management_token}"),)

    def by_http(self, text: str) -> tuple[object, object]:
        answer = self._api.raw(b'{"user_id": "u", "metadata": %s}' % text.encode())
        assert answer.status_code == 201, answer.text
        warnings = [(each["field"], each["reason"], each["description"]) for each in answer.json().get("warnings", [])]
        return warnings, self._read()

    def by_text(self, text: str) -> tuple[object, object]:
        return self._by_rpc(UserUpdate(user_id="u", metadata_json=text.encode()))

    def by_struct(self, text: str) -> tuple[object, object]:
        struct = Struct()
        # Not by the JSON parser, which may accept integers that are not doubles.
        struct.update({key: [float(each) for each in value] for key, value in json.loads(text).items()})
        return self._by_rpc(UserUpdate(user_id="u", metadata=struct))

    def _by_rpc(self, update: UserUpdate) -> tuple[object, object]:
        response = self._stub.UpdateUser(pb.UpdateUserRequest(user=update), metadata=self._key, timeout=20)
        return [(each.field, each.reason, each.description) for each in response.warnings], self._read()

    def _read(self) -> object:
        """The metadata as JSON, equal over HTTP and gRPC byte for byte, and as a Struct."""
        over_http = self._api.get("u").text.split('"metadata":')[1].split("}")[0] + "}"
        request = pb.GetUserRequest(user_id="u")
        as_json = self._stub.GetUser(request, metadata=(*self._token, ("x-userfold-metadata-format", "json"))).user
        assert as_json.metadata_json.decode() == over_http
        struct = self._stub.GetUser(request, metadata=self._token).user.metadata
        return over_http, {key: [str(each) for each in struct[key]] for key in struct}  # type: ignore[union-attr]  # An array.


@pytest.fixture
def transports(stack: Stack, api: Api) -> Iterator[Transports]:
    with grpc.insecure_channel(stack.grpc) as channel:
        yield Transports(api, channel)


@pytest.mark.parametrize(("sent", "answered"), _DOUBLES)
def test_a_double_is_stored_and_returned_the_same_in_every_form(
    transports: Transports, sent: str, answered: str
) -> None:
    text = f'{{"n":[{sent}]}}'
    forms = [transports.by_http(text), transports.by_text(text), transports.by_struct(text)]
    assert forms == [forms[0]] * 3
    shown: Any = forms[0][1]
    assert forms[0][0] == []
    # JSON may have fewer digits than the exact value, of the same double.
    printed = shown[0].removeprefix('{"n":[').removesuffix("]}")
    assert (float(printed), "." in printed or "e" in printed) == (float(answered), "." in answered or "e" in answered)
    assert shown[1] == {"n": [str(float(answered))]}


@pytest.mark.parametrize("digits", _INTEGERS, ids=lambda digits: f"{digits[:20]} {len(digits)}")
def test_an_integer_that_no_double_holds_is_a_string_of_its_digits_in_both_forms_of_json(
    transports: Transports, digits: str
) -> None:
    text = f'{{"n":[{digits}]}}'
    over_http, by_rpc = transports.by_http(text), transports.by_text(text)
    assert over_http == by_rpc
    assert over_http == ([("metadata.n[0]", *_KEPT)], (f'{{"n":["{digits}"]}}', {"n": [digits]}))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("24000.0", "24000"),
        ("-0.0", "-0.0"),
        ("1.5", "1.5"),
        ("9223372036854775808", "9223372036854775808"),
        ("36893488147419103232", "36893488147419103232"),
        ("1e20", "100000000000000000000"),
        ("10000000000000000000000", "1e+22"),
        ("1e22", "1e+22"),
        ("9007199254740993", "9007199254740993"),
        ("9" * 400, "9" * 400),
    ],
)
def test_a_number_in_a_reserved_field_becomes_the_same_string(
    api: Api, transports: Transports, sent: str, kept: str
) -> None:
    text = f'{{"phone":{sent}}}'
    over_http, by_rpc = transports.by_http(text), transports.by_text(text)
    assert over_http[0] == by_rpc[0] != []
    assert over_http[1] == by_rpc[1]
    assert api.get("u").json()["metadata"] == {"phone": kept}
    if not sent.startswith("9" * 2) and sent != "9007199254740993":
        struct = Struct()
        struct.update({"phone": float(sent)})
        assert transports._by_rpc(UserUpdate(user_id="u", metadata=struct)) == by_rpc
