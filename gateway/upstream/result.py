"""The server's result for one item of a batch: `oneof outcome { response; error }`."""

from collections.abc import Callable
from typing import Any

from gateway.errors.rendering import Refusal, refusal, with_fields_renamed
from gateway.transcoding import json_encoder


def is_plain(result: Any) -> bool:
    """Whether a result has an empty response, as nearly all do: the item is saved, without warnings."""
    return result.HasField("response") and not result.response.ByteSize()


def outcome_of(result: Any, rename: Callable[[str], str]) -> dict[str, Any] | Refusal:
    """The non-empty members of a result's response, or its error as a Refusal. The paths of fields are renamed.

    In a result without an outcome, it is not known whether the item is saved.
    """
    if result.HasField("error"):
        return Refusal(with_fields_renamed(result.error, rename))
    if not result.HasField("response"):
        return refusal("WRITE_OUTCOME_UNKNOWN")
    response = json_encoder.sparse(result.response)
    for warning in response.get("warnings", ()):
        warning["field"] = rename(warning["field"])
    return response
