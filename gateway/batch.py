"""A batch over HTTP: each item is decoded on its own, and each refused item is named by its index."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status

from gateway import encode, status
from gateway.answer import Answer, refused_from_status
from gateway.decode import WRONG_TYPE, ObjectDecoder
from gateway.findings import MOST, Finding, Findings

ITEMS: Final = 1000
"""The most items of one batch."""

_GRAVEST_FIRST = (
    code_pb2.UNAVAILABLE,
    code_pb2.DEADLINE_EXCEEDED,
    code_pb2.INTERNAL,
    code_pb2.UNKNOWN,
    code_pb2.DATA_LOSS,
    code_pb2.CANCELLED,
    code_pb2.UNIMPLEMENTED,
    code_pb2.RESOURCE_EXHAUSTED,
    code_pb2.ABORTED,
)
"""The codes that are no fault of the caller's, as the code of a whole batch: the first that an item has."""

_WORTH_A_RETRY = (code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED)


@dataclass(slots=True)
class Batch:
    """A batch of the repeated field `name`, as far as it is decoded.

    `messages` are the good items, `indexes` where they stood in the body, `refused` the Status of each other item by
    its index.
    """

    name: str
    total: int
    messages: list[Message] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    refused: dict[int, Status] = field(default_factory=dict)
    warnings: list[Finding] = field(default_factory=list)


def decode_item(batch: Batch, decoder: ObjectDecoder, index: int, item: Any) -> None:
    """Add one item of the JSON array, which may be changed, to the batch: as a message, or as refused."""
    findings = Findings()
    message = None
    if isinstance(item, dict):
        message = decoder.message(item, (batch.name, index), findings)
    else:
        findings.refuse((batch.name, index), WRONG_TYPE, "must be an object")
    if message is None:
        batch.refused[index] = status.status_of_item(findings.violations)
    else:
        batch.messages.append(message)
        batch.indexes.append(index)
        batch.warnings += findings.warnings


def answer_batch(batch: Batch, results: Sequence[Any], message: Descriptor) -> Answer:
    """The answer to a batch of `message`, from the RPC's `results`.

    201 when all is saved, else an error that names what is not: 400, or what the gravest failure of the server's calls
    for. The server names fields by their index in the RPC; they are renamed to their index in the body.

    Raises ValueError if there is not exactly one result for each message.
    """
    refused = dict(batch.refused)
    warnings = [asdict(warning) for warning in batch.warnings]
    for index, result in zip(batch.indexes, results, strict=True):
        if result.status.code != code_pb2.OK:
            refused[index] = status.with_fields_renamed(result.status, lambda path: _renumbered(path, batch))
        warnings += [
            {**warning, "field": _renumbered(warning["field"], batch)}
            for warning in encode.plain(result).get("warnings", [])
        ]
    return _answer(batch, dict(sorted(refused.items())), warnings[:MOST], message)


def _answer(batch: Batch, refused: Mapping[int, Status], warnings: Sequence[Any], message: Descriptor) -> Answer:
    counted = {"saved_count": batch.total - len(refused)}
    warned = {"warnings": warnings} if warnings else {}
    if not refused:
        return Answer(201, counted | warned)
    whole = status.refusal(
        "BATCH_PARTLY_REFUSED",
        refused=len(refused),
        total=batch.total,
        items=batch.name,
        rest="; the others are saved" if len(refused) < batch.total else "",
    ).status
    codes = {each.code for each in refused.values()}
    if code := next((each for each in _GRAVEST_FIRST if each in codes), None):
        whole = status.with_code(whole, code, retry_after=1 if code in _WORTH_A_RETRY else None)
    http = status.http_status(whole.code)
    told = [refused_from_status(each, status.http_status(each.code), message, index) for index, each in refused.items()]
    items = [{"index": index, "status": status.as_json(each)} for index, each in refused.items()]
    return Answer(
        http,
        status.as_json(whole) | counted | {"refused": items} | warned,
        status.headers_for(http, whole),
        (refused_from_status(whole, http), *told),
    )


def _renumbered(path: str, batch: Batch) -> str:
    found = re.match(rf"{batch.name}\[(\d+)\]", path)
    if found is None or int(found[1]) >= len(batch.indexes):
        return path
    return f"{batch.name}[{batch.indexes[int(found[1])]}]{path[found.end() :]}"
