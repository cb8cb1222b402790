"""The packages `moesifapi` and `moesif-nodejs` of npm, in a program that makes all their calls."""

import json

from tests.clients import updates
from tests.clients.conftest import NODE, Node
from tests.clients.programs import run
from tests.support.stack import Api, Stack

_CALLS = (
    *("updateUser", "updateUsersBatch", "updateCompany", "updateCompaniesBatch"),
    *("updateSubscription", "updateSubscriptionsBatch"),
    *("sendAction", "sendActionsBatch", "createEvent", "createEventsBatch"),
)


def test_no_call_of_the_packages_ends_the_process_and_users_and_companies_are_stored_as_sent(
    stack: Stack, api: Api, node: Node
) -> None:
    packages = ("moesifapi", "moesif-nodejs")
    output = run(
        [node.node, NODE / "all_calls.cjs"],
        BASE_URL=stack.http,
        KEY=api.application.collector_key,
        USERS=json.dumps({package: updates.users(package) for package in packages}),
        COMPANIES=json.dumps({package: updates.companies(package) for package in packages}),
    )
    # The package prints each action.
    lines = [line for line in output.splitlines() if not line.startswith(("{", "["))]
    assert lines == [*(f"{name} 201" for name in _CALLS), "alive"]
    for package in packages:
        for user in updates.users(package):
            assert updates.returned_user(api, user) == updates.stored_user(user)
        for company in updates.companies(package):
            assert updates.returned_company(api, company) == updates.stored_company(company)
