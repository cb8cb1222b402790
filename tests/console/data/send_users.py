"""A product that sends the users in USERS, a JSON list, with the package `moesifapi` of PyPI: the first half one by
one, the rest as a batch. Then it sends what is refused. It prints the status of each call that fails."""

import json
import logging
import os
from typing import Any

# The package has no types.
from moesifapi.configuration import Configuration  # type: ignore[import-untyped]
from moesifapi.exceptions.api_exception import APIException  # type: ignore[import-untyped]
from moesifapi.moesif_api_client import MoesifAPIClient  # type: ignore[import-untyped]


def main() -> None:
    """Send everything."""
    logging.disable()
    Configuration.BASE_URI = os.environ["BASE_URL"]
    api = MoesifAPIClient(os.environ["KEY"]).api
    users: list[dict[str, Any]] = json.loads(os.environ["USERS"])
    half = len(users) // 2
    for user in users[:half]:
        api.update_user(user)
    api.update_users_batch(users[half:])
    refused: tuple[dict[str, Any], ...] = (
        {"company_id": "contoso"},
        {"user_id": "usr_1001", "campaign": "spring"},
        {"user_id": "usr_1002", "metadata": {"email": ["a@contoso.com"]}},
    )
    for user in refused:
        try:
            api.update_user(user)
        except APIException as error:
            print(error.response_code)


main()
