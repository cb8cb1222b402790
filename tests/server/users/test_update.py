"""What a plan refuses, changes and bounds. What it means is in test_plan_property and test_merge_table."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from server import limits
from server.errors import InvalidRequest
from server.model import REMOVE, PlannedUpdate, UserUpdate
from server.mongo.writes.update_document import UpdateDocument, dotted_update
from server.users.fold import fold
from server.users.ids import profile_id
from server.users.update import plan_update

_NOW = 1_767_323_045_678_901_234


def _plan(**fields: Any) -> PlannedUpdate:
    return plan_update("app", UserUpdate(**({"user_id": "u"} | fields)), _NOW)


def _refused(**fields: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as refusal:
        _plan(**fields)
    return [(violation.field, violation.reason) for violation in refusal.value.violations]


def _nested(levels: int, leaf: object = 1) -> Any:
    value = leaf
    for _ in range(levels):
        value = {"k": value}
    return value


def test_a_plan_is_one_write_on_dot_paths() -> None:
    planned = _plan(
        company_id="c",
        session_token="secret",
        campaign={"utm_source": "google"},
        metadata={"a": {"b": 1, "x.y": [{"$z": None}]}, "gone": None},
        client_address="192.0.2.1",
    )
    update = dotted_update(planned.write)
    assert planned.write.profile_id == profile_id("app", "u")
    time = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    assert update["$set"] == {
        "sent_alias": {"alias": planned.write.aliases[0], "time": time},
        "has_first_campaign": True,
        "modified_time": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
        "modified_nanos": 0,
        "stored_time": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
        "company_id": "c",
        "observed_ip_address": "192.0.2.1",
        "campaign.utm_source": "google",
        "latest_campaign": {"utm_source": "google"},
        "latest_campaign_time": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
        "metadata.a.b": 1,
        "metadata.a.x%2Ey": [{"%24z": None}],
    }
    assert update["$unset"] == {"metadata.gone": ""}
    assert update["$setOnInsert"] == {
        "application_id": "app",
        "user_id": "u",
        "created_time": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
        "initial_campaign": [{"utm_source": "google"}, time],
    }
    assert update["$addToSet"] == {"aliases": planned.write.aliases[0]}
    assert b"secret" not in planned.write.aliases[0]


_ALL = ["company_id", "ip_address", "observed_ip_address", "user_agent_string", "anonymous_id"]
_ALL += ["campaign", "initial_campaign", "latest_campaign"]


def test_what_is_cleared_is_removed_and_no_path_is_changed_twice() -> None:
    update = dotted_update(_plan(clear_fields=[*_ALL, *_ALL[:5]], client_address="192.0.2.1").write)
    assert update["$unset"] == dict.fromkeys([*_ALL, "user_agent", "latest_campaign_time", "has_first_campaign"], "")
    assert set(_paths(update)) == {"modified_time", "modified_nanos", "stored_time"}
    assert update.keys() == {"$set", "$unset", "$setOnInsert"}


def test_what_is_cleared_and_sent_is_what_was_sent() -> None:
    fields = {"company_id": "c", "ip_address": "1.2.3.4", "user_agent_string": "UA", "anonymous_id": "a"}
    update = dotted_update(_plan(**fields, campaign={"gclid": "g"}, clear_fields=_ALL).write)
    assert update["$unset"] == {"user_agent": "", "observed_ip_address": ""}
    assert _paths(update)["has_first_campaign"] is True
    campaign, time = {"gclid": "g"}, _paths(update)["modified_time"]
    stored = {**fields, "campaign": campaign, "initial_campaign": [campaign, time], "latest_campaign": campaign}
    assert _paths(update) | stored | {"latest_campaign_time": time} == _paths(update)
    assert "$push" not in update
    # A campaign without any text in it is not what brought the user.
    update = dotted_update(_plan(campaign={"gclid": ""}, clear_fields=["initial_campaign"]).write)
    assert update["$unset"] == {"initial_campaign": "", "has_first_campaign": ""}


def test_a_campaign_has_the_time_of_its_update_to_the_millisecond() -> None:
    sent = _NOW - 86_400 * 10**9
    write = _plan(campaign={"gclid": "g", "utm_term": ""}, modified_time=sent).write
    update, time = dotted_update(write), datetime(2026, 1, 1, 3, 4, 5, 678_000, tzinfo=UTC)
    first = [{"gclid": "g", "utm_term": ""}, time]
    assert _paths(update)["latest_campaign_time"] == time
    assert cast("dict[str, object]", update["$setOnInsert"])["initial_campaign"] == first
    # A profile that is there, and has no first campaign, gets it otherwise.
    update = dotted_update(replace(write, lacks_first_campaign=True))
    assert update["$push"] == {"initial_campaign": {"$each": first, "$slice": 2}}
    assert "initial_campaign" not in cast("dict[str, object]", update["$setOnInsert"])
    # Without any text, it is merged, and neither the first nor the latest one.
    update = dotted_update(_plan(campaign={"gclid": ""}).write)
    assert _paths(update)["campaign.gclid"] == ""
    assert "initial_campaign" not in cast("dict[str, object]", update["$setOnInsert"])
    assert not {"latest_campaign", "latest_campaign_time"} & _paths(update).keys()


def test_the_address_of_an_update_that_clears_the_observed_one_does_not_take_its_place() -> None:
    cleared = _plan(client_address="192.0.2.1", clear_fields=["observed_ip_address"]).write
    assert cleared.patch["observed_ip_address"] is REMOVE
    given = _plan(client_address="192.0.2.1", clear_fields=["ip_address"]).write
    assert (given.patch["ip_address"], given.patch["observed_ip_address"]) == (REMOVE, "192.0.2.1")


def _paths(update: UpdateDocument) -> dict[str, object]:
    return cast("dict[str, object]", update["$set"])


def test_times_within_a_millisecond_share_one_date() -> None:
    first, second = (plan_update("app", UserUpdate("u"), _NOW + offset).write for offset in (0, 50_000))
    stored = first.patch["stored_time"]
    assert stored is first.on_insert["created_time"] is first.patch["modified_time"] is second.patch["stored_time"]


def test_no_token_is_in_the_text_of_an_update() -> None:
    assert "secret" not in repr(UserUpdate(user_id="u", session_token="secret"))


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"user_id": ""}, [("user_id", "REQUIRED")]),
        ({"user_id": "x" * 513}, [("user_id", "TOO_LONG")]),
        ({"user_id": "é" * 257}, [("user_id", "TOO_LONG")]),
        ({"company_id": "x" * 513}, [("company_id", "TOO_LONG")]),
        ({"user_id": "", "anonymous_id": "x" * 513}, [("anonymous_id", "TOO_LONG")]),
        ({"session_token": "x" * 8193}, [("session_token", "TOO_LONG")]),
        ({"user_agent_string": "x" * 8193}, [("user_agent_string", "TOO_LONG")]),
        ({"ip_address": "x" * 513}, [("ip_address", "TOO_LONG")]),
        ({"campaign": {"referrer": "x" * 8193}}, [("campaign.referrer", "TOO_LONG")]),
        ({"metadata": {"email": {}}}, [("metadata.email", "WRONG_TYPE")]),
        ({"metadata": {"name": ["John"]}}, [("metadata.name", "WRONG_TYPE")]),
        ({"metadata": {"phone": float("inf")}}, [("metadata.phone", "NOT_FINITE")]),
        ({"metadata": {"a": {"x.y": [1, float("nan")]}}}, [('metadata.a["x.y"][1]', "NOT_FINITE")]),
        ({"metadata": {str(n): 0 for n in range(1001)}}, [("metadata", "TOO_MANY_VALUES")]),
        ({"metadata": {"a": {str(n): None for n in range(1001)}}}, [("metadata", "TOO_MANY_VALUES")]),
        ({"metadata": {"k" * 5000: {str(n): 0 for n in range(999)}}}, [("metadata", "TOO_LARGE")]),
        ({"clear_fields": ["metadata"]}, [("clear_fields[0]", "NOT_CLEARABLE")]),
        (
            {
                "clear_fields": [
                    "campaign",
                    "user_id",
                    "",
                    "campaign.utm_source",
                    "stored_time",
                    "user_agent",
                    "aliases",
                ]
            },
            [(f"clear_fields[{index}]", "NOT_CLEARABLE") for index in range(1, 7)],
        ),
        ({"clear_fields": ["campaign"] * 21}, [("clear_fields", "TOO_MANY")]),
        ({"clear_fields": ["x"] * 1000}, [("clear_fields", "TOO_MANY")]),
        (
            {"user_id": "", "anonymous_id": "a", "clear_fields": ["company_id", "anonymous_id"]},
            [("clear_fields[1]", "NOT_CLEARABLE")],
        ),
        (
            {"user_id": "", "company_id": "x" * 513, "metadata": {"photo_url": []}},
            [("user_id", "REQUIRED"), ("company_id", "TOO_LONG"), ("metadata.photo_url", "WRONG_TYPE")],
        ),
    ],
)
def test_a_value_that_exceeds_a_limit_is_refused_with_its_path(
    fields: dict[str, Any], refused: list[tuple[str, str]]
) -> None:
    assert _refused(**fields) == refused


def test_what_is_at_a_limit_is_accepted() -> None:
    _plan(user_id="é" * 256, company_id="x" * 512, session_token="x" * 8192, metadata={str(n): 0 for n in range(1000)})
    _plan(metadata=_nested(20))
    _plan(metadata={"k": [0] * 9999})
    _plan(metadata=_nested(19, leaf=[1]))


@pytest.mark.parametrize(
    "metadata", [_nested(21), _nested(20, leaf={}), _nested(20, leaf=[1]), _nested(19, leaf=[[1]])]
)
def test_metadata_of_21_levels_is_refused(metadata: dict[str, Any]) -> None:
    ((field, reason),) = _refused(metadata=metadata)
    assert field.startswith("metadata.k.k.k")
    assert reason == "TOO_DEEP"


def test_at_most_20_fields_are_named() -> None:
    assert len(_refused(metadata={f"k{n}": float("nan") for n in range(100)})) == limits.REPORTED


def test_a_path_is_shortened() -> None:
    ((field, _),) = _refused(metadata={"k" * 1000: float("nan")})
    assert len(field) == 160
    assert field.endswith("…")


@pytest.mark.parametrize(
    ("value", "kept"), [(4155551212, "4155551212"), (1.5, "1.5"), (True, "true"), (False, "false"), ("x", "x")]
)
def test_a_reserved_field_is_a_string(value: object, kept: str) -> None:
    planned = _plan(metadata={"phone": value})
    assert planned.write.patch["metadata"] == {"phone": kept}
    assert [warning.field for warning in planned.warnings] == ([] if value == kept else ["metadata.phone"])


def test_warnings_report_what_was_ignored_or_stored_in_another_form() -> None:
    planned = _plan(company_id="", ip_address="unknown", metadata={"email": "nobody"})
    assert [(warning.field, warning.reason) for warning in planned.warnings] == [
        ("company_id", "IGNORED"),
        ("ip_address", "NOT_AN_IP_ADDRESS"),
        ("metadata.email", "NOT_AN_EMAIL_ADDRESS"),
    ]
    assert "company_id" not in planned.write.patch
    assert planned.write.patch["ip_address"] == "unknown"


def test_users_anonymous_visitors_and_applications_never_share_a_profile() -> None:
    ids = {
        plan_update(application, update, _NOW).write.profile_id
        for application in ("app", "app2")
        for update in (
            UserUpdate(user_id="x"),
            UserUpdate(user_id="/u/x"),
            UserUpdate(user_id="a/x"),
            UserUpdate(anonymous_id="x"),
            UserUpdate(anonymous_id="u/x"),
        )
    }
    assert len(ids) == 10


def test_folding_stops_before_a_write_grows_without_bound() -> None:
    writes = [_plan(metadata={f"{n}-{m}": 0 for m in range(400)}).write for n in range(3)]
    folded, count = fold(writes)
    assert count == 2
    assert folded.leaves == 800
