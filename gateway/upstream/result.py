"""What the server says of one item among several: `oneof outcome { response; error }`."""

from collections.abc import Callable
from typing import Any

from gateway.errors.rendering import Refusal, refusal, with_fields_renamed
from gateway.transcoding import json_encoder


def is_plain(result: Any) -> bool:
    """Whether a result says no more than that it was done, as nearly all do: its response is empty."""
    return result.HasField("response") and not result.response.ByteSize()


def outcome_of(result: Any, rename: Callable[[str], str]) -> dict[str, Any] | Refusal:
    """What one result of the server's says: the members of its response that are not empty, or the refusal.

    The paths of fields are renamed. A result without an outcome is no promise: then nothing is known of the item.
    """
    if result.HasField("error"):
        return Refusal(with_fields_renamed(result.error, rename))
    if not result.HasField("response"):
        return refusal("WRITE_OUTCOME_UNKNOWN")
    told = json_encoder.sparse(result.response)
    for warning in told.get("warnings", ()):
        warning["field"] = rename(warning["field"])
    return told
