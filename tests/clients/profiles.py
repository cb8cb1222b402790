"""The expected profiles of the users in these tests, as the HTTP API returns them."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from httpx2 import Response

from tests.support.stack import Api, percent_encoded

CAMPAIGN: Final = {
    "utm_source": "google",
    "utm_medium": "cpc",
    "utm_campaign": "adwords",
    "utm_term": "api+tooling",
    "utm_content": "landing",
}
"""The campaign of the examples on the API page."""

_CAMPAIGN_TIMES: Final = frozenset({"initial_campaign_time", "latest_campaign_time"})

_TOLERANCE = timedelta(seconds=2)  # MongoDB stores milliseconds.


def metadata(email: str, first_name: str, last_name: str, lifetime_value: int = 24000) -> dict[str, Any]:
    """The metadata of a user in the examples on the API page."""
    return {
        "email": email,
        "first_name": first_name,
        "last_name": last_name,
        "title": "Software Engineer",
        "sales_info": {
            "stage": "Customer",
            "lifetime_value": lifetime_value,
            "account_owner": "mary@contoso.com",
        },
    }


def derived(email: str) -> dict[str, str]:
    """The fields derived from a work email, such as those of the API page."""
    domain = email.partition("@")[2]
    picture = f"https://www.gravatar.com/avatar/{hashlib.sha256(email.encode()).hexdigest()}"
    return {"avatar_url": picture, "email_domain": domain, "company_domain": domain}


def profile(user_id: str, **fields: Any) -> dict[str, Any]:
    """A profile without its times: of a user with one campaign, updated from this machine."""
    sent = fields.get("metadata", {})
    facts = derived(sent["email"]) if "email" in sent else {}
    ids = {"anonymous_ids": [fields["anonymous_id"]]} if "anonymous_id" in fields else {}
    return {"user_id": user_id, "alias_count": 0} | facts | ids | _profile(fields)


def company(company_id: str, **fields: Any) -> dict[str, Any]:
    """A profile without its times: of a company with one campaign, updated from this machine."""
    return {"company_id": company_id} | _profile(fields)


def _profile(fields: dict[str, Any]) -> dict[str, Any]:
    """What users and companies have alike after an update with these fields."""
    here = {"ip_address": "127.0.0.1", "observed_ip_address": "127.0.0.1"}
    campaigns = ("initial_campaign", "latest_campaign") if "campaign" in fields else ()
    whole = dict.fromkeys(campaigns, fields.get("campaign"))
    times = {f"{name}_time": fields["modified_time"] for name in campaigns if "modified_time" in fields}
    return here | {"metadata": {}} | whole | times | fields


def returned_profile(api: Api, user_id: str, *, is_timed: bool = False) -> Any:
    """The profile without its etag and its times, which must be those of a user who was created just now.

    `is_timed` says that the updates had a `modified_time`. Then it stays, and so do the times of the campaigns.
    """
    return _returned(api.get(user_id), is_timed=is_timed)


def returned_company(api: Api, company_id: str, *, is_timed: bool = False) -> Any:
    """As returned_profile(), of a company."""
    path = f"/v1/companies/{percent_encoded(company_id)}"
    return _returned(api.client.get(path, headers=api.reader), is_timed=is_timed)


def _returned(answer: Response, *, is_timed: bool) -> Any:
    assert answer.status_code == 200, answer.text
    profile_of_api = answer.json()
    assert profile_of_api.pop("etag")
    of_update = () if is_timed else ("modified_time", *_CAMPAIGN_TIMES & profile_of_api.keys())
    for name in ("created_time", "stored_time", *of_update):
        assert is_now(profile_of_api.pop(name))
    return profile_of_api


def is_now(time: str) -> bool:
    """Whether a time is during this test."""
    return abs(datetime.now(UTC) - datetime.fromisoformat(time)) < timedelta(minutes=1) + _TOLERANCE
