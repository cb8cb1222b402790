"""The targets of fuzzing. A target accepts any bytes, and raises where a promise about invalid input is broken.

The first byte selects a part of the target, so that one corpus serves all parts.
"""

import asyncio
import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
from google.protobuf.message import DecodeError
from userfold.v1 import user_pb2
from userfold.v1 import user_service_pb2 as pb

from gateway.errors.violations import Findings
from gateway.http import content_encoding
from gateway.transcoding import json_parser
from gateway.transcoding.json_array import JsonArray
from gateway.transcoding.json_decoder import ObjectDecoder
from runtime.turns import Turns
from server.errors import InvalidRequest
from server.model import ListRequest, ReportRequest
from server.mongo.queries.projections import projection
from server.mongo.queries.user_queries import profile_query
from server.query.field_mask import parse_mask
from server.query.page_token import PageTokens
from server.rpc.error_status import status_from_error
from server.services import convert
from server.services.updates.batch_updates import plan_batch
from server.services.updates.update_messages import OF_USERS
from server.users.count import plan_count
from server.users.list_users import plan_list
from server.users.report_campaigns import plan_report
from tests.fuzz.http import http
from tests.fuzz.legal import APPLICATION, NOW, plan_legally, require_legal_path, require_legal_query

_USER = ObjectDecoder(user_pb2.UserUpdate.DESCRIPTOR)
_DECODERS = (
    _USER,
    ObjectDecoder(pb.LookupUsersRequest.DESCRIPTOR),
    ObjectDecoder(pb.BatchRemoveAliasesRequest.DESCRIPTOR),
    ObjectDecoder(pb.BatchDeleteUsersRequest.DESCRIPTOR),
)
_TOKENS = PageTokens(b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
_EXACT = 2**53


def decode(data: bytes) -> None:
    """The body of a request: inflate, parse and decode it, and plan the updates as the server does."""
    kind, sent = data[:1], data[1:]
    part = kind[0] if kind else 0
    try:
        text = b"".join(content_encoding.slices(sent, b"gzip" if part & 8 else None, 65536))
    except (content_encoding.CorruptBody, content_encoding.BodyTooLarge):
        return
    value = read(text)
    if isinstance(value, list):
        _require_same_items(text, value)
        decoded = [_USER.message(item, ("users", 0), Findings()) for item in value if isinstance(item, dict)]
        _plan_all([each for each in decoded if each is not None])
    elif isinstance(value, dict):
        original = json_parser.parse(text)
        decoder = _DECODERS[part & 3]
        findings = Findings()
        message = decoder.message(value, (), findings)
        for finding in (*findings.violations, *findings.warnings):
            assert len(finding.field) <= 160
        assert (message is None) == bool(findings.violations)
        if message is not None:
            assert type(message).FromString(message.SerializeToString()) == message
            if decoder is _USER:
                _require_metadata_as_sent(original, message)
                _plan_all([message])


def plan(data: bytes) -> None:
    """The payload of a gRPC message."""
    kind, sent = data[:1], data[1:]
    try:
        if kind and kind[0] & 1:
            updates = [user_pb2.UserUpdate.FromString(sent)]
        else:
            updates = [*pb.BatchUpdateUsersRequest.FromString(sent).users]
    except DecodeError:
        return
    _plan_all(updates)


def choose(data: bytes) -> None:
    """The strings of a query: filter, order, field mask, groups, value path and page token."""
    part = data[0] if data else 0
    try:
        text = data[1:].decode()
    except UnicodeDecodeError:
        return
    try:
        match part % 6:
            case 0:
                require_legal_query(profile_query(plan_count(APPLICATION, text)))
            case 1:
                for path in projection(parse_mask([text])):
                    require_legal_path(path)
            case 2:
                plan_report(APPLICATION, ReportRequest(group_by=[text]))
            case 3:
                plan_report(APPLICATION, ReportRequest(value_path=text))
            case 4:
                plan_list(APPLICATION, ListRequest(order_by=text), _TOKENS, NOW)
            case _:
                plan_list(APPLICATION, ListRequest(page_token=text), _TOKENS, NOW)
    except InvalidRequest as error:
        _require_reported(error)
        found = re.match(r"column (\d+): expected .", error.violations[0].description)
        assert found is None or 1 <= int(found[1]) <= len(text) + 1


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {each.__name__: each for each in (decode, plan, choose, http)}


def read(text: bytes) -> Any:
    """The value of a JSON text, which must be the one that Python parses. None if the gateway refuses it."""
    try:
        value = json_parser.parse(text)
    except json_parser.NotJson as error:
        byte = error.byte
    else:
        assert _same(value, json.loads(text.decode("utf-8-sig")))
        return value
    assert 0 <= byte <= len(text)
    return None


def _require_same_items(text: bytes, value: list[Any]) -> None:
    items = JsonArray(text)
    for _ in items.windows():
        pass
    assert len(items) == len(value)
    assert all(_same(json_parser.parse(items.item(index)), each) for index, each in enumerate(value))


def _plan_all(messages: Sequence[Any]) -> None:
    for message in messages:
        try:
            plan_legally(convert.update_from_message(message, "192.0.2.1"))
        except InvalidRequest as error:
            _require_reported(error)
    planned = asyncio.run(
        plan_batch(APPLICATION, OF_USERS.messages(messages), ["192.0.2.1"] * len(messages), NOW, Turns())
    )
    assert len(planned) == len(messages)


def _require_reported(error: InvalidRequest) -> None:
    assert error.violations
    status = status_from_error(error, "users[999].")
    assert status.ByteSize() <= 4096


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other and not (isinstance(one, float) and not math.isfinite(one))


def _require_metadata_as_sent(sent: dict[str, Any], message: Any) -> None:
    if not message.HasField("metadata_json"):
        return
    arrived = orjson.loads(message.metadata_json)
    for key, value in (sent.get("metadata") or {}).items():
        assert _same(arrived[key], _exact(value))


def _exact(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _exact(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_exact(inner) for inner in value]
    if type(value) is int and abs(value) > _EXACT:
        try:
            double = float(value)
        except OverflowError:
            return str(value)
        return double if int(double) == value else str(value)
    return value
