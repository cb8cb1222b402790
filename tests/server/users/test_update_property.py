"""Thousands of sequences of updates through the planner's meaning, against the reference model: no database here."""

import random
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.merge.field_names import unescape_object
from server.merge.patch import apply_patch
from server.model import ProfileWrite, UserUpdate
from server.mongo.writes.update_document import dotted_update
from server.users.campaigns import HAS_FIRST_CAMPAIGN
from server.users.finding.lookup import SENT_ALIAS
from server.users.fold import fold
from server.users.update import plan_update
from tests.support.expected_profile import ReferenceProfile
from tests.support.strategies import UPDATES

pytestmark = [pytest.mark.long, pytest.mark.unmeasured]

_NOW = 1_767_323_045_000_000_000
_ADDRESS = "192.0.2.1"


def _planned(update: dict[str, Any]) -> ProfileWrite:
    # What the gateway and `wire` do to an envelope, as far as the drawn updates need it.
    fields = {name: value for name, value in update.items() if value is not None and name != "modified_time"}
    campaign = fields.pop("campaign", None) or {}
    metadata = fields.pop("metadata", None) or None
    given_campaign = {name: value for name, value in campaign.items() if value is not None}
    sent = UserUpdate("u", metadata=metadata, campaign=given_campaign, client_address=_ADDRESS, **fields)
    return plan_update("app", sent, _NOW).write


def _document(writes: list[ProfileWrite]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for write in writes:
        update: dict[str, Any] = dotted_update(write)
        _require_separate_paths(update)
        dotted = None if write.exact else _applied_by_dots(document, update)
        applied = apply_patch(document, write.patch)
        assert dotted is None or dotted == applied, "the dotted update means something else than the patch"
        document = applied
        if write.first_campaign:
            document.setdefault("initial_campaign", write.first_campaign)
        # With these, MongoDB checks the order of the aliases, and that there is a first campaign.
        assert not write.aliases or cast("dict[str, Any]", document[SENT_ALIAS])["alias"] == write.aliases[-1]
        assert (HAS_FIRST_CAMPAIGN in document) == ("initial_campaign" in document)
    return document


def _require_separate_paths(update: dict[str, Any]) -> None:
    """MongoDB returns error 40 for two changes of one path, or of a path and one below it."""
    paths = [tuple(path.split(".")) for operator in update.values() for path in operator]
    assert len(set(paths)) == len(paths)
    assert not {path[:length] for path in paths for length in range(1, len(path))} & set(paths)


def _applied_by_dots(document: dict[str, Any], update: dict[str, Any]) -> dict[str, Any] | None:
    """The result of `$set` and `$unset` on dot-paths, or None for error 28."""
    result: dict[str, Any] = apply_patch(document, {})
    for path, value in update["$set"].items():
        *parents, last = path.split(".")
        node: dict[str, Any] = result
        for key in parents:
            inner = node.get(key, {})
            if not isinstance(inner, dict):
                return None
            node[key] = dict(inner)
            node = node[key]
        node[last] = value
    for path in update.get("$unset", {}):
        *parents, last = path.split(".")
        node = result
        for key in parents:
            inner = node.get(key)
            if not isinstance(inner, dict):
                break
            node[key] = dict(inner)
            node = node[key]
        else:
            node.pop(last, None)
    return result


@settings(max_examples=2000)
@given(st.lists(UPDATES, min_size=1, max_size=6))
def test_a_sequence_of_updates_adds_up_to_what_the_merge_table_says(updates: list[dict[str, Any]]) -> None:
    reference = ReferenceProfile()
    for update in updates:
        reference.fold(update, _ADDRESS)
    document = _document([_planned(update) for update in updates])
    assert unescape_object(document.get("metadata", {})) == reference.metadata
    assert document.get("campaign", {}) == reference.campaign
    first, *times = document.get("initial_campaign", [{}])
    assert (first, len(times)) == (reference.initial_campaign, len(reference.initial_campaign) > 0)
    assert document.get("latest_campaign", {}) == reference.latest_campaign
    assert ("latest_campaign_time" in document) == (reference.latest_campaign != {})
    for name in ("company_id", "ip_address", "user_agent_string", "anonymous_id"):
        assert document.get(name) == reference.fields.get(name)
    assert document.get("observed_ip_address") == reference.observed_ip_address
    assert "user_agent" not in document or "user_agent_string" in document


def _last_sent(writes: list[ProfileWrite]) -> list[bytes]:
    """The aliases in the order in which each was sent last."""
    sent: list[bytes] = []
    for write in writes:
        for alias in write.aliases:
            sent = [*(each for each in sent if each != alias), alias]
    return sent


@settings(max_examples=2000)
@given(st.lists(UPDATES, min_size=1, max_size=6), st.integers(0, 2**32))
def test_folded_writes_mean_the_same_as_one_after_the_other(updates: list[dict[str, Any]], seed: int) -> None:
    writes = [_planned(update) for update in updates]
    cut = random.Random(seed).randint(0, len(writes))  # noqa: S311 - no secret depends on it
    parts = [part for part in (writes[:cut], writes[cut:]) if part]
    folded = [fold(part) for part in parts]
    assert [count for _, count in folded] == [len(part) for part in parts]
    assert _document([write for write, _ in folded]) == _document(writes)
    assert _last_sent([write for write, _ in folded]) == _last_sent(writes)
