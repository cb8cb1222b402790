"""Random calls about a few users and browsers, and what is stored of them in the terms of the reference."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from hypothesis import strategies as st

from server.merge.field_names import unescape_object
from server.model import PlannedUpdate, UserUpdate
from server.users.ids import alias_digest, profile_id, visitor_id
from server.users.update import plan_update

USERS: Final = ("u1", "u2", "u3")
BROWSERS: Final = ("a1", "a2", "a3")
_TOKENS: Final = ("t1", "t2", "t3")
_BEGIN: Final = 1_767_323_045_000

# Few keys and values, so that profiles often have something in common.
_VALUES: st.SearchStrategy[Any] = st.sampled_from([1, 2, "x", None, [1], {}, {"y": None}])
_METADATA = st.dictionaries(
    st.sampled_from(["p", "q", "a.b"]),
    _VALUES | st.dictionaries(st.sampled_from(["p", "q"]), _VALUES, max_size=2),
    max_size=3,
)
_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "company_id": st.sampled_from(["c1", "c2"]),
        "session_token": st.sampled_from(_TOKENS),
        "campaign": st.dictionaries(st.sampled_from(["utm_source", "gclid"]), st.sampled_from(["s", "t"]), max_size=2),
        "metadata": _METADATA,
        "clear_fields": st.lists(
            st.sampled_from(["company_id", "campaign", "initial_campaign", "latest_campaign"]), max_size=1
        ),
    },
)
_USER = st.sampled_from(USERS).map(lambda name: {"user_id": name})
_FORGETTING_USER = _USER.map(lambda user: user | {"clear_fields": ["anonymous_id"]})
_BROWSER = st.sampled_from(BROWSERS).map(lambda name: {"anonymous_id": name})


def _updates(who: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just("update"), st.builds(lambda one, other: one | other, who, _FIELDS))


CALLS: Final[st.SearchStrategy[tuple[Any, ...]]] = st.one_of(
    _updates(_BROWSER),
    _updates(st.builds(lambda one, other: one | other, _USER, _BROWSER)),
    _updates(_USER),
    st.tuples(st.just("update"), _FORGETTING_USER),
    st.tuples(st.just("merge"), st.sampled_from(USERS), st.sampled_from(USERS)),
    st.tuples(st.just("erase"), st.sampled_from(USERS)),
    st.tuples(st.just("erase_visitor"), st.sampled_from(BROWSERS)),
    st.just(("resend",)),
)
"""An update of a visitor or a user, a merge of the second user into the first, an erasure, or the last call again."""


def without_resends(calls: Iterable[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
    """The calls, with the last one in place of each that is sent again."""
    last: tuple[Any, ...] | None = None
    for call in calls:
        last = last if call[0] == "resend" else call
        if last is not None:
            yield last


def planned(application_id: str, update: Mapping[str, Any], step: int) -> PlannedUpdate:
    """The plan of an update at the time of a step of the sequence."""
    return plan_update(application_id, UserUpdate(**update), (_BEGIN + step) * 1_000_000)


def shown(application_id: str, documents: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the stored documents of an application hold, in the form of the reference."""
    users = {profile_id(application_id, name): name for name in USERS}
    visitors = {visitor_id(application_id, name): name for name in BROWSERS}
    keys = {key: ("u", name) for key, name in users.items()} | {key: ("a", name) for key, name in visitors.items()}
    stored = {document["_id"]: document for document in documents}
    world: dict[str, Any] = {"users": {}, "visitors": {}, "leads": {}}
    for key, document in stored.items():
        if "pointer" not in document:
            kind, name = keys[key]
            world["users" if kind == "u" else "visitors"][name] = _shown(application_id, document)
            continue
        assert set(document) <= {"_id", "pointer", "absorbed", "absorption"}, document
        end, hops = document["pointer"], 0
        while "pointer" in stored[end]:
            end, hops = stored[end]["pointer"], hops + 1
            assert hops < 9, "a cycle"
        world["leads"][keys[key]] = users[end]
    return world


def _campaign(stored: Any) -> tuple[Any, int | None]:
    return (stored[0], _step(stored[1])) if stored else ({}, None)


def _step(time: datetime) -> int:
    return round(time.timestamp() * 1000) - _BEGIN


def _shown(application_id: str, document: Mapping[str, Any]) -> dict[str, Any]:
    tokens = {alias_digest(application_id, token): token for token in _TOKENS}
    return {
        "metadata": unescape_object(document.get("metadata", {})),
        "campaign": document.get("campaign", {}),
        "initial_campaign": _campaign(document.get("initial_campaign")),
        "latest_campaign": _campaign(
            (document["latest_campaign"], document["latest_campaign_time"]) if "latest_campaign" in document else None
        ),
        "created": _step(document["created_time"]),
        "tokens": [tokens[bytes(alias)] for alias in document.get("aliases", ())],
        "company_id": document.get("company_id"),
        "anonymous_id": document.get("anonymous_id"),
        "anonymous_ids": document.get("anonymous_ids", []),
        "merged_user_ids": document.get("merged_user_ids", []),
    }
