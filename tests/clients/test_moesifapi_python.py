"""The package `moesifapi` of PyPI, as the API page uses it."""

import json

from tests.clients import profiles
from tests.clients.programs import example, run_python
from tests.support.stack import Api, Stack

_BASE_URL = """
import os
from moesifapi.configuration import Configuration
Configuration.BASE_URI = os.environ["BASE_URL"]
"""


def _run(source: str, stack: Stack) -> str:
    return run_python(_BASE_URL + source, BASE_URL=stack.http)


def test_the_pages_example_updates_a_user(stack: Stack, api: Api) -> None:
    source = example("update_user.py", **{"Your Moesif Application Id": api.application.collector_key})
    assert _run(source, stack) == ""
    assert profiles.returned_profile(api, "12345") == profiles.profile(
        "12345",
        company_id="67890",
        campaign=profiles.CAMPAIGN,
        metadata=profiles.metadata("john@acmeinc.com", "John", "Doe"),
    )


def test_the_pages_example_updates_users_in_batch(stack: Stack, api: Api) -> None:
    source = example("update_users_batch.py", **{"Your Moesif Application Id": api.application.collector_key})
    assert _run(source, stack) == ""
    assert profiles.returned_profile(api, "12345") == profiles.profile(
        "12345", company_id="67890", metadata=profiles.metadata("john@acmeinc.com", "John", "Doe")
    )
    assert profiles.returned_profile(api, "54321") == profiles.profile(
        "54321", company_id="67890", metadata=profiles.metadata("mary@acmeinc.com", "Mary", "Jane", 48000)
    )


def test_the_packages_models_with_their_nulls_change_only_the_fields_that_were_set(stack: Stack, api: Api) -> None:
    before = api.stored({"company_id": "c", "session_token": "t", "metadata": {"title": "Engineer", "left": 1}})
    source = """
from datetime import datetime
from moesifapi.moesif_api_client import MoesifAPIClient
from moesifapi.models import CampaignModel, UserModel
client = MoesifAPIClient(os.environ["KEY"]).api
user = UserModel(user_id="u", metadata={"title": "CTO", "left": None}, campaign=CampaignModel(utm_source="s"),
                 modified_time=datetime(2026, 1, 2, 3, 4, 5, 678901), session_token="other")
client.update_user(user)
client.update_users_batch([user, UserModel(user_id="v")])
client.update_users_batch([])
"""
    key = api.application.collector_key
    assert run_python(_BASE_URL + source, BASE_URL=stack.http, KEY=key) == ""
    changed = {
        "metadata": {"title": "CTO"},
        "campaign": {"utm_source": "s"},
        "initial_campaign": {"utm_source": "s"},
        "initial_campaign_time": "2026-01-02T03:04:05.678Z",
        "latest_campaign": {"utm_source": "s"},
        "latest_campaign_time": "2026-01-02T03:04:05.678Z",
        "modified_time": "2026-01-02T03:04:05.678901Z",
        "alias_count": 2,
    }
    after = api.get("u").json()
    assert after == before | changed | {"stored_time": after["stored_time"], "etag": after["etag"]}
    assert profiles.returned_profile(api, "v") == profiles.profile("v")


def test_an_error_is_raised_as_the_packages_own_exception(stack: Stack, api: Api) -> None:
    source = """
import json, logging
from moesifapi.moesif_api_client import MoesifAPIClient
from moesifapi.exceptions.api_exception import APIException
logging.disable()
client = MoesifAPIClient(os.environ["KEY"]).api
for call in (lambda: client.update_user({"company_id": "c"}),
             lambda: client.update_users_batch([{"user_id": "saved"}, {"company_id": "c"}]),
             lambda: MoesifAPIClient("unknown").api.update_user({"user_id": "u"})):
    try:
        call()
    except APIException as error:
        print(json.dumps([error.response_code, json.loads(error.context.response.raw_body)]))
"""
    output = run_python(_BASE_URL + source, BASE_URL=stack.http, KEY=api.application.collector_key)
    single, batch, unknown = (json.loads(line) for line in output.splitlines())
    assert (single[0], single[1]["details"][1]["field_violations"][0]["field"]) == (400, "user_id")
    assert (batch[0], batch[1]["saved_count"], [item["index"] for item in batch[1]["refused"]]) == (400, 1, [1])
    assert (unknown[0], unknown[1]["status"]) == (401, "UNAUTHENTICATED")
    assert profiles.returned_profile(api, "saved") == profiles.profile("saved")


def test_the_packages_model_decodes_the_health_probe(stack: Stack) -> None:
    source = """
from moesifapi.moesif_api_client import MoesifAPIClient
health = MoesifAPIClient("any").health.get_health_probe()
print(health.status, health.region)
"""
    assert _run(source, stack) == "True local\n"
