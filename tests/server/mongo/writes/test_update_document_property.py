"""Random updates on a real mongod: on dot-paths, as pipelines, and folded into one write, they leave the same."""

import itertools
from dataclasses import replace
from typing import Any

import bson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import WriteError

from server.model import JsonObject, ProfileWrite, UserUpdate
from server.mongo.client import PROFILE_VALIDATOR
from server.mongo.writes.bulk import PATH_MEETS_NON_OBJECT, VALIDATION_FAILED
from server.mongo.writes.update_document import dotted_update, exact_update
from server.users.campaigns import HAS_FIRST_CAMPAIGN
from server.users.finding.lookup import SENT_ALIAS
from server.users.fold import fold
from server.users.metadata.flat import NotUsual
from server.users.update import plan_update
from tests.support.strategies import CLEARABLE, UPDATES

pytestmark = pytest.mark.unmeasured

_NOW = 1_767_323_045_000_000_000
_numbers = itertools.count()

# Mostly campaigns and what clears them: that is where two changes of one path could meet.
_CAMPAIGNS = st.fixed_dictionaries(
    {},
    optional={
        "campaign": st.dictionaries(st.sampled_from(["utm_source", "gclid"]), st.sampled_from(["a", "b", ""])),
        "clear_fields": st.lists(st.sampled_from(CLEARABLE), max_size=4),
        "metadata": st.just({"empty": {}}),
        "company_id": st.just("c"),
    },
)


def _planned(updates: list[dict[str, Any]], user_id: str) -> list[ProfileWrite]:
    writes = []
    for number, update in enumerate(updates):
        fields = {name: value for name, value in update.items() if value and name != "modified_time"}
        campaign = {name: value for name, value in dict(fields.pop("campaign", {})).items() if value is not None}
        sent = UserUpdate(user_id, campaign=campaign, client_address="192.0.2.1", **fields)
        writes.append(plan_update("app", sent, _NOW + number * 1_000_000).write)
    return writes


def _profiles(database: Database[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """A collection with the validator of profiles."""
    forms = database.client["userfold_forms"]
    if "profiles" not in forms.list_collection_names():
        forms.create_collection("profiles", validator=PROFILE_VALIDATOR)
    return forms["profiles"]


def _not_usual(_: JsonObject) -> None:
    raise NotUsual


def _apply(profiles: Collection[dict[str, Any]], write: ProfileWrite, *, exact: bool = False) -> None:
    key = {"_id": write.profile_id}
    for lacks_first_campaign in () if exact or write.exact else (False, True):
        dotted = dotted_update(replace(write, lacks_first_campaign=lacks_first_campaign))
        try:
            profiles.update_one(key, dotted, upsert=True)
        except WriteError as error:
            if error.code not in (PATH_MEETS_NON_OBJECT, VALIDATION_FAILED):
                raise
        else:
            return
    profiles.bulk_write([UpdateOne(key, exact_update(write), upsert=True)])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(UPDATES | _CAMPAIGNS, min_size=1, max_size=5), st.integers(0, 4))
def test_every_form_of_the_same_updates_leaves_the_same(
    database: Database[dict[str, Any]], updates: list[dict[str, Any]], cut: int
) -> None:
    number = next(_numbers)
    profiles = _profiles(database)
    documents = []
    for form in ("dotted", "exact", "folded", "folded and exact", "through the tree"):
        with pytest.MonkeyPatch.context() as patch:
            if form == "through the tree":
                patch.setattr("server.users.update.FlatMetadata", _not_usual)
            writes = _planned(updates, f"{number}/{form}")
        if form.startswith("folded"):
            writes = [fold(part)[0] for part in (writes[:cut], writes[cut:]) if part]
        for write in writes:
            _apply(profiles, write, exact=form.endswith("exact"))
        document = profiles.find_one({"_id": writes[0].profile_id})
        assert document is not None
        # They are of different users, and tokens are bound to the application alone.
        # Of folded updates, the alias that was sent last has the time of the last one.
        alias = document.pop(SENT_ALIAS, {}).get("alias")
        assert alias == (document.get("aliases") or [None])[-1]
        # It may be missing where there is a first campaign, but not the other way round.
        assert not document.pop(HAS_FIRST_CAMPAIGN, False) or document.get("initial_campaign")
        documents.append({name: value for name, value in document.items() if name not in ("_id", "user_id")})
    created = [document.pop("created_time") for document in documents]
    assert created == [created[0]] * 5
    assert documents == [documents[0]] * 5
    # The order of the fields is the same as well.
    assert bson.encode(documents[0]) == bson.encode(documents[-1])
