"""The rules for planned writes and queries: MongoDB must never interpret a client's value or key."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import bson

from server.merge.field_names import unescape_object
from server.merge.numbers import stored_number
from server.merge.patch import apply_patch
from server.model import UserUpdate
from server.mongo.writes.update_document import dotted_update, exact_update
from server.users.update import plan_update
from tests.support.expected_profile import RESERVED, exact, merged, operated

APPLICATION = "0123456789abcdef"
NOW = 1_767_323_045_000_000_000

# `metadata` itself and 20 levels in it. A path of 257 parts overflows in MongoDB.
_MOST_PARTS = 22
_MOST_BYTES = 16 * 1024 * 1024
_SPECIAL = re.compile(r"\$.*|[0-9]*|.*[.\0].*", re.DOTALL)

_QUERY_OPERATORS = {"$and", "$or", "$nor", "$not", "$eq", "$lt", "$lte", "$gt", "$gte", "$in", "$exists", "$type"}
_QUERY_OPERATORS |= {"$elemMatch", "$expr"}
_LITERAL = {"$eq", "$lt", "$lte", "$gt", "$gte", "$in", "$exists", "$type"}


def plan_legally(update: UserUpdate) -> None:
    """Plan an update, and check that MongoDB would store what was sent. Raises InvalidRequest."""
    planned = plan_update(APPLICATION, update, NOW)
    write = planned.write
    dotted = dotted_update(write)
    _require_legal_paths([*_object(dotted["$set"]), *_object(dotted.get("$unset", {})), *write.on_insert])
    assert set(dotted) <= {"$set", "$setOnInsert", "$unset", "$addToSet", "$push"}
    for value in _object(dotted["$set"]).values():
        _require_legal_keys(value)
    for document in (dotted, {"pipeline": exact_update(write)}):
        assert len(bson.encode(document)) < _MOST_BYTES
    stored = apply_patch({}, write.patch)
    assert unescape_object(_object(stored.get("metadata", {}))) == _expected(update)
    assert stored.get("campaign", {}) == {**(update.campaign or {})}
    assert stored.get("company_id") == (update.company_id or None)


def require_legal_query(query: Mapping[str, Any]) -> None:
    """A query has only the operators that the server uses, and no client's value is interpreted."""
    bson.encode(query)
    for key, value in _query_keys(query):
        if key.startswith("$"):
            assert key in _QUERY_OPERATORS
        else:
            _require_legal_paths([key])
            assert isinstance(value, Mapping) or key == "created_time"


def require_legal_path(path: str) -> None:
    """Every part of a path must be a plain name."""
    parts = path.split(".")
    assert len(parts) <= _MOST_PARTS, path
    for part in parts:
        assert not _SPECIAL.fullmatch(part), path


def _require_legal_paths(paths: Sequence[str]) -> None:
    assert len(set(paths)) == len(paths)
    for path in paths:
        require_legal_path(path)
        parents = path.split(".")[:-1]
        for length in range(1, len(parents) + 1):
            assert ".".join(parents[:length]) not in paths, "a path below another"


def _require_legal_keys(value: object) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            assert not _SPECIAL.fullmatch(key), key
            _require_legal_keys(inner)
    elif isinstance(value, list):
        for inner in value:
            _require_legal_keys(inner)


def _query_keys(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key, inner
            if key not in _LITERAL and key != "$expr":
                yield from _query_keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _query_keys(inner)


def _expected(update: UserUpdate) -> dict[str, Any]:
    """The metadata of a new profile after this update."""
    sent = update.metadata or {}
    metadata = merged({}, {key: _as_text(value) if key in RESERVED else value for key, value in sent.items()})
    for operation in update.metadata_operations:
        metadata = operated(metadata, exact({"path": list(operation.path), operation.kind: operation.value}))
    return metadata


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(stored_number(value)) if isinstance(value, int | float) else value


def _object(value: object) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value
