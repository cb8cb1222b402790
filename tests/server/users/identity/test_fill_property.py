"""Random sequences of calls through the planner and the rules of absorption, without a database."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from server.merge.patch import apply_patch
from server.model import ProfileWrite
from server.users.identity.fill import anonymous_ids_of, fill
from server.users.ids import profile_id, visitor_id
from tests.support.expected_identity import ReferenceWorld
from tests.support.identity_calls import CALLS, planned, shown, without_resends

_APP = "app"


class Planned:
    """The documents of an application, written as the plans say."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self._absorptions = 0

    def update(self, update: dict[str, Any], step: int) -> None:
        write = planned(_APP, update, step).write
        anonymous_id = update.get("anonymous_id")
        user = self._end(write.profile_id)
        self._fold(user, write, anonymous_id)
        if anonymous_id and update.get("user_id"):
            visitor = visitor_id(_APP, anonymous_id)
            stored = self.documents.get(visitor, {})
            if "pointer" not in stored:
                if stored:
                    self._absorb(user, stored)
                self.documents[visitor] = {"_id": visitor, "pointer": user}

    def merge(self, user_id: str, source_user_id: str) -> None:
        target, source = (self._end(profile_id(_APP, each)) for each in (user_id, source_user_id))
        if target != source and {target, source} <= self.documents.keys():
            self._absorb(target, self.documents[source])
            self.documents[source] = {"_id": source, "pointer": target}

    def erase(self, user_id: str) -> None:
        user = self._end(profile_id(_APP, user_id))
        erased = self.documents.get(user, {})
        named = {visitor_id(_APP, each) for each in anonymous_ids_of(erased)}
        ends = {key: self._end(key) for key in self.documents}
        self.documents = {
            key: document
            for key, document in self.documents.items()
            if ends[key] != user and not (key in named and "pointer" not in document)
        }

    def erase_visitor(self, anonymous_id: str) -> None:
        visitor = visitor_id(_APP, anonymous_id)
        if "pointer" not in self.documents.get(visitor, {}):
            self.documents.pop(visitor, None)

    def _end(self, key: str) -> str:
        while "pointer" in (document := self.documents.get(key, {})):
            key = document["pointer"]
        return key

    def _fold(self, key: str, write: ProfileWrite, anonymous_id: str | None) -> None:
        stored = self.documents.get(key, {"_id": key, **write.on_insert})
        document = apply_patch(stored, write.patch)
        if write.first_campaign:
            document.setdefault("initial_campaign", list(write.first_campaign))
        if write.aliases:
            stored_aliases: Any = document.get("aliases", ())
            document["aliases"] = [*(each for each in stored_aliases if each not in write.aliases), *write.aliases]
        if "user_id" in document and anonymous_id:
            document["anonymous_id"] = anonymous_id
            document["anonymous_ids"] = _united(document, "anonymous_ids", [anonymous_id])
        self.documents[key] = document

    def _absorb(self, user: str, other: dict[str, Any]) -> None:
        self._absorptions += 1
        self.documents[user] |= fill(self.documents[user], other, self._absorptions)


def _united(document: dict[str, Any], name: str, values: Iterable[object]) -> list[object]:
    return list(dict.fromkeys(chain(document.get(name, ()), values)))


@settings(max_examples=300)
@given(st.lists(CALLS, min_size=1, max_size=14))
def test_random_calls_leave_what_the_reference_expects(calls: list[tuple[Any, ...]]) -> None:
    world, stored = ReferenceWorld(), Planned()
    for step, call in enumerate(without_resends(calls)):
        name, arguments = call[0], call[1:]
        if name == "update":
            world.update(arguments[0], step)
            stored.update(arguments[0], step)
        else:
            getattr(world, name)(*arguments)
            getattr(stored, name)(*arguments)
        assert shown(_APP, stored.documents.values()) == world.shown(), name
