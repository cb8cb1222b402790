"""What the profiles of the tests' users must be, as the HTTP API answers them."""

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
"""The campaign of all the examples on the API page."""

_TOLERANCE = timedelta(seconds=2)  # MongoDB keeps milliseconds, and nobody sets the clock meanwhile.


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
    """What follows from a work address, such as those of the API page."""
    domain = email.partition("@")[2]
    picture = f"https://www.gravatar.com/avatar/{hashlib.sha256(email.encode()).hexdigest()}"
    return {"avatar_url": picture, "email_domain": domain, "company_domain": domain}


def profile(user_id: str, **fields: Any) -> dict[str, Any]:
    """A whole profile but for its times: of a user whose updates came from this machine, with one campaign."""
    sent = fields.get("metadata", {})
    facts = derived(sent["email"]) if "email" in sent else {}
    here = {"ip_address": "127.0.0.1", "observed_ip_address": "127.0.0.1"}
    always = {"user_id": user_id, **here, "metadata": {}, "alias_count": 0}
    first = {"initial_campaign": fields["campaign"]} if "campaign" in fields else {}
    return always | facts | first | fields


def answered(api: Api, user_id: str) -> Any:
    """A profile as it is answered, but for its times, which must be those of a user who was created just now."""
    answer = api.get(user_id)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    for name in ("created_time", "modified_time", "stored_time"):
        assert is_now(told.pop(name))
    return told


def is_now(time: str) -> bool:
    """Whether a time is of this test."""
    return abs(datetime.now(UTC) - datetime.fromisoformat(time)) < timedelta(minutes=1) + _TOLERANCE
