"""UpdateUser, UpdateCompany and all other updates: from an update and a time to the description of one write.

This is the merge table of the README as a pure function.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from server import limits
from server.errors import InvalidRequest
from server.merge.times import stored_time
from server.model import (
    CompanyUpdate,
    DotPaths,
    JsonObject,
    Patch,
    PlannedUpdate,
    ProfileUpdate,
    ProfileWrite,
    UserUpdate,
)
from server.users.addresses import is_ip_address
from server.users.campaigns import CampaignPlan
from server.users.derive import domain_key, email_facts, user_agent_facts
from server.users.finding.email_keys import irregular_key
from server.users.finding.lookup import SENT_ALIAS, sent_alias
from server.users.ids import alias_digest, id_of, visitor_id
from server.users.metadata.flat import FlatMetadata, NotUsual
from server.users.metadata.operations import OperationsPlan
from server.users.metadata.tree import too_large

# An upper bound of the operation's bytes, in either form, beside metadata, campaigns and strings: of the envelope with
# its field names and the filter.
_OPERATION_BYTES = 1800

# That of an anonymous id, which is stored twice, without the id.
_ANONYMOUS_ID_BYTES = 256


def plan_update(application_id: str, update: ProfileUpdate, now: int) -> PlannedUpdate:
    """The write that folds `update` into its profile at the time `now` (in nanoseconds since 1970-01-01 UTC).

    Raises InvalidRequest, which names every field that breaks a rule, up to 20.
    """
    plan = _Plan(_OPERATION_BYTES + 2 * len(application_id))
    kind = update.kind
    profile_id, names = plan.identity(application_id, update)
    # The server's own time is stored to the millisecond.
    created_time, _ = stored_time(now)
    plan.envelope(update, created_time)
    first_campaign = plan.campaigns(update) if update.campaign or update.latest_campaign else None
    if plan.cleared:
        plan.finish_clearing(update.campaign, first_campaign)
        first_campaign = None if "initial_campaign" in plan.cleared else first_campaign
    tree = None
    if update.metadata_operations:
        tree = plan.metadata_with_operations(update.metadata or {}, update.metadata_operations)
    elif update.metadata:
        tree = plan.metadata_tree(update.metadata)
    if update.metadata and not plan.violations:
        if kind.derives_from_email:
            plan.derive_from_email(update.metadata)
        if plan.size > limits.UPDATE_BYTES:
            plan.violations.append(too_large())
    if plan.violations:
        raise InvalidRequest(plan.violations[: limits.REPORTED])
    aliases: tuple[bytes, ...] = ()
    if update.session_token and kind.has_aliases:
        aliases = (alias_digest(application_id, update.session_token),)
        plan.sets[SENT_ALIAS] = sent_alias(aliases[0], created_time)
    change = DotPaths(plan.sets, plan.removes)
    write = ProfileWrite(
        profile_id=profile_id,
        on_insert={"application_id": application_id, **names, "created_time": created_time},
        change=change if tree is None else {**change.patch(), "metadata": tree},
        aliases=aliases,
        exact=plan.exact or update.etag is not None,
        leaves=plan.paths,
        size=plan.size,
        values=plan.values - plan.removed,
        first_campaign=first_campaign,
        etag=update.etag,
        kind=kind,
        anonymous_ids=_identifying(update),
    )
    return PlannedUpdate(write, plan.warnings[: limits.REPORTED])


def _identifying(update: ProfileUpdate) -> tuple[str, ...]:
    """The anonymous ids whose visitors become the user of an update."""
    if isinstance(update, UserUpdate) and update.user_id and update.anonymous_id:
        return (update.anonymous_id,)
    return ()


class _Plan(CampaignPlan, OperationsPlan):
    """The plan of one update. `sets` and `removes` are its dot-paths; `cleared` has the fields in `clear_fields`."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.removes: list[str] = []
        self.cleared: dict[str, None] = {}

    def identity(self, application_id: str, update: ProfileUpdate) -> tuple[str, dict[str, object]]:
        """The `_id` of the profile, and the fields of a new profile that name the user, visitor or company."""
        kind = update.kind
        key: str = getattr(update, kind.key)
        if key:
            if not self.text(kind.key, key, limits.ID_BYTES):
                return "", {}
            return id_of(kind, application_id, key), {kind.key: key}
        if isinstance(update, UserUpdate) and update.anonymous_id:
            if not self.text("anonymous_id", update.anonymous_id, limits.ID_BYTES):
                return "", {}
            return visitor_id(application_id, update.anonymous_id), {"anonymous_id": update.anonymous_id}
        self.refuse(kind.key, "REQUIRED", f"a {kind.key} is required: any string of 1 to 512 bytes")
        return "", {}

    def envelope(self, update: ProfileUpdate, now: datetime) -> None:
        time, nanos = (now, 0) if update.modified_time is None else stored_time(update.modified_time)
        sets = self.sets
        sets["modified_time"], sets["modified_nanos"], sets["stored_time"] = time, nanos, now
        if update.clear_fields:
            self.clear(update)
        if isinstance(update, UserUpdate):
            self.links_of_user(update)
        elif isinstance(update, CompanyUpdate):
            self.domain(update)
        if update.ip_address and self.text("ip_address", update.ip_address, limits.IP_ADDRESS_BYTES):
            sets["ip_address"] = update.ip_address
            if not is_ip_address(update.ip_address):
                self.warn("ip_address", "NOT_AN_IP_ADDRESS", "kept as sent, though it is no IP address")
        elif update.client_address and "observed_ip_address" not in self.cleared:
            # In a field of its own, so that it never replaces an address that a caller sent. The address of an update
            # that clears it must not take its place.
            sets["observed_ip_address"] = update.client_address
            self.size += 4 * len(update.client_address)
        if update.user_agent_string and self.text("user_agent_string", update.user_agent_string, limits.TEXT_BYTES):
            facts, size = user_agent_facts(update.user_agent_string)
            self.size += size
            sets["user_agent_string"] = update.user_agent_string
            if facts is None:
                self.removes.append("user_agent")
            else:
                sets["user_agent"] = facts
        if update.etag:
            self.text("etag", update.etag, limits.ETAG_BYTES)

    def links_of_user(self, update: UserUpdate) -> None:
        """Set the ids of a user other than the user's own, and check the session token."""
        if update.company_id is not None and self.text(
            "company_id", update.company_id, limits.ID_BYTES, warn_if_empty=True
        ):
            self.sets["company_id"] = update.company_id
        if update.anonymous_id and update.user_id and self.text("anonymous_id", update.anonymous_id, limits.ID_BYTES):
            self.sets["anonymous_id"] = update.anonymous_id
            # It is also one of the ids that the profile keeps.
            self.size += len(update.anonymous_id.encode()) + _ANONYMOUS_ID_BYTES
        if update.session_token:
            self.text("session_token", update.session_token, limits.TEXT_BYTES)

    def domain(self, update: CompanyUpdate) -> None:
        """Set the domain of a company, and ignore a session token."""
        domain = update.company_domain
        if domain is not None and self.text("company_domain", domain, limits.ID_BYTES, warn_if_empty=True):
            key = domain_key(domain)
            self.sets["company_domain"], self.sets["domain_key"] = domain, key
            self.size += len(key.encode())
        if update.session_token:
            self.warn("session_token", "IGNORED", "is ignored: a company has no session tokens")

    def clear(self, update: ProfileUpdate) -> None:
        """Remove the fields in `clear_fields`."""
        if len(update.clear_fields) > limits.CLEAR_FIELDS:
            self.refuse("clear_fields", "TOO_MANY", f"more than {limits.CLEAR_FIELDS} names")
            return
        for index, name in enumerate(update.clear_fields):
            stored = update.kind.clearable.get(name, ())
            if name == "anonymous_id" and isinstance(update, UserUpdate) and not update.user_id:
                self.refuse(f"clear_fields[{index}]", "NOT_CLEARABLE", "a visitor is known by its anonymous_id alone")
            elif stored:
                self.cleared |= dict.fromkeys(stored)
            else:
                self.refuse(f"clear_fields[{index}]", "NOT_CLEARABLE", "is not a field that can be cleared")

    def finish_clearing(self, campaign: Mapping[str, str] | None, first_campaign: Sequence[object] | None) -> None:
        """Remove the cleared fields that the update does not set. A campaign that it sets replaces the stored one."""
        if campaign and "campaign" in self.cleared:
            for name in campaign:
                del self.sets[f"campaign.{name}"]
            self.sets["campaign"] = {**campaign}
        if first_campaign and "initial_campaign" in self.cleared:
            self.sets["initial_campaign"] = first_campaign
        self.removes += [name for name in self.cleared if name not in self.sets and name not in self.removes]

    def metadata_tree(self, metadata: JsonObject) -> Patch | None:
        """The patch of metadata that is not usual. Usual metadata is added to the dot-paths, and None is returned."""
        try:
            flat = FlatMetadata(metadata)
        except NotUsual:
            return self.metadata(metadata)
        self.sets |= flat.sets
        self.removes += flat.removes
        self.paths, self.values, self.removed = flat.paths, flat.values, len(flat.removes)
        self.size += flat.size
        return None

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

    def derive_from_email(self, metadata: JsonObject) -> None:
        if "email" not in metadata:
            return
        email = metadata["email"]
        text = email if isinstance(email, str) else ""
        facts = email_facts(text)
        if facts is not None:
            # A picture and domains are in ASCII.
            self.sets["avatar_url"], self.sets["email_domain"] = facts.avatar_url, facts.email_domain
            self.size += len(facts.avatar_url) + len(facts.email_domain)
            self.derived("company_domain", facts.company_domain)
            self.derived("email_key", facts.email_key)
            return
        if email is not None:
            self.warn("metadata.email", "NOT_AN_EMAIL_ADDRESS", "kept as sent; nothing is derived from it")
        self.removes += ("avatar_url", "email_domain", "company_domain")
        self.derived("email_key", irregular_key(text))

    def derived(self, field: str, value: str | None) -> None:
        """Set a field that is derived, or remove it."""
        if value is None:
            self.removes.append(field)
        else:
            # A character has at most four bytes.
            self.size += len(value) if value.isascii() else 4 * len(value)
            self.sets[field] = value
