"""Random updates with operations, on a real mongod: alone or folded, they leave what the reference merge expects."""

import itertools
import json
from typing import Any

import bson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from userfold.v1.user_pb2 import UserUpdate as Message

from gateway.errors.violations import Findings
from gateway.transcoding.json_decoder import ObjectDecoder
from server.merge.field_names import unescape_object
from server.merge.patch import apply_patch
from server.model import ProfileWrite
from server.mongo.writes.update_document import dotted_update, exact_update
from server.mongo.writes.values import values_in
from server.services.updates.update_from_json import update_from_json
from server.users.fold import fold
from server.users.update import plan_update
from tests.support.expected_profile import ReferenceProfile
from tests.support.strategies import UPDATES_WITH_OPERATIONS

pytestmark = pytest.mark.unmeasured

_NOW = 1_767_323_045_000_000_000
_DECODER = ObjectDecoder(Message.DESCRIPTOR)
_numbers = itertools.count()


def _planned(updates: list[dict[str, Any]], user_id: str) -> list[ProfileWrite]:
    writes = []
    for number, update in enumerate(updates):
        findings = Findings()
        data = _DECODER.as_json(json.loads(json.dumps({"user_id": user_id} | update)), (), findings)
        assert not findings.violations
        writes.append(plan_update("app", update_from_json(data, None), _NOW + number * 1_000_000).write)
    return writes


def _apply(profiles: Collection[dict[str, Any]], write: ProfileWrite) -> None:
    update = exact_update(write)
    statement = {"q": {"_id": write.profile_id}, "u": update, "multi": False, "upsert": True}
    assert len(bson.encode(statement)) <= write.size
    if not write.exact:
        # What operations are resolved to.
        assert len(bson.encode({**statement, "u": dotted_update(write)})) <= write.size
    profiles.bulk_write([UpdateOne({"_id": write.profile_id}, update, upsert=True)])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(UPDATES_WITH_OPERATIONS, min_size=1, max_size=5))
def test_operations_leave_what_the_reference_expects(
    database: Database[dict[str, Any]], updates: list[dict[str, Any]]
) -> None:
    number = next(_numbers)
    profiles = database.client["userfold_operations"]["profiles"]
    reference = ReferenceProfile()
    for update in updates:
        reference.fold(update)
    expected = json.loads(json.dumps(reference.metadata))
    for form in ("alone", "folded"):
        writes = _planned(updates, f"{number}/{form}")
        in_memory: dict[str, Any] = {}
        values = 0
        while writes:
            write, count = fold(writes) if form == "folded" else (writes[0], 1)
            writes = writes[count:]
            in_memory = apply_patch(in_memory, write.patch)
            values += write.values
            _apply(profiles, write)
        document = profiles.find_one({"_id": write.profile_id})
        assert document is not None
        stored = document.get("metadata", {})
        assert unescape_object(stored) == expected, form
        # To Python, 1 and True are equal.
        assert json.dumps(unescape_object(stored), sort_keys=True) == json.dumps(expected, sort_keys=True), form
        assert json.dumps(in_memory.get("metadata", {}), sort_keys=True) == json.dumps(stored, sort_keys=True), form
        assert values_in(stored) <= values
