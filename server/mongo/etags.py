"""The etag of a stored profile: a digest of it, made when it is read.

No write stores or changes an etag, so a profile of any version has one.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final

import orjson

LAST_ALIAS: Final = "last_alias"
"""The name that a projection gives to the alias that was added last."""

_BYTES: Final = 16
_CHARACTERS: Final = 22  # Of 16 bytes in base64, without the padding.

# All that a caller can read of a profile but `stored_time`. The `_id`, of which the application is a part, binds the
# etag to one profile. Without `stored_time`, an update that is sent again leaves the etag.
_FIELDS: Final = (
    *("_id", "user_id", "anonymous_id", "company_id", "created_time", "modified_time", "modified_nanos"),
    *("ip_address", "observed_ip_address", "user_agent_string", "user_agent", "campaign", "initial_campaign"),
    *("avatar_url", "email_domain", "company_domain", "metadata"),
)
# A profile that does not have these has the etag that versions without them compute.
_LATER_FIELDS: Final = ("latest_campaign", "latest_campaign_time", "anonymous_ids", "merged_user_ids")


def etag_of(document: Mapping[str, Any]) -> str:
    """The etag of a profile's document, whole or as the projection of `WHOLE` returns it.

    A new alias becomes the last one, so the last alias and the number stand for all of them.
    """
    get = document.get
    aliases = get("aliases")
    last = aliases[-1] if aliases else get(LAST_ALIAS)
    count = len(aliases) if aliases else get("alias_count", 0)
    content = [get(name) for name in _FIELDS]
    content += (count, last.hex() if last else None)
    content += [document[name] for name in _LATER_FIELDS if name in document]
    # Unlike BSON, JSON holds the same for a field that any version stores and another one computes. Numbers keep their
    # digits and the sign of zero, objects the order of their keys.
    digest = hashlib.sha256(orjson.dumps(content, default=repr)).digest()[:_BYTES]
    return urlsafe_b64encode(digest)[:_CHARACTERS].decode()
