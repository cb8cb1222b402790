"""The packages `moesifapi` and `moesif-nodejs` of npm, in a program that sends more than users."""

from tests.clients import profiles
from tests.clients.conftest import NODE, Node
from tests.clients.programs import run
from tests.support.stack import Api, Stack

_CALLS = (
    *("updateUser", "updateCompany", "updateCompaniesBatch", "updateSubscription", "updateSubscriptionsBatch"),
    *("sendAction", "sendActionsBatch", "createEvent", "createEventsBatch"),
)


def test_no_call_of_the_packages_ends_the_process_and_users_are_stored(stack: Stack, api: Api, node: Node) -> None:
    output = run([node.node, NODE / "other_calls.cjs"], BASE_URL=stack.http, KEY=api.application.collector_key)
    # The package prints each action.
    lines = [line for line in output.splitlines() if not line.startswith(("{", "["))]
    assert lines == [*(f"{name} 201" for name in _CALLS), "alive"]
    for user_id in ("12345", "not awaited", "nor this", "nor that", "last"):
        stored = profiles.profile(user_id, metadata={"email": "john@acmeinc.com"})
        assert profiles.returned_profile(api, user_id) == stored
