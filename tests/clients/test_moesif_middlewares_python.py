"""The packages `moesifwsgi` and `moesifasgi` of PyPI: middlewares that update users."""

import json

import pytest

from tests.clients import profiles
from tests.clients.programs import run_python
from tests.support.stack import Api, Stack

_PROGRAM = """
import json, logging, os, time
from {package}.middleware import MoesifMiddleware

logging.basicConfig(level=logging.WARNING)

settings = dict(APPLICATION_ID=os.environ["KEY"], {setting}=os.environ["BASE_URL"])
middleware = MoesifMiddleware(None, settings)

# A thread of the middleware's own fetches the configuration, then the rules. The configuration is set last.
deadline = time.monotonic() + 20
while middleware.config.config is None and time.monotonic() < deadline:
    time.sleep(0.01)

user = {{
    "user_id": "12345",
    "company_id": "67890",
    "campaign": {{
        "utm_source": "google",
        "utm_medium": "cpc",
        "utm_campaign": "adwords",
        "utm_term": "api+tooling",
        "utm_content": "landing",
    }},
    "metadata": {{
        "email": "john@acmeinc.com",
        "first_name": "John",
        "last_name": "Doe",
        "title": "Software Engineer",
        "sales_info": {{"stage": "Customer", "lifetime_value": 24000, "account_owner": "mary@contoso.com"}},
    }},
}}
middleware.update_user(user)
middleware.update_user(json.dumps({{"user_id": "json", "modified_time": "2026-01-02T03:04:05"}}))
middleware.update_users_batch([user, {{"user_id": "54321", "session_token": "XXXXXXXXXX"}}])
print(json.dumps([middleware.config.config_parsed_body, middleware.config.govern_manager.load_rules(False)]))
"""

_CONFIG = {
    "sample_rate": 0,
    "user_sample_rate": {},
    "company_sample_rate": {},
    "user_rules": {},
    "company_rules": {},
    "regex_config": [],
}


@pytest.mark.parametrize(
    ("package", "setting"),
    [("moesifwsgi", "BASE_URI"), ("moesifwsgi", "LOCAL_MOESIF_BASEURL"), ("moesifasgi", "BASE_URI")],
)
def test_a_middleware_starts_and_updates_users(stack: Stack, api: Api, package: str, setting: str) -> None:
    source = _PROGRAM.format(package=package, setting=setting)
    output = run_python(source, BASE_URL=stack.http, KEY=api.application.collector_key)
    assert json.loads(output) == [_CONFIG, []]
    assert profiles.returned_profile(api, "12345") == profiles.profile(
        "12345",
        company_id="67890",
        campaign=profiles.CAMPAIGN,
        metadata=profiles.metadata("john@acmeinc.com", "John", "Doe"),
    )
    assert profiles.returned_profile(api, "54321") == profiles.profile("54321", alias_count=1)
    assert api.get("json").json()["modified_time"] == "2026-01-02T03:04:05Z"
