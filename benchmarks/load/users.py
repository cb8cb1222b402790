"""The users that every contender is sent: the same ones, in the same order, with the example body of the users API."""

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any, Final

_PLACE: Final = "USER-ID"
_EXAMPLE: Final[dict[str, Any]] = {
    "user_id": _PLACE,
    "company_id": "67890",
    "session_token": f"token-of-{_PLACE}",
    "campaign": {
        "utm_source": "google",
        "utm_medium": "cpc",
        "utm_campaign": "adwords",
        "utm_term": "api+tooling",
        "utm_content": "landing",
    },
    "metadata": {
        "email": f"{_PLACE}@acmeinc.com",
        "first_name": "John",
        "last_name": "Doe",
        "title": "Software Engineer",
        "sales_info": {"stage": "Customer", "lifetime_value": 24000, "account_owner": "mary@contoso.com"},
    },
}
_BODY: Final = json.dumps(_EXAMPLE, separators=(",", ":"))

BATCH: Final = 100
_NEW_SHARE: Final = 10
"""Of so many updates, one is of a user who was never seen."""
_BASE: Final = 1000
_SETTLED_CHUNKS: Final = 20
"""A new user is not sent again for so many chunks: by then the first update is stored, whatever the concurrency."""


def body_of(user_id: str) -> str:
    """The update of a user, as JSON: always the same, so that what is stored at the end is known."""
    return _BODY.replace(_PLACE, user_id)


def token_of(user_id: str) -> str:
    """The session token in the update of a user."""
    return f"token-of-{user_id}"


def update_of(user_id: str) -> dict[str, Any]:
    """The update of a user."""
    update: dict[str, Any] = json.loads(body_of(user_id))
    return update


def expected_of(user_id: str) -> dict[str, Any]:
    """What is read back of a user, as every contender's `read` puts it."""
    update = update_of(user_id)
    return {name: update[name] for name in ("company_id", "campaign", "metadata")}


class Load:
    """The ids of one run: `base` is stored before it, `ids` are the updates in their order.

    The mix stays the same however fast a contender is: one update in ten creates its user, the others are of users
    drawn from all that there are. Within each 100 updates every user occurs once. With `all_new`, every update creates
    one.
    """

    def __init__(self, name: str, updates: int, *, all_new: bool = False) -> None:
        draw = random.Random(name)  # noqa: S311 - No secret: the same for every contender.
        self.name = name
        self.base = [f"{name}-b{number}" for number in range(_BASE)]
        self.ids: list[str] = []
        pool = list(self.base)
        unsettled: list[list[str]] = []
        for chunk in range(-(-updates // BATCH)):
            count = BATCH if all_new else BATCH // _NEW_SHARE
            new = [f"{name}-{chunk * BATCH + number}" for number in range(count)]
            users = new + draw.sample(pool, BATCH - count)
            draw.shuffle(users)
            self.ids += users
            unsettled.append(new)
            if len(unsettled) > _SETTLED_CHUNKS:
                pool += unsettled.pop(0)

    def batches(self) -> Iterable[Sequence[str]]:
        """The ids, a hundred at a time."""
        return (self.ids[start : start + BATCH] for start in range(0, len(self.ids), BATCH))

    def stored_after(self, updates: int) -> int:
        """How many users there are when the base and so many updates are stored."""
        return len({*self.base, *self.ids[:updates]})

    def sample(self, updates: int) -> list[str]:
        """Some users who are stored for certain when so many updates have been sent."""
        sent = sorted({*self.base, *self.ids[: updates // 2]})
        return random.Random(self.name).sample(sent, 20)  # noqa: S311 - As above.
