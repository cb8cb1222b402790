"""The merge table as a pure function: from an update and a time to the description of one MongoDB write.

It knows no clock, no protobuf and no driver. Where a rule is not explained here, it is a row of the merge table in the
README.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import cast

from server import limits
from server.derive import alias_digest, email_facts, is_ip_address, owner_digest, user_agent_facts
from server.errors import InvalidRequest, Violation
from server.keys import escape_key
from server.model import REMOVE, JsonObject, Patch, PlannedUpdate, ProfileWrite, UserUpdate, Warning, Whole
from server.patch import compose, needs_exact
from server.paths import field_path

RESERVED_NAMES = ("email", "name", "first_name", "last_name", "phone", "photo_url")
"""The keys of metadata that hold texts and nothing else (the API page: "Reserved fields")."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECONDS_PER_MILLISECOND = 1_000_000
_EXACT = 2**53
_INT64 = 2**63


def plan_update(application_id: str, update: UserUpdate, now: int) -> PlannedUpdate:
    """The write that folds `update` into its profile at the time `now` (in nanoseconds since 1970-01-01 UTC).

    Raises InvalidRequest, which names every field that breaks a rule, up to 20.
    """
    plan = _Plan()
    profile_id, owner = plan.owner(application_id, update)
    # The server's own time is kept to the millisecond: nobody could tell a difference below.
    created_time, _ = stored_time(now)
    patch = plan.envelope(update, created_time)
    if update.metadata:
        patch["metadata"] = plan.metadata(update.metadata)
        patch |= plan.derived_from_email(update.metadata)
    if plan.violations:
        raise InvalidRequest(plan.violations[: limits.REPORTED])
    write = ProfileWrite(
        profile_id=profile_id,
        on_insert={"application_id": application_id, **owner, "created_time": created_time},
        patch=patch,
        aliases=(alias_digest(application_id, update.session_token),) if update.session_token else (),
        exact=plan.exact,
        leaves=plan.leaves,
        size=plan.size,
        # Without any text in it, nothing is known of how the user came.
        first_campaign=update.campaign if update.campaign and any(update.campaign.values()) else None,
    )
    return PlannedUpdate(write, tuple(plan.warnings[: limits.REPORTED]))


def profile_id(application_id: str, user_id: str) -> str:
    """The `_id` of a user's profile: a digest, which may outlive the user where an erasure is kept up."""
    return f"{application_id}/u/{owner_digest(application_id, 'u', user_id)}"


def visitor_id(application_id: str, anonymous_id: str) -> str:
    """The `_id` of the profile of a visitor without a user id, kept apart from users by the letter."""
    return f"{application_id}/a/{owner_digest(application_id, 'a', anonymous_id)}"


def stored_time(nanoseconds: int) -> tuple[datetime, int]:
    """A time as it is stored: a date, which MongoDB keeps to the millisecond, and the nanoseconds beyond."""
    milliseconds, rest = divmod(nanoseconds, _NANOSECONDS_PER_MILLISECOND)
    return _date(milliseconds), rest


# The updates of a batch have the same, and those that came one by one within a millisecond.
@lru_cache(maxsize=1024)
def _date(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def fold(writes: Sequence[ProfileWrite]) -> tuple[ProfileWrite, int]:
    """One write that does what the first N of `writes` would do one after the other, and that N (at least 1).

    All are of one profile. Folding stops at the limits of one update, so that no write grows without bound.
    """
    folded = writes[0]
    count = 1
    for write in writes[1:]:
        leaves, size = folded.leaves + write.leaves, folded.size + write.size
        if leaves > limits.METADATA_LEAVES or size > limits.UPDATE_BYTES:
            break
        patch = compose(folded.patch, write.patch)
        aliases = tuple(dict.fromkeys(folded.aliases + write.aliases))
        campaign = folded.first_campaign or write.first_campaign
        folded = ProfileWrite(
            folded.profile_id, folded.on_insert, patch, aliases, needs_exact(patch), leaves, size, campaign
        )
        count += 1
    return folded, count


def stored_number(number: float) -> int | float:
    """A finite JSON number as it is stored: of the value that a double has, like every number of ours.

    A double that is an integer is stored as one, for those who look into the database. -0.0 is none.
    """
    if isinstance(number, int) and -_EXACT <= number <= _EXACT:
        return number
    double = float(number)
    if double.is_integer() and -_INT64 <= double < _INT64 and (double or str(double) == "0.0"):
        return int(double)
    return double


class _Plan:
    """What was found while planning one update."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.warnings: list[Warning] = []
        self.exact = False
        """Whether dot-paths cannot express the metadata's patch: what `needs_exact` tells, found on the way."""
        self.leaves = 0
        self.size = 0

    def refuse(self, field: str, reason: str, description: str) -> None:
        self.violations.append(Violation(field, reason, description))

    def warn(self, field: str, reason: str, description: str) -> None:
        self.warnings.append(Warning(field, reason, description))

    def owner(self, application_id: str, update: UserUpdate) -> tuple[str, dict[str, object]]:
        """Whose profile it is: its `_id`, and what names its owner in a new profile."""
        if update.user_id:
            self.text("user_id", update.user_id, limits.ID_BYTES)
            return profile_id(application_id, update.user_id), {"user_id": update.user_id}
        if update.anonymous_id:
            return visitor_id(application_id, update.anonymous_id), {"anonymous_id": update.anonymous_id}
        self.refuse("user_id", "REQUIRED", "a user_id is required: any text of 1 to 512 bytes")
        return "", {}

    def envelope(self, update: UserUpdate, now: datetime) -> Patch:
        time, nanos = (now, 0) if update.modified_time is None else stored_time(update.modified_time)
        patch: Patch = {"modified_time": time, "modified_nanos": nanos}
        if update.company_id is not None and self.text(
            "company_id", update.company_id, limits.ID_BYTES, warn_if_empty=True
        ):
            patch["company_id"] = update.company_id
        if update.anonymous_id and self.text("anonymous_id", update.anonymous_id, limits.ID_BYTES) and update.user_id:
            patch["anonymous_id"] = update.anonymous_id
        self.text("session_token", update.session_token, limits.TEXT_BYTES)
        if update.ip_address and self.text("ip_address", update.ip_address, limits.IP_ADDRESS_BYTES):
            patch["ip_address"] = update.ip_address
            if not is_ip_address(update.ip_address):
                self.warn("ip_address", "NOT_AN_IP_ADDRESS", "kept as sent, though it is no IP address")
        elif update.client_address:
            # In a field of its own: it must never replace an address that a caller gave.
            patch["observed_ip_address"] = update.client_address
        if update.user_agent_string and self.text("user_agent_string", update.user_agent_string, limits.TEXT_BYTES):
            facts = user_agent_facts(update.user_agent_string)
            patch["user_agent_string"] = update.user_agent_string
            patch["user_agent"] = REMOVE if facts is None else Whole(facts)
        if update.campaign:
            for name, value in update.campaign.items():
                size = len(value) if value.isascii() else len(value.encode())
                self.size += size
                if size > limits.TEXT_BYTES:
                    self.too_long(f"campaign.{name}", limits.TEXT_BYTES)
            patch["campaign"] = {**update.campaign}
        return patch

    def text(self, field: str, value: str | None, most: int, *, warn_if_empty: bool = False) -> bool:
        """Whether `value` is a text to store. One that is too long is refused, an empty one ignored."""
        if not value:
            if value == "" and warn_if_empty:
                self.warn(field, "IGNORED", "an empty text is not stored")
            return False
        size = len(value) if value.isascii() else len(value.encode())
        self.size += size
        if size > most:
            self.too_long(field, most)
        return size <= most

    def too_long(self, field: str, most: int) -> None:
        self.refuse(field, "TOO_LONG", f"longer than {most:,} bytes in UTF-8")

    def metadata(self, metadata: JsonObject) -> Patch:
        changed = self.reserved(metadata)
        patch = self.merge({**metadata, **changed} if changed else metadata, ["metadata"], len("metadata"))
        if self.leaves > limits.METADATA_LEAVES:
            self.refuse("metadata", "TOO_MANY_VALUES", f"more than {limits.METADATA_LEAVES:,} values in one update")
        elif self.size > limits.UPDATE_BYTES:
            self.refuse("metadata", "TOO_LARGE", f"values and their paths take more than {limits.UPDATE_BYTES:,} bytes")
        return patch

    def reserved(self, metadata: JsonObject) -> JsonObject:
        """The reserved fields that are stored otherwise than sent."""
        changed: JsonObject = {}
        for name in RESERVED_NAMES:
            value = metadata.get(name)
            if value is None or isinstance(value, str):
                continue
            if isinstance(value, dict | list):
                self.refuse(f"metadata.{name}", "WRONG_TYPE", "must be a text")
                continue
            if isinstance(value, float) and not math.isfinite(value):
                continue  # Refused as any such number is.
            changed[name] = str(value).lower() if isinstance(value, bool) else str(stored_number(cast(float, value)))
            self.warn(f"metadata.{name}", "KEPT_AS_TEXT", "a number or boolean here is kept as its JSON text")
        return changed

    def merge(self, values: JsonObject, path: list[str | int], path_bytes: int) -> Patch:
        if len(path) > limits.METADATA_LEVELS:
            self.refuse(field_path(path), "TOO_DEEP", f"nested deeper than {limits.METADATA_LEVELS} levels")
            return {}
        patch: Patch = {}
        sets = False
        leaves = size = 0
        for key, value in values.items():
            stored = key if key.isidentifier() else escape_key(key)
            inner_bytes = path_bytes + 1 + (len(stored) if stored.isascii() else len(stored.encode()))
            if isinstance(value, str):
                patch[stored] = value
                size += len(value) if value.isascii() else len(value.encode())
                sets = True
            elif isinstance(value, dict):
                path.append(key)
                patch[stored] = self.merge(value, path, inner_bytes)
                path.pop()
                sets = True
                if value:
                    continue
            elif value is None:
                patch[stored] = REMOVE
            else:
                patch[stored] = self.checked(value, path, key)
                sets = True
            leaves += 1
            size += inner_bytes + 8
        self.exact |= not sets
        self.leaves += leaves
        self.size += size
        return patch

    def checked(self, value: object, path: list[str | int], part: str | int) -> object:
        """A value as it is stored: keys escaped, numbers those that a double holds. What JSON cannot hold is refused.

        Its place is `part` below `path`.
        """
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            if math.isfinite(value):
                return stored_number(value)
            self.refuse(field_path([*path, part]), "NOT_FINITE", "must be a finite number")
        elif isinstance(value, str):
            self.size += len(value.encode())
            return value
        elif isinstance(value, dict | list):
            path = [*path, part]
            if len(path) > limits.METADATA_LEVELS:
                self.refuse(field_path(path), "TOO_DEEP", f"nested deeper than {limits.METADATA_LEVELS} levels")
            elif isinstance(value, list):
                self.size += 8 * len(value)
                return [self.checked(item, path, index) for index, item in enumerate(value)]
            else:
                self.size += sum(8 + len(key.encode()) for key in value)
                return {escape_key(key): self.checked(item, path, key) for key, item in value.items()}
        return None

    def derived_from_email(self, metadata: JsonObject) -> Patch:
        if "email" not in metadata:
            return {}
        email = metadata["email"]
        facts = email_facts(email) if isinstance(email, str) else None
        if facts is None:
            if email is not None:
                self.warn("metadata.email", "NOT_AN_EMAIL_ADDRESS", "kept as sent; nothing is derived from it")
            return {"avatar_url": REMOVE, "email_domain": REMOVE, "company_domain": REMOVE}
        return {
            "avatar_url": facts.avatar_url,
            "email_domain": facts.email_domain,
            "company_domain": facts.company_domain or REMOVE,
        }
