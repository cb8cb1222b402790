"""Updates as the JSON objects that gateways send to the server, and back."""

from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict
from userfold.v1.company_pb2 import CompanyUpdate
from userfold.v1.user_pb2 import UserUpdate


def json_of(update: UserUpdate | CompanyUpdate) -> bytes:
    """The JSON of an update."""
    value: dict[str, Any] = MessageToDict(update, preserving_proto_field_name=True)
    if update.HasField("metadata_json"):
        del value["metadata_json"]
        value["metadata"] = orjson.Fragment(update.metadata_json)
    if update.HasField("modified_time"):
        value["modified_time"] = update.modified_time.seconds, update.modified_time.nanos
    return orjson.dumps(value)


def update_of(data: bytes) -> UserUpdate:
    """The update in a JSON object, with its metadata as `metadata_json`."""
    value = {name: each for name, each in orjson.loads(data).items() if each is not None}
    if "metadata" in value:
        value["metadata_json"] = orjson.dumps(value.pop("metadata"))
    if "modified_time" in value:
        seconds, nanos = value["modified_time"]
        value["modified_time"] = {"seconds": seconds, "nanos": nanos}
    return UserUpdate(**value)
