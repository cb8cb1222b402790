"""The campaigns of an update: merged, and each a unit, as the first and the latest one of its profile."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from server import limits
from server.merge.times import stored_time
from server.model import ProfileUpdate
from server.users.metadata.tree import MetadataPlan

HAS_FIRST_CAMPAIGN: Final = "has_first_campaign"
"""The stored field of an update with a campaign. The validator refuses it in a profile without a first campaign."""

# An upper bound of the bytes of a field, without its text. It is stored up to three times: merged, in the first and in
# the latest campaign.
_FIELD_BYTES = 160


def first_campaign_of(document: Mapping[str, Any]) -> tuple[Mapping[str, str] | None, datetime | None]:
    """The first campaign of a stored profile and its time, each None where it is not known.

    Both are in an array, because a write can then keep what is there. An older version stored no time, and a later
    campaign may be in that place.
    """
    campaign, time = (*document.get("initial_campaign", ()), None, None)[:2]
    return campaign, time if isinstance(time, datetime) else None


class CampaignPlan(MetadataPlan):
    """The plan of an update without its other fields. `sets` are dot-paths; the modified time is among them first."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.sets: dict[str, object] = {}

    def campaigns(self, update: ProfileUpdate) -> Sequence[object] | None:
        """Merge the campaign, and make it the latest one, unless the update has another one.

        Returns what is stored if it is the first one. A campaign without any text is neither the first nor the latest.
        """
        # To the millisecond. Like the modified time, it is the same when the update is sent again.
        time = latest_time = self.sets["modified_time"]
        campaign, latest = update.campaign, update.latest_campaign
        has_text = campaign is not None and self._has_text("campaign", campaign)
        if campaign is not None:
            for name, value in campaign.items():
                self.sets[f"campaign.{name}"] = value
        if latest is not None and self._has_text("latest_campaign", latest):
            if update.latest_campaign_time is not None:
                latest_time, _ = stored_time(update.latest_campaign_time)
        else:
            latest = campaign if has_text else None
        if latest is not None:
            self.sets["latest_campaign"], self.sets["latest_campaign_time"] = latest, latest_time
        if not has_text:
            return None
        self.sets[HAS_FIRST_CAMPAIGN] = True
        return [campaign, time]

    def _has_text(self, field: str, campaign: Mapping[str, str]) -> bool:
        """Whether any field of a campaign is not empty. Counts its size, however often it is stored."""
        texts = 0
        for name, value in campaign.items():
            size = len(value) if value.isascii() else len(value.encode())
            texts += size
            if size > limits.TEXT_BYTES:
                self.too_long(f"{field}.{name}", limits.TEXT_BYTES)
        self.size += 3 * texts + _FIELD_BYTES * len(campaign)
        return texts > 0

    def too_long(self, field: str, max_bytes: int) -> None:
        self.refuse(field, "TOO_LONG", f"longer than {max_bytes:,} bytes in UTF-8")
