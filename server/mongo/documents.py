"""Profiles as MongoDB returns them, in bytes that are decoded later."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bson import decode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from server.model import Profile, StoredUser
from server.mongo.etags import etag_of
from server.query.field_mask import WHOLE, Mask, masked
from server.query.page_token import Position
from server.users.campaigns import first_campaign_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FetchedDocument:
    """A Fetched over the bytes of a document, with those of visitors for an export, or with a mask."""

    __slots__ = ("_mask", "_options", "_user", "_visitors")

    def __init__(
        self,
        user: RawBSONDocument,
        options: CodecOptions[Any],
        *,
        visitors: Sequence[RawBSONDocument] = (),
        mask: Mask = WHOLE,
    ) -> None:
        self._user = user
        self._options = options
        self._visitors = visitors
        self._mask = mask

    @property
    def size(self) -> int:
        """As of Fetched."""
        return len(self._user.raw) + sum(len(visitor.raw) for visitor in self._visitors)

    def profile(self) -> Profile:
        """As of Fetched."""
        document = decode(self._user.raw, self._options)
        if "aliases" in document:
            # The whole document was read: MongoDB need not count them.
            document["alias_count"] = len(document["aliases"])
        if self._mask.is_whole:
            if self._mask.kind.has_aliases:
                document.setdefault("alias_count", 0)
            return profile_from_document(document, etag_of(document))
        return masked(profile_from_document(document), self._mask)

    def stored_user(self) -> StoredUser:
        """As of Fetched."""
        visitors = [_stored_user(decode(visitor.raw, self._options)) for visitor in self._visitors]
        return _stored_user(decode(self._user.raw, self._options), visitors)

    def position(self, keys: Sequence[str]) -> Position:
        """As of Fetched."""
        return [self._user.get(key) for key in keys]


def only(document: RawBSONDocument) -> dict[str, Any]:
    """The filter that only this very document meets."""
    # To MongoDB, numbers of different types are equal if their values are. 0, an integer, and -0.0, a double, are the
    # only such numbers that are stored, and have different sizes.
    same = [{"$eq": ["$$ROOT", {"$literal": document}]}, {"$eq": [{"$bsonSize": "$$ROOT"}, len(document.raw)]}]
    return {"_id": document["_id"], "$expr": {"$and": same}}


def _stored_user(document: Mapping[str, Any], visitors: Sequence[StoredUser] = ()) -> StoredUser:
    aliases = document.get("aliases", ())
    return StoredUser(
        profile=profile_from_document({**document, "alias_count": len(aliases)}, etag_of(document)),
        aliases=[bytes(alias) for alias in aliases],
        visitors=visitors,
    )


def profile_from_document(document: Mapping[str, Any], etag: str | None = None) -> Profile:
    """The profile of a stored document, or of a part of it. Only a whole document has an etag."""
    modified: datetime = document["modified_time"]
    initial_campaign, initial_campaign_time = first_campaign_of(document)
    since_epoch = modified - _EPOCH
    milliseconds = (since_epoch.days * 86_400 + since_epoch.seconds) * 1_000 + since_epoch.microseconds // 1_000
    same = ("company_id", "user_agent_string", "user_agent", "campaign", "latest_campaign")
    ids = ("anonymous_id", "anonymous_ids", "merged_user_ids")
    ours = (
        "avatar_url",
        "email_domain",
        "company_domain",
        "observed_ip_address",
        "stored_time",
        "latest_campaign_time",
    )
    return Profile(
        user_id=document.get("user_id", ""),
        created_time=document["created_time"],
        modified_time=milliseconds * 1_000_000 + document["modified_nanos"],
        metadata=document.get("metadata", {}),
        ip_address=document.get("ip_address", document.get("observed_ip_address")),
        alias_count=document.get("alias_count"),
        initial_campaign=initial_campaign,
        initial_campaign_time=initial_campaign_time,
        etag=etag,
        **{name: document.get(name) for name in same + ids + ours},
    )
