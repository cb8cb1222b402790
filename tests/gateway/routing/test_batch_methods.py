"""The batch methods that options declare, and the declarations that are refused."""

from typing import Any

import pytest
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

from gateway.routing.descriptors import UnsupportedBinding
from gateway.routing.http_rules import Binding, bindings_of
from tests.gateway.protos import OUTCOME_OF_ITEM, grouped_services

PUT = HttpRule(post="/v1", body="item")
ADDRESSES = ("client_addresses", Field.TYPE_STRING, "repeated")
ORIGINS = ("origins", Field.TYPE_STRING, "repeated")
MANY = ("things_json", Field.TYPE_BYTES, "repeated")
RESULT = [("response", "Response"), ("error", "google.rpc.Status")]
STREAMED = [("response", "BatchResponse"), ("error", "google.rpc.Status")]
GROUPED: dict[str, Any] = {
    "rule": PUT,
    "batch_request": [MANY, ADDRESSES, ORIGINS],
    "result": RESULT,
    "stream_request": [MANY, ADDRESSES, ORIGINS],
    "stream_response": STREAMED,
}


def _bound(**declared: Any) -> tuple[Binding, ...]:
    service, internal = grouped_services(**declared)
    return bindings_of([service], [internal])


def test_the_method_declared_as_the_batch_carries_the_bodies() -> None:
    (found,) = _bound(**GROUPED)
    assert found.batch_method
    assert found.batch_method.rpc.endswith(".Internal/PutThings0")
    assert (found.batch_method.items_json, found.batch_method.items) == ("things_json", "things")
    assert found.batch_method.request.DESCRIPTOR.name == "BatchRequest"
    assert found.batch_method.response.DESCRIPTOR.name == "BatchResponse"
    assert found.batch_method.stream
    assert found.batch_method.stream.rpc.endswith(".Internal/StreamThings")
    assert found.batch_method.stream.response.DESCRIPTOR.name == "StreamResponse"


def test_a_batch_needs_no_stream() -> None:
    (found,) = _bound(rule=PUT, batch_request=[MANY, ADDRESSES, ORIGINS], result=RESULT)
    assert found.batch_method
    assert found.batch_method.stream is None


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"batch_of": "Service.PutNothing"}, "there is no method .*PutNothing"),
        ({"batches": 2}, "PutThings0 already declares .*PutThing"),
        ({"client_streaming": True}, "one of them is a stream"),
        ({"server_streaming": True}, "one of them is a stream"),
        ({"batch_request": [MANY]}, "needs repeated string client_addresses"),
        ({"batch_request": [MANY, ADDRESSES[:2]]}, "needs repeated string client_addresses"),
        ({"batch_request": [MANY, ADDRESSES]}, "needs repeated string origins"),
        (
            {"batch_request": [MANY, ("client_addresses", Field.TYPE_INT32, "repeated")]},
            "needs repeated string client_addresses",
        ),
        ({"batch_request": [("things", "Item"), ADDRESSES, ORIGINS]}, "one repeated bytes field"),
        ({"batch_request": [("things", Field.TYPE_BYTES, "repeated"), ADDRESSES, ORIGINS]}, "one repeated bytes field"),
        (
            {"batch_request": [MANY, ("others_json", Field.TYPE_BYTES, "repeated"), ADDRESSES, ORIGINS]},
            "one repeated bytes field",
        ),
        ({"result": RESULT[:1]}, "its results need"),
        ({"result": RESULT[1:]}, "its results need"),
        ({"result": OUTCOME_OF_ITEM}, "its results need"),
        ({"result": [RESULT[0], ("error", "Item")]}, "its results need"),
        ({"result": [*RESULT, ("other", "Item")]}, "its results need"),
        ({"oneof": ""}, "its results need"),
        ({"oneof": "what"}, "its results need"),
        ({"rule": None}, "needs a route"),
        ({"rule": HttpRule(post="/v1", body="*")}, "needs a route"),
        ({"rule": HttpRule(post="/v1/{test_only}", body="item")}, "needs a route"),
        ({"rule": HttpRule(post="/v1", body="item", response_body="item")}, "needs a route"),
        ({"rule": HttpRule(post="/v1", body="item", additional_bindings=[HttpRule(get="/v2")])}, "needs one route"),
        (
            {"stream_of": "Internal.StreamThings"},
            "StreamThings: it is the stream of .*StreamThings, which is no batch method",
        ),
        ({"stream_of": "Service.PutThing"}, "there is no method .*PutThing"),
        ({"stream_of": "Internal.Nothing"}, "there is no method .*Nothing"),
        ({"stream_options": {"client_streaming": True}}, "streams both ways"),
        ({"stream_request": [ADDRESSES, MANY, ORIGINS]}, "needs the fields of .*BatchRequest"),
        ({"stream_request": [MANY]}, "needs the fields of .*BatchRequest"),
        (
            {"stream_request": [("things", "Result", "repeated"), ADDRESSES, ORIGINS]},
            "needs the fields of .*BatchRequest",
        ),
        ({"stream_response": STREAMED[:1]}, "its response needs"),
        ({"stream_response": STREAMED[1:]}, "its response needs"),
        ({"stream_response": RESULT}, "its response needs"),
        ({"stream_response": [STREAMED[0], ("error", "Item")]}, "its response needs"),
    ],
)
def test_a_batch_that_cannot_carry_all_of_a_request_or_a_response_is_refused(more: dict[str, Any], why: str) -> None:
    with pytest.raises(UnsupportedBinding, match=why):
        _bound(**GROUPED | more)
