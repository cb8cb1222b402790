"""What is stored of each user, whatever holds it: the profile of the user, of a visitor, or of a merged user."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.users.ids import profile_id
from tests.faults.history import Operation, Stored, Verdict


@dataclass(slots=True)
class Found:
    """What the documents hold of each user, by the `_id` of the user's own profile, and where pointers lead."""

    pointers: dict[str, str]
    users: dict[str, Stored] = field(default_factory=dict)
    mixed: list[str] = field(default_factory=list)

    def end_of(self, profile: str) -> str | None:
        """The `_id` of the profile that pointers lead to from this one, or None if they lead in a circle."""
        passed = set()
        while profile in self.pointers and profile not in passed:
            passed.add(profile)
            profile = self.pointers[profile]
        return None if profile in passed else profile

    def check(self, merged: Iterable[Iterable[str]], verdict: Verdict) -> None:
        """Add what is wrong with merges, of which those of these users were acknowledged."""
        verdict.cycle += [pointer for pointer in self.pointers if self.end_of(pointer) is None]
        verdict.lost += [f"the merge of {pair}" for pair in map(sorted, merged) if len({*map(self.end_of, pair)}) > 1]
        verdict.phantom += self.mixed


def found_in(documents: Iterable[Mapping[str, Any]], operations: Iterable[Operation]) -> Found:
    """What documents hold of the users of these operations.

    A visitor is a part of the user whose id is its anonymous id: the clients use one text for both.
    """
    # Visitors are before users, as in a profile that has absorbed one.
    documents = sorted(documents, key=lambda each: str(each["_id"]))
    found = Found({each["_id"]: each["pointer"] for each in documents if "pointer" in each})
    senders = {operation.alias: operation.profile for operation in operations}
    for document in documents:
        held = document.get("absorbed", document)
        if "pointer" not in held:
            _add(held, senders, found)
    return found


def _add(document: Mapping[str, Any], senders: Mapping[bytes, str], found: Found) -> None:
    """Add what a document holds of each user. What is not of one who leads to it counts as its own."""
    application_id, user_id = document["application_id"], document.get("user_id")
    own = profile_id(application_id, user_id or document["anonymous_id"])
    metadata = document.get("metadata", {})

    def user(profile: str) -> str:
        return profile if found.end_of(profile) == found.end_of(own) else own

    parts: dict[str, list[bytes]] = {own: []}
    for alias in document.get("aliases", ()):
        parts.setdefault(user(senders.get(alias, own)), []).append(alias)
    counters = {user(profile_id(application_id, each)): count for each, count in metadata.get("counters", {}).items()}
    if "counter" in metadata:
        counters[own] = metadata["counter"]
    for profile in parts.keys() | counters.keys():
        earlier = found.users.get(profile, Stored((), None))
        known = [count for count in (earlier.counter, counters.get(profile)) if count]
        found.users[profile] = Stored([*earlier.aliases, *parts.get(profile, ())], max(known, default=None))
    if metadata.get("first", user_id) != user_id:
        found.mixed.append(f"{user_id} has the values of {metadata['first']}")
