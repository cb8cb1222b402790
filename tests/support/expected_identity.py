"""Visitors, users and merges, implemented as simply as possible: what a sequence of calls must leave.

It shares no code with the server. Property tests compare the stored profiles of one application with it.
"""

import copy
from typing import Any

from tests.support.expected_profile import ReferenceProfile


class ReferencePerson(ReferenceProfile):
    """A profile with its place in time, and the ids that it had."""

    def __init__(self, created: int) -> None:
        super().__init__()
        self.created = created
        self.anonymous_ids: list[str] = []
        self.merged_user_ids: list[str] = []

    def absorb(self, other: "ReferencePerson") -> None:
        """Take what this one lacks."""
        for name in ("company_id", "anonymous_id"):
            if name in other.fields:
                self.fields.setdefault(name, other.fields[name])
        self.metadata = _filled(self.metadata, other.metadata)
        self.campaign = _filled(self.campaign, other.campaign)
        if other.initial_campaign and (not self.initial_campaign or _time(other.initial) < _time(self.initial)):
            self.initial_campaign, self.initial_campaign_time = other.initial
        if other.latest_campaign and (not self.latest_campaign or _time(other.latest) > _time(self.latest)):
            self.latest_campaign, self.latest_campaign_time = other.latest
        self.created = min(self.created, other.created)
        self.tokens = _united(other.tokens, self.tokens)
        self.anonymous_ids = _united(other.anonymous_ids, self.anonymous_ids)
        self.merged_user_ids = [*self.merged_user_ids, *other.merged_user_ids]

    @property
    def initial(self) -> Any:
        return self.initial_campaign, self.initial_campaign_time

    @property
    def latest(self) -> Any:
        return self.latest_campaign, self.latest_campaign_time

    def shown(self) -> dict[str, Any]:
        """What is compared."""
        return {
            "metadata": self.metadata,
            "campaign": self.campaign,
            "initial_campaign": self.initial,
            "latest_campaign": self.latest,
            "created": self.created,
            "tokens": self.tokens,
            "company_id": self.fields.get("company_id"),
            "anonymous_id": self.fields.get("anonymous_id"),
            "anonymous_ids": self.anonymous_ids,
            "merged_user_ids": self.merged_user_ids,
        }


class ReferenceWorld:
    """The users and visitors of one application.

    `leads` has the user that an anonymous id, or the id of a merged user, leads to. `pending` are visitors who have
    become users whose profiles they are not a part of yet: only where a server was interrupted.
    """

    def __init__(self) -> None:
        self.users: dict[str, ReferencePerson] = {}
        self.visitors: dict[str, ReferencePerson] = {}
        self.leads: dict[tuple[str, str], str] = {}
        self.pending: dict[str, ReferencePerson] = {}

    def copy(self) -> "ReferenceWorld":
        return copy.deepcopy(self)

    def update(self, update: dict[str, Any], now: int, *, absorbs: bool = True) -> None:
        """Fold an update. Without `absorbs`, the call is interrupted before the visitor becomes the user."""
        user_id, anonymous_id = update.get("user_id"), update.get("anonymous_id")
        if not user_id:
            assert anonymous_id
            if ("a", anonymous_id) not in self.leads:
                self.visitors.setdefault(anonymous_id, ReferencePerson(now)).fold(update | {"modified_time": now})
                return
            self.finish(anonymous_id)
            self._fold(self.leads["a", anonymous_id], update, now)
            return
        user_id = self.end_of(user_id)
        self._fold(user_id, update, now)
        if anonymous_id and absorbs:
            self.identify(anonymous_id, user_id)
            self.finish(anonymous_id)

    def identify(self, anonymous_id: str, user_id: str) -> None:
        """Make a visitor a user, whose profile it is not a part of yet."""
        if ("a", anonymous_id) not in self.leads:
            self.leads["a", anonymous_id] = user_id
            if anonymous_id in self.visitors:
                self.pending[anonymous_id] = self.visitors.pop(anonymous_id)

    def finish(self, anonymous_id: str) -> None:
        """Make a visitor who has become a user a part of the profile."""
        visitor = self.pending.pop(anonymous_id, None)
        if visitor is not None:
            visitor.anonymous_ids = [anonymous_id]
            self.users[self.leads["a", anonymous_id]].absorb(visitor)

    def finish_all(self) -> None:
        for anonymous_id in sorted(self.pending):
            self.finish(anonymous_id)

    def merge(self, user_id: str, source_user_id: str) -> None:
        target, source = self.end_of(user_id), self.end_of(source_user_id)
        if target == source or target not in self.users or source not in self.users:
            return
        person = self.users.pop(source)
        person.merged_user_ids.append(source)
        self.users[target].absorb(person)
        for key, user in self.leads.items():
            if user == source:
                self.leads[key] = target
        self.leads["u", source] = target

    def erase(self, user_id: str) -> None:
        user_id = self.end_of(user_id)
        person = self.users.pop(user_id, None)
        for key in [key for key, user in self.leads.items() if user == user_id]:
            del self.leads[key]
            self.pending.pop(key[1], None)
        for anonymous_id in person.anonymous_ids if person else ():
            self.visitors.pop(anonymous_id, None)

    def erase_visitor(self, anonymous_id: str) -> None:
        """Erase a visitor, unless the visitor has become a user."""
        self.visitors.pop(anonymous_id, None)

    def end_of(self, user_id: str) -> str:
        return self.leads.get(("u", user_id), user_id)

    def shown(self) -> dict[str, Any]:
        """What is compared."""
        return {
            "users": {key: person.shown() for key, person in self.users.items()},
            "visitors": {key: person.shown() for key, person in self.visitors.items()},
            "leads": dict(self.leads),
        }

    def _fold(self, user_id: str, update: dict[str, Any], now: int) -> None:
        person = self.users.setdefault(user_id, ReferencePerson(now))
        person.fold(update | {"modified_time": now})
        anonymous_id = update.get("anonymous_id")
        if anonymous_id and anonymous_id not in person.anonymous_ids:
            person.anonymous_ids = [*person.anonymous_ids, anonymous_id][-100:]


def _filled(own: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    result = dict(own)
    for key, value in other.items():
        if key not in result:
            result[key] = value
        elif isinstance(result[key], dict) and isinstance(value, dict):
            result[key] = _filled(result[key], value)
    return result


def _time(campaign: Any) -> int:
    return int(campaign[1])


def _united(older: list[str], own: list[str]) -> list[str]:
    return [*(value for value in older if value not in own), *own]
