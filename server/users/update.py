"""UpdateUser and all other updates: from an update and a time to the description of one write.

This is the merge table of the README as a pure function.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Final

from server import limits
from server.errors import InvalidRequest
from server.merge.patch import compose, needs_exact
from server.merge.times import stored_time
from server.model import REMOVE, JsonObject, Patch, PlannedUpdate, ProfileWrite, UserUpdate, Whole
from server.users.addresses import is_ip_address
from server.users.derive import email_facts, user_agent_facts
from server.users.ids import alias_digest, profile_id, visitor_id
from server.users.metadata import MetadataPlan, too_large

# Upper bounds of the operation's bytes, in either form, beside metadata and strings: of the envelope with its field
# names and the filter; of a field of a campaign, which may also be stored as the initial campaign.
_OPERATION_BYTES = 1472
_CAMPAIGN_FIELD_BYTES = 128

_CLEARED: Final[Mapping[str, Sequence[str]]] = {
    **{name: (name,) for name in ("company_id", "ip_address", "observed_ip_address", "anonymous_id")},
    **{name: (name,) for name in ("campaign", "initial_campaign")},
    "user_agent_string": ("user_agent_string", "user_agent"),
}
"""The stored fields that a name in `clear_fields` removes."""


def plan_update(application_id: str, update: UserUpdate, now: int) -> PlannedUpdate:
    """The write that folds `update` into its profile at the time `now` (in nanoseconds since 1970-01-01 UTC).

    Raises InvalidRequest, which names every field that breaks a rule, up to 20.
    """
    plan = _Plan(_OPERATION_BYTES + 2 * len(application_id))
    profile_id, names = plan.identity(application_id, update)
    # The server's own time is stored to the millisecond.
    created_time, _ = stored_time(now)
    patch = plan.envelope(update, created_time)
    # A campaign without any text does not count as the first one.
    first_campaign = update.campaign if update.campaign and any(update.campaign.values()) else None
    if first_campaign and "initial_campaign" in patch:
        patch["initial_campaign"], first_campaign = [first_campaign], None
    if update.metadata:
        patch["metadata"] = plan.metadata(update.metadata)
        if not plan.violations:
            patch |= plan.derived_from_email(update.metadata)
            if plan.size > limits.UPDATE_BYTES:
                plan.violations.append(too_large())
    if plan.violations:
        raise InvalidRequest(plan.violations[: limits.REPORTED])
    write = ProfileWrite(
        profile_id=profile_id,
        on_insert={"application_id": application_id, **names, "created_time": created_time},
        patch=patch,
        aliases=(alias_digest(application_id, update.session_token),) if update.session_token else (),
        exact=plan.exact,
        leaves=plan.paths,
        size=plan.size,
        values=plan.values - plan.removed,
        first_campaign=first_campaign,
    )
    return PlannedUpdate(write, plan.warnings[: limits.REPORTED])


def fold(writes: Sequence[ProfileWrite]) -> tuple[ProfileWrite, int]:
    """One write with the effect of the first N of `writes` in their order, and N, which is at least 1.

    All are of one profile. Folding stops at the limits of one update. It takes time in proportion to what is folded.
    """
    first = writes[0]
    leaves = size = values = count = 0
    for write in writes:
        leaves, size, values = leaves + write.leaves, size + write.size, values + write.values
        exceeds = leaves > limits.METADATA_LEAVES or size > limits.UPDATE_BYTES or values > limits.METADATA_VALUES
        if count and exceeds:
            leaves, size, values = leaves - write.leaves, size - write.size, values - write.values
            break
        count += 1
    if count == 1:
        return first, 1
    folded = writes[:count]
    patch = compose(write.patch for write in folded)
    aliases = tuple(dict.fromkeys(chain.from_iterable(write.aliases for write in folded)))
    campaign = _first_campaign(folded, patch)
    return ProfileWrite(
        profile_id=first.profile_id,
        on_insert=first.on_insert,
        patch=patch,
        aliases=aliases,
        exact=needs_exact(patch),
        leaves=leaves,
        size=size,
        first_campaign=campaign,
        values=values,
    ), count


def _first_campaign(folded: Sequence[ProfileWrite], patch: Patch) -> Mapping[str, str] | None:
    """The first campaign of folded writes. If one of them clears it, `patch` holds the campaign that follows."""
    first: Mapping[str, str] | None = None
    is_cleared = False
    for write in folded:
        if "initial_campaign" in write.patch:
            is_cleared, first = True, None
            patch["initial_campaign"] = write.patch["initial_campaign"]
        elif write.first_campaign and not first:
            first = write.first_campaign
            if is_cleared and patch["initial_campaign"] is REMOVE:
                patch["initial_campaign"] = [first]
    return None if is_cleared else first


class _Plan(MetadataPlan):
    """The plan of one update."""

    def identity(self, application_id: str, update: UserUpdate) -> tuple[str, dict[str, object]]:
        """The `_id` of the profile, and the fields of a new profile that name the user or visitor."""
        if update.user_id:
            if not self.text("user_id", update.user_id, limits.ID_BYTES):
                return "", {}
            return profile_id(application_id, update.user_id), {"user_id": update.user_id}
        if update.anonymous_id:
            if not self.text("anonymous_id", update.anonymous_id, limits.ID_BYTES):
                return "", {}
            return visitor_id(application_id, update.anonymous_id), {"anonymous_id": update.anonymous_id}
        self.refuse("user_id", "REQUIRED", "a user_id is required: any string of 1 to 512 bytes")
        return "", {}

    def envelope(self, update: UserUpdate, now: datetime) -> Patch:
        time, nanos = (now, 0) if update.modified_time is None else stored_time(update.modified_time)
        patch: Patch = {"modified_time": time, "modified_nanos": nanos, "stored_time": now}
        if update.clear_fields:
            self.clear(update, patch)
        if update.company_id is not None and self.text(
            "company_id", update.company_id, limits.ID_BYTES, warn_if_empty=True
        ):
            patch["company_id"] = update.company_id
        if update.anonymous_id and update.user_id and self.text("anonymous_id", update.anonymous_id, limits.ID_BYTES):
            patch["anonymous_id"] = update.anonymous_id
        if update.session_token:
            self.text("session_token", update.session_token, limits.TEXT_BYTES)
        if update.ip_address and self.text("ip_address", update.ip_address, limits.IP_ADDRESS_BYTES):
            patch["ip_address"] = update.ip_address
            if not is_ip_address(update.ip_address):
                self.warn("ip_address", "NOT_AN_IP_ADDRESS", "kept as sent, though it is no IP address")
        elif update.client_address and "observed_ip_address" not in patch:
            # In a field of its own, so that it never replaces an address that a caller sent. The address of an update
            # that clears it must not take its place.
            patch["observed_ip_address"] = update.client_address
            self.size += 4 * len(update.client_address)
        if update.user_agent_string and self.text("user_agent_string", update.user_agent_string, limits.TEXT_BYTES):
            facts, size = user_agent_facts(update.user_agent_string)
            self.size += size
            patch["user_agent_string"] = update.user_agent_string
            patch["user_agent"] = REMOVE if facts is None else Whole(facts)
        if update.campaign:
            texts = 0
            for name, value in update.campaign.items():
                size = len(value) if value.isascii() else len(value.encode())
                texts += size
                if size > limits.TEXT_BYTES:
                    self.too_long(f"campaign.{name}", limits.TEXT_BYTES)
            self.size += 2 * texts + _CAMPAIGN_FIELD_BYTES * len(update.campaign)
            campaign: JsonObject = {**update.campaign}
            patch["campaign"] = Whole(campaign) if "campaign" in patch else campaign
        return patch

    def clear(self, update: UserUpdate, patch: Patch) -> None:
        """Remove the fields in `clear_fields`."""
        if len(update.clear_fields) > limits.CLEAR_FIELDS:
            self.refuse("clear_fields", "TOO_MANY", f"more than {limits.CLEAR_FIELDS} names")
            return
        for index, name in enumerate(update.clear_fields):
            stored = _CLEARED.get(name, ())
            if name == "anonymous_id" and not update.user_id:
                self.refuse(f"clear_fields[{index}]", "NOT_CLEARABLE", "a visitor is known by its anonymous_id alone")
            elif stored:
                patch |= dict.fromkeys(stored, REMOVE)
            else:
                self.refuse(f"clear_fields[{index}]", "NOT_CLEARABLE", "is not a field that can be cleared")

    def text(self, field: str, value: str | None, max_bytes: int, *, warn_if_empty: bool = False) -> bool:
        """Whether to store `value`. A string that is too long is refused. An empty one is ignored."""
        if not value:
            if value == "" and warn_if_empty:
                self.warn(field, "IGNORED", "an empty string is not stored")
            return False
        size = len(value) if value.isascii() else len(value.encode())
        self.size += size
        if size > max_bytes:
            self.too_long(field, max_bytes)
        return size <= max_bytes

    def too_long(self, field: str, max_bytes: int) -> None:
        self.refuse(field, "TOO_LONG", f"longer than {max_bytes:,} bytes in UTF-8")

    def derived_from_email(self, metadata: JsonObject) -> Patch:
        if "email" not in metadata:
            return {}
        email = metadata["email"]
        facts = email_facts(email) if isinstance(email, str) else None
        if facts is None:
            if email is not None:
                self.warn("metadata.email", "NOT_AN_EMAIL_ADDRESS", "kept as sent; nothing is derived from it")
            return {"avatar_url": REMOVE, "email_domain": REMOVE, "company_domain": REMOVE}
        self.size += len(facts.avatar_url) + 2 * len(facts.email_domain)
        return {
            "avatar_url": facts.avatar_url,
            "email_domain": facts.email_domain,
            "company_domain": facts.company_domain or REMOVE,
        }
