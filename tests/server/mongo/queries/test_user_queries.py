"""Descriptions of users to find, as MongoDB's documents."""

from datetime import UTC, datetime

import pytest

from server.model import Lookup
from server.mongo.queries.user_queries import Query, all_by_key, lookup_query, page_query, profile_query, profiles_of
from server.query.conditions import Compared, ProfileQuery
from server.query.field_mask import WHOLE
from server.users.list_users import Listing

_TIME = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def test_profiles_without_a_stored_time_come_after_all_that_have_one() -> None:
    whole = {**profiles_of("app"), "company_id": {"$eq": "c"}}
    assert lookup_query(Lookup("app", "company_id", "c", 1)) == whole
    same_time = {"stored_time": {"$eq": _TIME}, "_id": {"$gt": "k"}}
    earlier = {"stored_time": {"$lt": _TIME}}
    assert lookup_query(Lookup("app", "company_id", "c", 1, (_TIME, "k"))) == {
        **whole,
        "$or": [earlier, {"stored_time": {"$eq": None}}, same_time],
    }
    rest = {"stored_time": {"$eq": None}, "_id": {"$gt": "k"}}
    assert lookup_query(Lookup("app", "company_id", "c", 1, (None, "k"))) == {**whole, "$or": [rest]}


@pytest.mark.parametrize(("descending", "beyond"), [(False, "$gt"), (True, "$lt")])
@pytest.mark.parametrize("key", ["created_time", "modified_time", "user_id"])
def test_a_page_begins_where_the_one_before_ended(key: str, descending: bool, beyond: str) -> None:
    positions: dict[str, dict[str, object]] = {
        "created_time": {"created_time": _TIME, "_id": "id"},
        "modified_time": {"modified_time": _TIME, "modified_nanos": 5, "_id": "id"},
        "user_id": {"user_id": "john@acme.com"},
    }
    after: dict[str, Query] = {
        "created_time": {
            "created_time": {f"{beyond}e": _TIME},
            "$or": [{"created_time": {beyond: _TIME}}, {"created_time": {"$eq": _TIME}, "_id": {beyond: "id"}}],
        },
        "modified_time": {
            "modified_time": {f"{beyond}e": _TIME},
            "$or": [
                {"modified_time": {beyond: _TIME}},
                {"modified_time": {"$eq": _TIME}, "modified_nanos": {beyond: 5}},
                {"modified_time": {"$eq": _TIME}, "modified_nanos": {"$eq": 5}, "_id": {beyond: "id"}},
            ],
        },
        "user_id": {"user_id": {f"{beyond}e": "john@acme.com"}, "$or": [{"user_id": {beyond: "john@acme.com"}}]},
    }
    query = ProfileQuery("app", (Compared(("company_id",), "=", "c"),))
    position = positions[key]
    listing = Listing(query, [*position], descending, 10, WHOLE, [*position.values()])
    assert page_query(listing) == {"$and": [profile_query(query), after[key]]}
    assert profile_query(query) == {**profiles_of("app"), "$and": [{"company_id": {"$eq": "c"}}]}


def test_the_first_page_begins_with_the_first_user() -> None:
    assert page_query(Listing(ProfileQuery("app"), ["created_time", "_id"], False, 10, WHOLE)) == profiles_of("app")
    by_user_id = Listing(ProfileQuery("app"), ["user_id"], False, 10, WHOLE)
    assert page_query(by_user_id, by_key=True) == all_by_key("app")
