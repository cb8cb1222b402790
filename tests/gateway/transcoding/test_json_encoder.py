"""Messages as JSON values."""

import math
from typing import Any

import orjson
import pytest
from google.api.field_info_pb2 import FieldInfo
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from userfold.v1 import campaign_service_pb2 as campaign_pb
from userfold.v1 import user_pb2
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.warning_pb2 import Warning

from gateway.transcoding import json_encoder
from tests.gateway.protos import message_type


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (24000.0, "24000"),
        (0.0, "0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (2.0**63, "9.223372036854775808e+18"),
        (-(2.0**62), "-4611686018427387904"),
    ],
)
def test_a_number_without_a_fraction_is_an_integer(sent: float, expected: str) -> None:
    number = json_encoder.number(sent)
    assert number == float(expected)
    assert isinstance(number, int) == ("." not in expected and "e" not in expected)
    assert math.copysign(1, number) == math.copysign(1, sent)


def test_unset_fields_are_left_out_and_fields_without_presence_are_shown() -> None:
    empty: dict[str, Any] = {"metadata": {}, "campaign": {}, "company_id": ""}
    assert json_encoder.plain(user_pb2.User()) == {"user_id": ""}
    assert json_encoder.plain(user_pb2.User(**empty)) == {
        "user_id": "",
        "company_id": "",
        "metadata": {},
        "campaign": {},
    }


def test_a_status_has_the_shape_of_every_error_and_other_types_follow_proto3_json() -> None:
    kinds: list[tuple[Any, ...]] = [
        ("data", Field.TYPE_BYTES),
        ("numbers", Field.TYPE_INT32, "repeated"),
        ("anything", "google.protobuf.Any"),
        ("status", "google.rpc.Status"),
        ("items", "google.protobuf.Value", "repeated"),
    ]
    message = GetMessageClass(message_type("Kinds", *kinds))(data=b"\xff", numbers=[1, 2], status={"code": 3})
    message.items.add(number_value=1)  # type: ignore[attr-defined]
    message.items.add().list_value.append(2.0)  # type: ignore[attr-defined]
    value = json_encoder.plain(message)
    assert orjson.dumps(value["items"]) == b"[1,[2]]"
    assert value == {
        "data": "/w==",
        "numbers": [1, 2],
        "status": {"code": 3, "status": "INVALID_ARGUMENT", "message": "", "details": []},
        "items": [1, [2]],
    }


def test_a_double_that_is_an_integer_has_no_fraction_wherever_it_is() -> None:
    days = [campaign_pb.DayCount(day="2026-01-31", user_count=2**53 - 1)]
    group = campaign_pb.CampaignGroup(value_sum=24000, value_average=0.5, value_count=48000, days=days)
    assert orjson.dumps(json_encoder.plain(group)) == (
        b'{"campaign":{},"user_count":0,"days":[{"day":"2026-01-31","user_count":9007199254740991}],'
        b'"value_sum":24000,"value_average":0.5,"value_count":48000}'
    )
    numbers = [("few", Field.TYPE_DOUBLE), ("many", Field.TYPE_DOUBLE, "repeated"), ("single", Field.TYPE_FLOAT)]
    message = GetMessageClass(message_type("Numbers", *numbers))(many=[1, 2.5, -0.0, 1e300], single=3)
    assert orjson.dumps(json_encoder.plain(message)) == b'{"few":0,"many":[1,2.5,-0.0,1e+300],"single":3}'


def test_a_report_leaves_out_unknown_numbers_and_shows_empty_lists_and_maps() -> None:
    group = {"campaign": {}, "user_count": 0, "days": [], "value_count": 0}
    assert json_encoder.plain(campaign_pb.CampaignGroup()) == group
    report = campaign_pb.ReportCampaignsResponse(total=campaign_pb.CampaignGroup())
    assert json_encoder.plain(report) == {"groups": [], "has_more": False, "total": group}
    assert json_encoder.plain(campaign_pb.ReportCampaignsResponse()) == {"groups": [], "has_more": False}
    assert json_encoder.plain(pb.ListUsersResponse()) == {"users": [], "next_page_token": ""}


def test_a_result_has_its_response_or_its_error_in_the_shape_of_every_error_or_neither() -> None:
    results = [
        pb.DeleteUserResult(response=pb.DeleteUserResponse()),
        pb.DeleteUserResult(error=Status(code=5, message="gone")),
        pb.DeleteUserResult(),
    ]
    value = json_encoder.plain(pb.BatchDeleteUsersResponse(results=results))
    error = {"code": 5, "status": "NOT_FOUND", "message": "gone", "details": []}
    assert value == {"results": [{"response": {"deleted": False}}, {"error": error}, {}]}
    result = pb.UpdateUserResult(response=pb.UpdateUserResponse())
    assert json_encoder.plain(result) == {"response": {"warnings": [], "suppressed": False, "changed_paths": []}}


def test_a_sparse_message_leaves_out_empty_members_at_the_top_only() -> None:
    assert json_encoder.sparse(pb.UpdateUserResponse()) == {}
    response = pb.UpdateUserResponse(warnings=[Warning(field="f")], suppressed=True)
    assert json_encoder.sparse(response) == {
        "warnings": [{"field": "f", "reason": "", "description": ""}],
        "suppressed": True,
    }


def test_metadata_as_json_replaces_the_struct() -> None:
    text = b'{"b":24000,"a":[-0.0,null]}'
    user = user_pb2.User(user_id="u", metadata_json=text, alias_count=1, email_domain="acme.com")
    value = orjson.dumps(json_encoder.plain(user))
    assert value == b'{"user_id":"u","metadata":' + text + b',"alias_count":1,"email_domain":"acme.com"}'
    export = user_pb2.UserExport(user=user, visitors=[user_pb2.VisitorExport(visitor=user)])
    assert orjson.dumps(json_encoder.plain(export)).count(text) == 2
    as_struct = user_pb2.User(user_id="u", alias_count=1, email_domain="acme.com")
    as_struct.metadata.update({"b": 24000})
    assert orjson.dumps(json_encoder.plain(as_struct)) == value.replace(text, b'{"b":24000}')


def test_enums_are_shown_by_name_and_maps_by_key() -> None:
    assert json_encoder.plain(FieldInfo(format=FieldInfo.UUID4))["format"] == "UUID4"
    assert json_encoder.plain(FieldInfo(format=99))["format"] == 99  # type: ignore[arg-type]  # A newer server's.
    assert json_encoder.plain(ErrorInfo(metadata={"a": "b"}))["metadata"] == {"a": "b"}
    assert json_encoder.plain(HttpRule(get="/x"))["get"] == "/x"
