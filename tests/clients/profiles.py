"""The expected profiles of the users in these tests, as the HTTP API returns them."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.support.stack import Api

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
    here = {"ip_address": "127.0.0.1", "observed_ip_address": "127.0.0.1"}
    always = {"user_id": user_id, **here, "metadata": {}, "alias_count": 0}
    campaigns = ("initial_campaign", "latest_campaign") if "campaign" in fields else ()
    whole = dict.fromkeys(campaigns, fields.get("campaign"))
    times = {f"{name}_time": fields["modified_time"] for name in campaigns if "modified_time" in fields}
    return always | facts | whole | times | fields


def returned_profile(api: Api, user_id: str, *, is_timed: bool = False) -> Any:
    """The profile without its etag and its times, which must be those of a user who was created just now.

    `is_timed` says that the updates had a `modified_time`. Then it stays, and so do the times of the campaigns.
    """
    answer = api.get(user_id)
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
