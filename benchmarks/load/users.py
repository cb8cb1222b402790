"""The updates that every contender receives: the same users in the same order, with the API's example body."""

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any, Final

_PLACEHOLDER: Final = "USER-ID"
_EXAMPLE: Final[dict[str, Any]] = {
    "user_id": _PLACEHOLDER,
    "company_id": "67890",
    "session_token": f"token-of-{_PLACEHOLDER}",
    "campaign": {
        "utm_source": "google",
        "utm_medium": "cpc",
        "utm_campaign": "adwords",
        "utm_term": "api+tooling",
        "utm_content": "landing",
    },
    "metadata": {
        "email": f"{_PLACEHOLDER}@acmeinc.com",
        "first_name": "John",
        "last_name": "Doe",
        "title": "Software Engineer",
        "sales_info": {"stage": "Customer", "lifetime_value": 24000, "account_owner": "mary@contoso.com"},
    },
}
_BODY: Final = json.dumps(_EXAMPLE, separators=(",", ":"))
_COMPANY: Final = {"company_id": _PLACEHOLDER, **{name: _EXAMPLE[name] for name in ("campaign", "metadata")}}
_COMPANY_BODY: Final = json.dumps(_COMPANY, separators=(",", ":"))

BATCH: Final = 100
_UPDATES_PER_NEW_USER: Final = 10
"""One update in ten creates its user."""
_BASE_USERS: Final = 1000
_SETTLED_CHUNKS: Final = 20
"""A new user is not updated again for this many chunks, so that no concurrent update can create it a second time."""


def body_of(user_id: str) -> str:
    """The update of a user, as JSON. It is always the same, so the stored profile is known."""
    return _BODY.replace(_PLACEHOLDER, user_id)


def company_body_of(company_id: str) -> str:
    """The update of a company, as JSON: that of a user with the same id, without the session token."""
    return _COMPANY_BODY.replace(_PLACEHOLDER, company_id)


def token_of(user_id: str) -> str:
    """The session token in the update of a user."""
    return f"token-of-{user_id}"


def update_of(user_id: str) -> dict[str, Any]:
    """The update of a user."""
    update: dict[str, Any] = json.loads(body_of(user_id))
    return update


def expected_of(user_id: str) -> dict[str, Any]:
    """The fields that every contender must return for a user."""
    update = update_of(user_id)
    return {name: update[name] for name in ("company_id", "campaign", "metadata")}


class Load:
    """The user ids of one run: `base` is stored before the run, `ids` holds one id for each update, in order.

    One update in ten creates its user; the remaining updates are of users drawn from all that exist. The mix does not
    depend on how many updates a contender reaches. Within each 100 updates every user occurs once. With `all_new`,
    every update creates its user.
    """

    def __init__(self, name: str, updates: int, *, all_new: bool = False) -> None:
        draw = random.Random(name)  # noqa: S311 - Not a secret: every contender gets the same sequence.
        self.name = name
        self.base = [f"{name}-b{number}" for number in range(_BASE_USERS)]
        self.ids: list[str] = []
        pool = list(self.base)
        unsettled: list[list[str]] = []
        for chunk in range(-(-updates // BATCH)):
            count = BATCH if all_new else BATCH // _UPDATES_PER_NEW_USER
            new = [f"{name}-{chunk * BATCH + number}" for number in range(count)]
            users = new + draw.sample(pool, BATCH - count)
            draw.shuffle(users)
            self.ids += users
            unsettled.append(new)
            if len(unsettled) > _SETTLED_CHUNKS:
                pool += unsettled.pop(0)

    def batches(self) -> Iterable[Sequence[str]]:
        """The ids in batches of 100."""
        return (self.ids[start : start + BATCH] for start in range(0, len(self.ids), BATCH))

    def stored_after(self, updates: int) -> int:
        """How many users exist once the base and this many updates are stored."""
        return len({*self.base, *self.ids[:updates]})

    def sample(self, updates: int) -> list[str]:
        """Users that must be stored once this many updates have been sent."""
        stored = sorted({*self.base, *self.ids[: updates // 2]})
        return random.Random(self.name).sample(stored, 20)  # noqa: S311 - As above.
