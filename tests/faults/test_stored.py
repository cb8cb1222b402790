"""What is found of users in documents, some of which became a part of others."""

from typing import Any

import pytest

from server.users.ids import profile_id, visitor_id
from tests.faults.history import Stored, Verdict
from tests.faults.stored import Found, found_in
from tests.faults.test_history import A, kinds, operation

ONE, OTHER = (profile_id("app", name) for name in ("one", "other"))
BROWSER = visitor_id("app", "one")

_ONE_AS_OTHER = {"_id": ONE, "pointer": OTHER}
_OTHER_AS_ONE = {"_id": OTHER, "pointer": ONE}


def document(user_id: str, *senders: str, first: str | None = None, **counters: int) -> dict[str, Any]:
    """The profile of a user with an alias of each of these senders."""
    metadata = {"counters": counters, "first": first or user_id}
    key = {"_id": profile_id("app", user_id), "application_id": "app", "user_id": user_id}
    return {**key, "aliases": [sender.encode() for sender in senders], "metadata": metadata}


def visitor(*senders: str, counter: int) -> dict[str, Any]:
    """The profile of the visitor with the text of a user."""
    key = {"_id": BROWSER, "application_id": "app", "anonymous_id": "one"}
    return {**key, "aliases": [sender.encode() for sender in senders], "metadata": {"counter": counter}}


def found(*documents: dict[str, Any]) -> Found:
    sent = []
    for name in ("one", "other"):
        each = operation(1, A)
        each.profile, each.alias = profile_id("app", name), name.encode()
        sent.append(each)
    return found_in(documents, sent)


@pytest.mark.parametrize(
    ("documents", "users"),
    [
        ([document("one", "one", one=1), document("other", other=2)], {ONE: ([b"one"], 1), OTHER: ([], 2)}),
        # Merged, in either direction. Without the pointer, it is another user's.
        ([_ONE_AS_OTHER, document("other", "one", "other", other=2)], {ONE: ([b"one"], None), OTHER: ([b"other"], 2)}),
        ([_OTHER_AS_ONE, document("one", "other", "one", one=1)], {ONE: ([b"one"], 1), OTHER: ([b"other"], None)}),
        ([document("other", "one", "other", one=1)], {OTHER: ([b"one", b"other"], 1)}),
        # Nobody's alias stays where it is.
        ([document("one", "nobody")], {ONE: ([b"nobody"], None)}),
        # A visitor, who is not yet a part of the user, or not completely.
        ([visitor("one", counter=3), document("one")], {ONE: ([b"one"], 3)}),
        ([{"_id": BROWSER, "pointer": ONE, "absorbed": visitor("one", counter=3)}], {ONE: ([b"one"], 3)}),
        # Absorbed, and also still there.
        ([visitor("one", counter=3), document("one", "one", one=4)], {ONE: ([b"one", b"one"], 4)}),
    ],
)  # fmt: skip
def test_what_a_user_got_of_another_profile_is_found_as_that_ones(
    documents: list[dict[str, Any]], users: dict[str, tuple[list[bytes], int | None]]
) -> None:
    assert found(*documents).users == {user: Stored(*each) for user, each in users.items()}
    assert found(*reversed(documents)).users == found(*documents).users


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([_ONE_AS_OTHER, document("other")], {}),
        ([document("one"), document("other")], {"lost": 1}),
        ([_ONE_AS_OTHER, _OTHER_AS_ONE], {"cycle": 2}),
        ([{"_id": BROWSER, "pointer": ONE}, _ONE_AS_OTHER, document("other")], {}),
        ([{"_id": BROWSER, "pointer": ONE}, _ONE_AS_OTHER, _OTHER_AS_ONE], {"cycle": 3}),
        # The values of the user who is merged have replaced those of the other one.
        ([_ONE_AS_OTHER, document("other", first="one")], {"phantom": 1}),
    ],
)
def test_merged_users_are_one_and_no_pointer_leads_in_a_circle(
    documents: list[dict[str, Any]], expected: dict[str, int]
) -> None:
    verdict = Verdict()
    found(*documents).check([frozenset([ONE, OTHER])], verdict)
    assert kinds(verdict) == expected
    assert verdict.is_clean is not bool(expected)
