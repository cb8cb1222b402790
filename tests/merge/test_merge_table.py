"""Every row of the merge table in the README, over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from server.users.ids import alias_digest, profile_id
from tests.support.stack import Api, Profiles

pytestmark = pytest.mark.long

_STORED: list[Any] = [None, "text", 1, True, [1, 2], {"old": 1}, {}]


def _metadata(profiles: Profiles, *metadata: dict[str, Any]) -> Any:
    return profiles.stored(*({"metadata": item} for item in metadata))["metadata"]


def _untimed(profile: dict[str, Any]) -> dict[str, Any]:
    """The profile without the times that every update sets."""
    return {name: value for name, value in profile.items() if name not in ("modified_time", "stored_time", "etag")}


@pytest.mark.parametrize("absent", [{}, {"company_id": None, "campaign": None, "metadata": None, "ip_address": None}])
def test_a_field_that_is_absent_or_null_in_the_envelope_is_unchanged(api: Api, absent: dict[str, Any]) -> None:
    full = {
        "company_id": "c",
        "ip_address": "1.2.3.4",
        "user_agent_string": "UA",
        "campaign": {"utm_source": "google"},
        "metadata": {"a": 1},
        "modified_time": "2026-01-02T03:04:05Z",
    }
    before = api.stored({}, full)
    assert _untimed(api.stored(absent | {"modified_time": None})) == _untimed(before)


def test_null_in_a_campaign_is_unchanged(profiles: Profiles) -> None:
    profile = profiles.stored(
        {"campaign": {"utm_source": "google", "utm_term": "x"}},
        {"campaign": {"utm_source": None, "utm_term": "y", "gclid": None}},
    )
    assert profile["campaign"] == {"utm_source": "google", "utm_term": "y"}


def test_an_object_is_merged_recursively_and_its_siblings_stay(profiles: Profiles) -> None:
    first = {"a": {"b": {"c": 1, "d": 2}, "e": 3}, "f": 4}
    assert _metadata(profiles, first, {"a": {"b": {"d": 5, "g": 6}}}) == {
        "a": {"b": {"c": 1, "d": 5, "g": 6}, "e": 3},
        "f": 4,
    }
    profile = profiles.stored({"campaign": {"utm_source": "google"}}, {"campaign": {"utm_medium": "cpc"}})
    assert profile["campaign"] == {"utm_source": "google", "utm_medium": "cpc"}


@pytest.mark.parametrize("stored", _STORED, ids=str)
@pytest.mark.parametrize("sent", ["new", 2, False, 0.5, ""], ids=str)
def test_a_scalar_replaces_any_value(profiles: Profiles, stored: Any, sent: Any) -> None:
    assert _metadata(profiles, {"k": stored, "s": 0}, {"k": sent}) == {"k": sent, "s": 0}


@pytest.mark.parametrize("stored", _STORED, ids=str)
@pytest.mark.parametrize("sent", [[], [3], [{"new": None}], [[]]], ids=str)
def test_an_array_replaces_any_value_as_a_whole(profiles: Profiles, stored: Any, sent: Any) -> None:
    assert _metadata(profiles, {"k": stored, "s": 0}, {"k": sent}) == {"k": sent, "s": 0}


@pytest.mark.parametrize("stored", ["text", 1, True, [1, 2], [{"old": 1}], None], ids=str)
def test_an_object_replaces_a_scalar_or_array(profiles: Profiles, stored: Any) -> None:
    assert _metadata(profiles, {"k": {"j": stored}, "s": 0}, {"k": {"j": {"new": {"er": 1}}}}) == {
        "k": {"j": {"new": {"er": 1}}},
        "s": 0,
    }


@pytest.mark.parametrize(
    ("stored", "becomes"), [({"old": 1}, {"old": 1}), (None, {}), ("text", {}), (1, {}), ([1], {}), ({}, {})], ids=str
)
@pytest.mark.parametrize("sent", [{}, {"gone": None}, {"gone": None, "too": None}], ids=str)
def test_an_empty_object_ensures_that_an_object_is_stored(
    profiles: Profiles, stored: Any, becomes: Any, sent: Any
) -> None:
    assert _metadata(profiles, {"k": stored, "s": 0}, {"k": sent}) == {"k": becomes, "s": 0}
    assert _metadata(profiles, {"deep": {"k": stored}}, {"deep": {"k": sent, "set": 1}})["deep"] == {
        "k": becomes,
        "set": 1,
    }


def test_null_removes_its_key(profiles: Profiles) -> None:
    assert _metadata(profiles, {"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": None}, "never": None}) == {
        "b": {"d": 3}
    }


def test_null_inside_an_array_stays(profiles: Profiles) -> None:
    assert _metadata(profiles, {"a": [None, {"b": None}, [None]]}) == {"a": [None, {"b": None}, [None]]}


def test_the_first_campaign_stays_complete_as_the_initial_campaign(profiles: Profiles) -> None:
    profile = profiles.stored(
        {"metadata": {"before": "any campaign"}},
        {"campaign": {}},
        {"campaign": {"utm_source": None, "utm_term": ""}},
        {"campaign": {"utm_source": "google", "utm_medium": None, "utm_term": ""}},
        {"campaign": {"utm_source": "bing", "utm_medium": "cpc"}},
    )
    assert profile["initial_campaign"] == {"utm_source": "google", "utm_term": ""}
    assert profile["campaign"] == {"utm_source": "bing", "utm_medium": "cpc", "utm_term": ""}


def test_the_first_campaign_is_the_first_in_a_batch_and_in_the_exact_form_of_a_write(profiles: Profiles) -> None:
    values: tuple[Any, ...] = (1, {}, 3)
    updates = [{profiles.key: "u", "metadata": {"n": value}, "campaign": {"gclid": str(value)}} for value in values]
    assert profiles.batch(updates).status_code == 201
    assert profiles.get("u").json()["initial_campaign"] == {"gclid": "1"}
    # `{}` in the metadata needs the exact form, a pipeline.
    exact = {"metadata": {"empty": {}}, "campaign": {"gclid": "$first"}}
    assert profiles.stored(exact, {**exact, "campaign": {"gclid": "second"}}, key="v")["initial_campaign"] == {
        "gclid": "$first"
    }


_FIRST_TIME, _SECOND_TIME = "2026-01-02T03:04:05.678901234Z", "2020-01-01T00:00:00Z"


@pytest.mark.parametrize("exact", [{}, {"metadata": {"empty": {}}}], ids=["dotted", "exact"])
def test_the_latest_campaign_is_stored_whole_with_the_time_of_its_update(api: Api, exact: dict[str, Any]) -> None:
    def touches(profile: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in profile.items() if "_campaign" in name}

    before_any = api.stored({"modified_time": _FIRST_TIME} | exact)
    assert touches(before_any) == {}
    first = {"campaign": {"utm_source": "$google", "utm_medium": "cpc", "gclid": None}, "modified_time": _FIRST_TIME}
    expected = {
        "initial_campaign": {"utm_source": "$google", "utm_medium": "cpc"},
        "initial_campaign_time": "2026-01-02T03:04:05.678Z",
        "latest_campaign": {"utm_source": "$google", "utm_medium": "cpc"},
        "latest_campaign_time": "2026-01-02T03:04:05.678Z",
    }
    assert touches(api.stored(first | exact)) == expected
    # The one that is stored last is the latest one, however old its time is.
    second = {"campaign": {"utm_source": "bing", "utm_term": ""}, "modified_time": _SECOND_TIME}
    profile = api.stored(second | exact, {"campaign": {"utm_term": ""}} | exact, {"campaign": {}})
    latest = {"latest_campaign": {"utm_source": "bing", "utm_term": ""}, "latest_campaign_time": _SECOND_TIME}
    assert touches(profile) == expected | latest
    assert profile["campaign"] == {"utm_source": "bing", "utm_medium": "cpc", "utm_term": ""}
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    profile = api.stored({"campaign": {"gclid": "g"}} | exact)
    assert profile["latest_campaign"] == {"gclid": "g"}
    assert before <= datetime.fromisoformat(profile["latest_campaign_time"]) <= datetime.now(UTC)


def test_a_campaign_beside_another_latest_one_is_all_campaigns_merged(api: Api) -> None:
    api.stored({"campaign": {"utm_source": "google", "utm_medium": "cpc"}, "modified_time": _FIRST_TIME})
    read = api.stored({"campaign": {"utm_source": "bing"}, "modified_time": _FIRST_TIME})
    # Posted back as another user, it is the same but for what the first campaign was.
    sent = {name: value for name, value in read.items() if name not in ("user_id", "etag")}
    copy = api.stored(sent | {"modified_time": _SECOND_TIME}, user_id="copy")
    for name in ("campaign", "latest_campaign", "latest_campaign_time"):
        assert copy[name] == read[name]
    assert (copy["initial_campaign"], copy["initial_campaign_time"]) == (read["campaign"], _SECOND_TIME)
    # Without a time, it has that of the update. Without a text, it is none.
    latest = {"latest_campaign": {"gclid": "g"}, "modified_time": _SECOND_TIME}
    profile = api.stored(latest, user_id="copy")
    assert (profile["latest_campaign"], profile["latest_campaign_time"]) == ({"gclid": "g"}, _SECOND_TIME)
    assert profile["campaign"] == copy["campaign"]
    profile = api.stored({"latest_campaign": {"gclid": ""}, "latest_campaign_time": _FIRST_TIME}, user_id="copy")
    assert (profile["latest_campaign"], profile["latest_campaign_time"]) == ({"gclid": "g"}, _SECOND_TIME)
    assert api.update({"user_id": "copy", "latest_campaign": {"utm_term": "x" * 8193}}).status_code == 400


def test_the_latest_campaign_is_the_last_in_a_batch(api: Api) -> None:
    campaigns: list[dict[str, Any]] = [{"gclid": "1"}, {"utm_term": "2"}, {}, {"gclid": ""}]
    users = [{"user_id": "u", "campaign": each, "modified_time": _SECOND_TIME} for each in campaigns]
    assert api.batch(users).status_code == 201
    profile = api.get("u").json()
    assert (profile["latest_campaign"], profile["initial_campaign"]) == ({"utm_term": "2"}, {"gclid": "1"})
    assert profile["latest_campaign_time"] == profile["initial_campaign_time"] == _SECOND_TIME


@pytest.mark.parametrize("exact", [{}, {"metadata": {"empty": {}}}], ids=["dotted", "exact"])
def test_the_first_campaign_of_an_older_version_stays_without_a_time(
    api: Api, database: Database[dict[str, Any]], exact: dict[str, Any]
) -> None:
    api.stored({"campaign": {"utm_source": "old"}})
    as_before = {"$set": {"initial_campaign": [{"utm_source": "old"}]}}
    gone = {"$unset": {"latest_campaign": "", "latest_campaign_time": ""}}
    _id = profile_id(api.application.application_id, "u")
    assert database.profiles.update_one({"_id": _id}, as_before | gone).modified_count == 1
    profile = api.get("u").json()
    assert not {"initial_campaign_time", "latest_campaign", "latest_campaign_time"} & profile.keys()
    new = {"utm_source": "new", "utm_term": "t"}
    for _ in range(2):
        profile = api.stored({"campaign": new, "modified_time": _SECOND_TIME} | exact)
        assert profile["initial_campaign"] == {"utm_source": "old"}
        assert "initial_campaign_time" not in profile
        assert (profile["latest_campaign"], profile["latest_campaign_time"]) == (new, _SECOND_TIME)

    def found(text: str) -> list[Any]:
        answer = api.client.get("/v1/users", params={"filter": text}, headers=api.reader)
        return [user["user_id"] for user in answer.json()["users"]]

    # What is behind the first campaign is not the first campaign.
    assert (found("initial_campaign.utm_source = old"), found("initial_campaign.utm_source = new")) == (["u"], [])
    assert (found("initial_campaign.utm_term = null"), found("initial_campaign.utm_term:*")) == (["u"], [])
    assert (found("initial_campaign_time = null"), found("initial_campaign_time:*")) == (["u"], [])
    assert (found("latest_campaign.utm_term = t latest_campaign_time:*")) == ["u"]
    report = api.client.get("/v1/campaigns:report?group_by=initial_campaign.utm_term", headers=api.reader).json()
    assert [group["campaign"] for group in report["groups"]] == [{}]
    fields = {"fields": "initial_campaign.utm_term,initial_campaign_time"}
    (user,) = api.client.get("/v1/users", params=fields, headers=api.reader).json()["users"]
    assert user == {"user_id": "u"}


@pytest.mark.parametrize("empty", [{}, []], ids=str)
def test_an_empty_campaign_or_metadata_changes_nothing(profiles: Profiles, empty: Any) -> None:
    before = profiles.stored({"campaign": {"utm_source": "google"}, "metadata": {"a": 1}})
    after = profiles.stored({"campaign": empty, "metadata": empty})
    assert _untimed(after) == _untimed(before)


def test_a_session_token_is_added_to_the_aliases_and_replaces_none(api: Api) -> None:
    tokens = ["one", "two", "one", "", 3]
    assert [api.stored({"session_token": token})["alias_count"] for token in tokens] == [1, 2, 2, 2, 3]


def test_a_user_keeps_its_last_thousand_aliases(api: Api) -> None:
    for start in range(0, 1100, 550):
        answer = api.batch([{"user_id": "u", "session_token": f"t{number}"} for number in range(start, start + 550)])
        assert answer.status_code == 201, answer.text
    assert api.get("u").json()["alias_count"] == 1000


def test_a_token_that_is_sent_again_is_the_latest(api: Api) -> None:
    def tokens() -> list[str]:
        answer = api.client.get("/v1/users/u:export", headers=api.reader)
        digests = answer.json()["alias_digests"]
        return [known[digest] for digest in digests]

    application_id = api.application.application_id
    known = {alias_digest(application_id, token).hex(): token for token in "abcde"}
    for token, expected in (("a", "a"), ("b", "ab"), ("c", "abc"), ("a", "bca"), ("a", "bca"), ("b", "cab")):
        before = api.stored({"session_token": token, "modified_time": _FIRST_TIME})
        assert tokens() == [*expected]
        # Sent again, it changes nothing.
        again = api.stored({"session_token": token, "modified_time": _FIRST_TIME})
        assert (again["etag"], tokens()) == (before["etag"], [*expected])
    # In one batch, and with an update in the exact form.
    batch = [{"user_id": "u", "session_token": token} for token in "dcdae"]
    assert api.batch(batch).status_code == 201
    assert tokens() == [*"bcdae"]
    api.stored({"session_token": "c", "metadata": {"empty": {}}})
    assert tokens() == [*"bdaec"]
    # An update without a token leaves them, and so does a token that is removed.
    api.stored({"metadata": {"x": 1}})
    api.client.post("/v1/users/u:removeAlias", json={"session_token": "c"}, headers=api.reader)
    assert tokens() == [*"bdae"]
    api.stored({"session_token": "d"})
    assert tokens() == [*"baed"]


def test_a_token_in_use_stays_among_the_last_thousand(api: Api) -> None:
    sent = [f"t{number}" for number in range(1000)] + ["t0", "new"]
    for start in (0, 500, 1000):
        batch = [{"user_id": "u", "session_token": token} for token in sent[start : start + 500]]
        assert api.batch(batch).status_code == 201
    assert api.get("u").json()["alias_count"] == 1000

    def found(token: str) -> int:
        answer = api.client.post("/v1/users:lookup", json={"session_token": token}, headers=api.reader)
        return len(answer.json()["users"])

    assert [found(token) for token in ("t0", "t1", "t2", "new")] == [1, 0, 1, 1]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-01-02T03:04:05.914", "2026-01-02T03:04:05.914Z"),
        ("2026-01-02T03:04:05+05:30", "2026-01-01T21:34:05Z"),
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456789Z"),
        ("2026-01-02 03:04:05 UTC", "2026-01-02T03:04:05Z"),
        ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_a_modified_time_is_stored_even_if_it_is_older(profiles: Profiles, sent: str, stored: str) -> None:
    profile = profiles.stored({"modified_time": "2027-01-01T00:00:00Z"}, {"modified_time": sent, "ip_address": "::1"})
    assert profile["modified_time"] == stored
    assert profile["ip_address"] == "::1"


def test_without_a_modified_time_the_servers_time_is_stored(profiles: Profiles) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    profile = profiles.stored({"modified_time": "2000-01-01T00:00:00Z"}, {})
    assert before <= datetime.fromisoformat(profile["modified_time"]) <= datetime.now(UTC) + timedelta(seconds=1)


def test_the_observed_address_is_a_separate_field(profiles: Profiles) -> None:
    def addresses(*updates: dict[str, Any]) -> tuple[Any, Any]:
        profile = profiles.stored(*updates)
        return profile.get("ip_address"), profile.get("observed_ip_address")

    assert addresses({"ip_address": "2001:db8::1"}) == ("2001:db8::1", None)
    assert addresses({}) == ("2001:db8::1", "127.0.0.1")
    assert addresses({"ip_address": "1.2.3.4"}, {"ip_address": None}) == ("1.2.3.4", "127.0.0.1")
    assert profiles.stored({}, key="v").keys() & {"ip_address", "observed_ip_address"} == {
        "ip_address",
        "observed_ip_address",
    }
    assert addresses({"clear_fields": ["ip_address"]}) == ("127.0.0.1", "127.0.0.1")


@pytest.mark.parametrize("exact", [{}, {"metadata": {"empty": {}}}], ids=["dotted", "exact"])
def test_every_update_sets_the_time_of_the_server_that_stored_it(profiles: Profiles, exact: dict[str, Any]) -> None:
    times = []
    for modified in ("1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "1970-01-01T00:00:00Z"):
        before = datetime.now(UTC)
        profile = profiles.stored({"modified_time": modified} | exact)
        times.append(datetime.fromisoformat(profile["stored_time"]))
        # Times are stored to the millisecond.
        assert before - timedelta(milliseconds=1) <= times[-1] <= datetime.now(UTC)
    assert times == sorted(times)
    assert profile["created_time"] <= profile["stored_time"]


_ENVELOPE: dict[str, Any] = {
    "company_id": "c",
    "ip_address": "1.2.3.4",
    "user_agent_string": "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
    "anonymous_id": "a",
    "campaign": {"utm_source": "google", "utm_medium": "cpc"},
}
_DERIVED = {
    "user_agent_string": {"user_agent"},
    "initial_campaign": {"initial_campaign_time"},
    "latest_campaign": {"latest_campaign_time"},
}
_EXACT: list[dict[str, Any]] = [{}, {"metadata": {"empty": {}}}]


@pytest.mark.parametrize("exact", _EXACT, ids=["dotted", "exact"])
@pytest.mark.parametrize("name", [*_ENVELOPE, "observed_ip_address", "initial_campaign", "latest_campaign"])
def test_a_cleared_field_is_removed_with_the_fields_derived_from_it(api: Api, name: str, exact: dict[str, Any]) -> None:
    before = api.stored({}, _ENVELOPE | exact)
    if name == "ip_address":
        # The observed address is returned instead.
        assert before["ip_address"] != before["observed_ip_address"]
        before["ip_address"] = before["observed_ip_address"]
    # To clear a field that is not stored is no error.
    after = api.stored({"clear_fields": [name]} | exact, {"clear_fields": [name]} | exact)
    times = {"modified_time", "stored_time", "etag"}
    gone = {name} - {"ip_address"} | _DERIVED.get(name, set())
    assert before.keys() - after.keys() == gone
    assert {key: before[key] for key in before.keys() - gone - times} == {
        key: after[key] for key in after if key not in times
    }


@pytest.mark.parametrize("exact", _EXACT, ids=["dotted", "exact"])
def test_a_field_that_is_cleared_and_sent_is_replaced_as_a_whole(api: Api, exact: dict[str, Any]) -> None:
    new = {"company_id": "d", "ip_address": "::1", "user_agent_string": "UA", "anonymous_id": "b"}
    new_campaign: dict[str, Any] = {"campaign": {"gclid": "$g"}}
    both = {"clear_fields": [*_ENVELOPE, "initial_campaign"]}
    after = api.stored(_ENVELOPE, new | new_campaign | both | exact)
    assert {name: after[name] for name in (*new, "campaign")} == new | new_campaign
    assert after["initial_campaign"] == {"gclid": "$g"}
    assert "user_agent" not in after
    # The latest campaign is always replaced as a whole, and there is one if the update has one.
    after = api.stored({"clear_fields": ["latest_campaign"]} | exact)
    assert not {"latest_campaign", "latest_campaign_time"} & after.keys()
    after = api.stored(new_campaign | {"clear_fields": ["latest_campaign"], "modified_time": _SECOND_TIME} | exact)
    assert (after["latest_campaign"], after["latest_campaign_time"]) == ({"gclid": "$g"}, _SECOND_TIME)
    # Only `campaign`: `initial_campaign` stays.
    after = api.stored({"campaign": {"utm_term": "t"}, "clear_fields": ["campaign"]} | exact)
    assert (after["campaign"], after["initial_campaign"]) == ({"utm_term": "t"}, {"gclid": "$g"})
    # After that, the next campaign is the initial one.
    after = api.stored(
        {"clear_fields": ["initial_campaign"]} | exact, {"campaign": {"utm_term": "u"}} | exact, new_campaign
    )
    assert (after["campaign"], after["initial_campaign"]) == ({"utm_term": "u", "gclid": "$g"}, {"utm_term": "u"})


def test_clearing_a_field_of_an_unknown_user_creates_an_empty_profile(api: Api) -> None:
    profile = api.stored({"clear_fields": ["campaign", "observed_ip_address"]})
    always = {"user_id", "created_time", "modified_time", "stored_time", "etag", "metadata", "alias_count"}
    assert profile.keys() == always


def test_every_field_of_a_visitor_but_its_key_can_be_cleared(api: Api, database: Database[dict[str, Any]]) -> None:
    visitor = {"anonymous_id": "v", "company_id": "c"}
    assert api.update(visitor).status_code == 201
    answer = api.update({"anonymous_id": "v", "clear_fields": ["company_id", "anonymous_id"]})
    assert answer.status_code == 400
    (violation,) = answer.json()["details"][1]["field_violations"]
    assert (violation["field"], violation["reason"]) == ("clear_fields[1]", "NOT_CLEARABLE")
    of_application = {"application_id": api.application.application_id}
    assert database.profiles.find_one(of_application)["company_id"] == "c"  # type: ignore[index]  # It is there.
    assert api.update({"anonymous_id": "v", "clear_fields": ["company_id"]}).status_code == 201
    (stored,) = database.profiles.find(of_application)
    assert stored["anonymous_id"] == "v"
    assert "company_id" not in stored


@pytest.mark.parametrize(
    ("names", "violations"),
    [
        (["campaign", "metadata"], [("clear_fields[1]", "NOT_CLEARABLE")]),
        (["user_id", "$set", "campaign.gclid"], [(f"clear_fields[{index}]", "NOT_CLEARABLE") for index in range(3)]),
        (["campaign"] * 21, [("clear_fields", "TOO_MANY")]),
        ("campaign", [("clear_fields", "WRONG_TYPE")]),
    ],
)
def test_no_other_field_can_be_cleared(api: Api, names: object, violations: list[tuple[str, str]]) -> None:
    answer = api.update({"user_id": "u", "company_id": "c", "clear_fields": names})
    assert answer.status_code == 400
    refused = answer.json()["details"][1]["field_violations"]
    assert [(violation["field"], violation["reason"]) for violation in refused] == violations
    assert api.get("u").status_code == 404


def test_updates_in_one_batch_that_clear_and_set_are_applied_in_order(api: Api) -> None:
    users: list[dict[str, Any]] = [
        {"user_id": "u", "campaign": {"utm_source": "first"}, "company_id": "c"},
        {"user_id": "u", "clear_fields": ["campaign", "initial_campaign", "company_id"]},
        {"user_id": "u", "campaign": {"utm_source": "second"}},
        {"user_id": "u", "campaign": {"utm_medium": "third"}},
        {"user_id": "v", "campaign": {"utm_source": "first"}},
        {"user_id": "v", "campaign": {"utm_medium": "second"}, "clear_fields": ["campaign"]},
        {"user_id": "v", "company_id": "c"},
        {"user_id": "v", "clear_fields": ["company_id"]},
    ]
    assert api.batch(users).status_code == 201
    u, v = api.get("u").json(), api.get("v").json()
    assert (u["campaign"], u["initial_campaign"]) == (
        {"utm_source": "second", "utm_medium": "third"},
        {"utm_source": "second"},
    )
    assert (v["campaign"], v["initial_campaign"]) == ({"utm_medium": "second"}, {"utm_source": "first"})
    assert "company_id" not in u.keys() | v.keys()


def test_a_user_agent_is_stored_as_sent_and_parsed(profiles: Profiles) -> None:
    user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"
    profile = profiles.stored({"user_agent_string": user_agent})
    assert profile["user_agent_string"] == user_agent
    assert profile["user_agent"] == {
        "browser": {"name": "Firefox", "version": "121.0"},
        "os": {"name": "Linux"},
    }
    profile = profiles.stored({"user_agent_string": "UA"})
    assert profile["user_agent_string"] == "UA"
    assert "user_agent" not in profile


def test_the_first_update_creates_the_profile_and_its_created_time_stays(api: Api) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    created = api.stored({})["created_time"]
    assert before <= datetime.fromisoformat(created) <= datetime.now(UTC) + timedelta(seconds=1)
    assert api.stored({"company_id": "c"}, {"metadata": {"a": {}}})["created_time"] == created


def test_updates_of_different_fields_commute(api: Api) -> None:
    updates: list[dict[str, Any]] = [
        {"company_id": "c"},
        {"metadata": {"a": {"b": 1}}},
        {"metadata": {"a": {"c": {}}}},
        {"campaign": {"gclid": "g"}, "modified_time": _FIRST_TIME},
        {"session_token": "t"},
    ]
    one = api.stored(*updates, user_id="one")
    other = api.stored(*reversed(updates), user_id="other")
    own = ("user_id", "created_time", "modified_time", "stored_time", "etag")
    assert {k: v for k, v in one.items() if k not in own} == {k: v for k, v in other.items() if k not in own}


def test_updates_of_one_user_in_a_batch_are_applied_in_order(api: Api) -> None:
    users: list[dict[str, Any]] = [
        {"user_id": "u", "metadata": {"a": {"b": 1}, "x": 1}},
        {"user_id": "v", "metadata": {"a": 1}},
        {"user_id": "u", "metadata": {"a": "text"}},
        {"user_id": "u", "metadata": {"a": {"c": 2}, "x": None}},
    ]
    assert api.batch(users).status_code == 201
    assert api.get("u").json()["metadata"] == {"a": {"c": 2}}
    assert api.get("v").json()["metadata"] == {"a": 1}


def test_a_repeated_update_changes_only_its_time(api: Api) -> None:
    update = {"session_token": "t", "metadata": {"a": {"b": [1]}, "gone": None, "empty": {}}, "campaign": {}}
    first, second = api.stored(update), api.stored(update)
    assert _untimed(second) == _untimed(first)
    timed = {**update, "modified_time": "2026-01-02T03:04:05Z"}
    first, second = api.stored(timed), api.stored(timed)
    assert second | {"stored_time": first["stored_time"]} == first


@pytest.mark.parametrize(
    "key",
    [
        "a.b",
        "$set",
        "",
        "0",
        "42",
        "__proto__",
        "_id",
        "%2E",
        "%",
        "a\0b",
        "k" * 1000,
        "日本",
        ".",
        "$",
        "$$ROOT",
        "a..b",
    ],
    ids=lambda text: ascii(text)[:16],
)
def test_keys_are_exact(profiles: Profiles, key: str) -> None:
    assert _metadata(profiles, {key: {key: [{key: 1}]}}, {key: {"more": 2}}) == {key: {key: [{key: 1}], "more": 2}}
    assert _metadata(profiles, {key: "text"}, {key: {key: {}}}) == {key: {key: {}}}
    assert _metadata(profiles, {key: None}) == {}


def test_no_metadata_key_reaches_a_field_of_the_profile(api: Api) -> None:
    ours = ["_id", "user_id", "application_id", "aliases", "created_time", "metadata", "avatar_url", "modified_nanos"]
    before = api.stored({"session_token": "t"})
    after = api.stored({"metadata": dict.fromkeys(ours, "x")})
    assert after["metadata"] == dict.fromkeys(ours, "x")
    assert _untimed(after) | {"metadata": {}} == _untimed(before)


@pytest.mark.parametrize("text", ["24000", "0.1", "-1", "9007199254740991", "-9007199254740991", "1e-7", "123456.789"])
def test_numbers_are_exact(api: Api, text: str) -> None:
    assert api.raw(b'{"user_id": "u", "metadata": {"n": %s}}' % text.encode()).status_code == 201
    assert f'"n":{text}' in api.get("u").text.replace(" ", "")


@pytest.mark.parametrize(
    "text", ["9007199254740993", "12345678901234567000", "-9223372036854775809", "1" + "0" * 30 + "1"]
)
def test_an_integer_that_a_double_cannot_hold_is_stored_as_a_string_with_a_warning(api: Api, text: str) -> None:
    answer = api.raw(b'{"user_id": "u", "metadata": {"n": {"big": [%s]}}}' % text.encode())
    assert answer.status_code == 201
    (warning,) = answer.json()["warnings"]
    assert warning["field"] == "metadata.n.big[0]"
    assert text not in answer.text
    assert api.get("u").json()["metadata"] == {"n": {"big": [text]}}


@pytest.mark.parametrize(
    "user_id",
    [
        "auth0|12",
        "a/b",
        "a:b",
        "%2F",
        "j@acme.com",
        "用户",
        "é" * 256,
        " ",
        ".",
        "..",
        "batch",
        "a\0b",
        "a//b",
        "?",
        "#",
    ],
    ids=lambda text: ascii(text)[:16],
)
def test_different_user_ids_are_different_users(api: Api, user_id: str) -> None:
    profile = api.stored({"company_id": user_id, "anonymous_id": user_id}, user_id=user_id)
    assert (profile["user_id"], profile["company_id"], profile["anonymous_id"]) == (user_id, user_id, user_id)


def test_the_fields_derived_from_an_email_change_and_are_removed_with_it(api: Api) -> None:
    derived = ("avatar_url", "email_domain", "company_domain")
    first = api.stored({"metadata": {"email": "john@mail.acmeinc.com", "avatar_url": "mine"}})
    assert first["avatar_url"].startswith("https://www.gravatar.com/avatar/")
    assert (first["email_domain"], first["company_domain"]) == ("mail.acmeinc.com", "acmeinc.com")
    assert first["metadata"] == {"email": "john@mail.acmeinc.com", "avatar_url": "mine"}
    assert api.stored({"metadata": {"x": 1}})["company_domain"] == "acmeinc.com"
    private = api.stored({"metadata": {"email": "john@gmail.com"}})
    assert private["avatar_url"] != first["avatar_url"]
    assert private["email_domain"] == "gmail.com"
    assert "company_domain" not in private
    for gone in (None, "nobody", ""):
        api.stored({"metadata": {"email": "john@acmeinc.com"}})
        assert not set(derived) & set(api.stored({"metadata": {"email": gone}}))


def test_an_email_that_is_no_address_is_stored_with_a_warning(api: Api) -> None:
    answer = api.update({"user_id": "u", "metadata": {"email": "j@x"}})
    assert [warning["field"] for warning in answer.json()["warnings"]] == ["metadata.email"]
    assert api.get("u").json()["metadata"] == {"email": "j@x"}


def test_reserved_fields_are_strings(profiles: Profiles) -> None:
    answer = profiles.update({profiles.key: "p", "metadata": {"phone": 4155551212, "name": True, "first_name": 1.5}})
    assert answer.status_code == 201
    assert [warning["field"] for warning in answer.json()["warnings"]] == [
        "metadata.name",
        "metadata.first_name",
        "metadata.phone",
    ]
    assert profiles.get("p").json()["metadata"] == {"phone": "4155551212", "name": "true", "first_name": "1.5"}
    assert _metadata(profiles, {"phone": None, "name": None}) == {"first_name": "1.5"}


@pytest.mark.parametrize("name", ["email", "name", "first_name", "last_name", "phone", "photo_url"])
@pytest.mark.parametrize("value", [{}, {"a": 1}, [], ["x"]], ids=str)
def test_an_object_or_array_in_a_reserved_field_is_refused_by_its_path(api: Api, name: str, value: Any) -> None:
    answer = api.update({"user_id": "u", "company_id": "c", "metadata": {name: value}})
    assert answer.status_code == 400
    assert [violation["field"] for violation in answer.json()["details"][1]["field_violations"]] == [f"metadata.{name}"]
    assert api.get("u").status_code == 404


def test_reserved_names_at_the_top_level_are_folded_into_metadata(api: Api) -> None:
    profile = api.stored({"email": "john@acmeinc.com", "first_name": "John", "phone": 1, "metadata": {"a": 1}})
    assert profile["metadata"] == {"email": "john@acmeinc.com", "first_name": "John", "phone": "1", "a": 1}
    assert profile["company_domain"] == "acmeinc.com"
    assert api.stored({"email": None, "name": "J", "metadata": {"name": "K"}})["metadata"]["name"] == "K"
