"""A profile write as a MongoDB update: on dot-paths, which is fast, or as an aggregation pipeline, which is exact.

What is said of MongoDB here holds for 6.0.
"""

from collections.abc import Sequence
from typing import cast

from server.limits import ALIASES, ANONYMOUS_IDS
from server.merge.operations import Operation
from server.model import REMOVE, DotPaths, Patch, ProfileWrite, Remove, Whole
from server.mongo.writes.operation_expression import Expression, operation_expression

UpdateDocument = dict[str, object]
Pipeline = list[dict[str, object]]

_STORED_OBJECT = {"$cond": [{"$eq": [{"$type": "$$s"}, "object"]}, "$$s", {}]}


def dotted_update(write: ProfileWrite) -> UpdateDocument:
    """The update on dot-paths. It fails with error 28, without any effect, if a path meets a stored non-object."""
    paths = write.change if isinstance(write.change, DotPaths) else _dot_paths(write.change)
    update: UpdateDocument = {"$set": paths.sets, "$setOnInsert": write.on_insert}
    if write.first_campaign:
        if write.lacks_first_campaign:
            # $slice keeps the first campaign that was ever pushed, and its time. Behind one that an older version
            # stored without a time, the next campaign takes that place, and is no time either. MongoDB stores the array
            # again, even if it stays as it is.
            update["$push"] = {"initial_campaign": {"$each": write.first_campaign, "$slice": 2}}
        else:
            update["$setOnInsert"] = {**write.on_insert, "initial_campaign": write.first_campaign}
    if paths.removes:
        update["$unset"] = dict.fromkeys(paths.removes, "")
    added: dict[str, object] = {}
    if write.aliases:
        added["aliases"] = write.aliases[0] if len(write.aliases) == 1 else {"$each": write.aliases}
    if write.anonymous_ids:
        added["anonymous_ids"] = {"$each": write.anonymous_ids}
    if added:
        update["$addToSet"] = added
    return update


def _dot_paths(patch: Patch) -> DotPaths:
    to_set: dict[str, object] = {}
    to_unset: list[str] = []
    _flatten(patch, "", to_set, to_unset)
    return DotPaths(to_set, to_unset)


def _flatten(patch: Patch, prefix: str, to_set: dict[str, object], to_unset: list[str]) -> None:
    for key, change in patch.items():
        kind = type(change)
        if kind is str:  # The most frequent case.
            to_set[prefix + key] = change
        elif kind is dict:
            _flatten(cast(Patch, change), f"{prefix}{key}.", to_set, to_unset)
        elif change is REMOVE:
            to_unset.append(prefix + key)
        else:
            to_set[prefix + key] = change.value if isinstance(change, Whole) else change


def exact_update(write: ProfileWrite) -> Pipeline:
    """The pipeline that merges exactly, whatever is stored, and limits the number of aliases.

    It costs MongoDB more than the dotted update, so only writes that need it use it.
    """
    fields: dict[str, object] = {
        name: {"$ifNull": [f"${name}", {"$literal": value}]} for name, value in write.on_insert.items()
    }
    removed: list[str] = []
    for name, change in write.patch.items():
        fields[name] = _expression(change, f"${name}", name, removed)
    if write.aliases:
        fields["aliases"] = _moved_to_the_end(write.aliases)
    if write.anonymous_ids:
        fields["anonymous_ids"] = _added("anonymous_ids", write.anonymous_ids, ANONYMOUS_IDS)
    if write.first_campaign:
        fields["initial_campaign"] = {"$ifNull": ["$initial_campaign", {"$literal": write.first_campaign}]}
    pipeline: Pipeline = [{"$set": fields}]
    if removed:
        # In a second stage, because the first one makes sure that every path leads through objects.
        pipeline.append({"$unset": removed})
    return pipeline


def _expression(change: object, stored: str, path: str, removed: list[str]) -> Expression:
    """The new value of the expression `stored`. Paths to remove are added to `removed`."""
    if isinstance(change, Remove):
        return "$$REMOVE"
    if not isinstance(change, dict):
        # Outside $literal, a string that starts with `$` would be evaluated, and copy another field.
        return {"$literal": change.value if isinstance(change, Whole) else change}
    overlay: dict[str, object] = {}
    for key, inner in change.items():
        if isinstance(inner, Remove):
            removed.append(f"{path}.{key}")
        elif isinstance(inner, Operation):
            overlay[key] = operation_expression(inner, key)
        else:
            overlay[key] = _expression(inner, f"$$s.{key}", f"{path}.{key}", removed)
    # With a variable, an object repeats only its own key, not the whole path to it.
    return {"$let": {"vars": {"s": stored}, "in": {"$mergeObjects": [_STORED_OBJECT, overlay]}}}


def _moved_to_the_end(aliases: tuple[bytes, ...]) -> dict[str, object]:
    sent = {"$literal": list(aliases)}
    others = {"$filter": {"input": {"$ifNull": ["$aliases", []]}, "cond": {"$not": {"$in": ["$$this", sent]}}}}
    return {"$slice": [{"$concatArrays": [others, sent]}, -ALIASES]}


def _added(field: str, values: Sequence[object], limit: int) -> dict[str, object]:
    """The stored values of a field with those that are new, the latest `limit` of them."""
    stored = {"$ifNull": [f"${field}", []]}
    new = {"$filter": {"input": {"$literal": list(values)}, "cond": {"$not": {"$in": ["$$this", stored]}}}}
    return {"$slice": [{"$concatArrays": [stored, new]}, -limit]}
