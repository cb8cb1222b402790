"""Several writes of one profile as one write with the same effect."""

from collections.abc import Sequence

from server import limits
from server.merge.patch import compose, needs_exact
from server.model import REMOVE, Patch, ProfileWrite, Whole
from server.users.finding.lookup import SENT_ALIAS, sent_alias


def fold(writes: Sequence[ProfileWrite]) -> tuple[ProfileWrite, int]:
    """One write with the effect of the first N of `writes` in their order, and N, which is at least 1.

    All are of one profile. Folding stops at the limits of one update, and where an operation cannot be folded into
    the writes before. It takes time in proportion to what is folded.
    """
    first = writes[0]
    leaves = size = values = count = 0
    for write in writes:
        leaves, size, values = leaves + write.leaves, size + write.size, values + write.values
        exceeds = leaves > limits.METADATA_LEAVES or size > limits.UPDATE_BYTES or values > limits.METADATA_VALUES
        if count and exceeds:
            break
        count += 1
    if count == 1:
        return first, 1
    patch, count = compose([write.patch for write in writes[:count]])
    if count == 1:
        return first, 1
    folded = writes[:count]
    # In the order in which each was sent last.
    sent = [alias for write in folded for alias in write.aliases]
    aliases = tuple(dict.fromkeys(reversed(sent)))[::-1]
    if aliases:
        patch[SENT_ALIAS] = Whole(sent_alias(aliases[-1], patch["stored_time"]))
    anonymous_ids = tuple({anonymous_id: None for write in folded for anonymous_id in write.anonymous_ids})
    campaign = _first_campaign(folded, patch)
    return ProfileWrite(
        profile_id=first.profile_id,
        on_insert=first.on_insert,
        change=patch,
        aliases=aliases,
        exact=needs_exact(patch) or len(aliases) > 1,
        leaves=sum(write.leaves for write in folded),
        size=sum(write.size for write in folded),
        first_campaign=campaign,
        values=sum(write.values for write in folded),
        kind=first.kind,
        anonymous_ids=anonymous_ids,
    ), count


def _first_campaign(folded: Sequence[ProfileWrite], patch: Patch) -> Sequence[object] | None:
    """The first campaign of folded writes. If one of them clears it, `patch` holds the campaign that follows."""
    first: Sequence[object] | None = None
    is_cleared = False
    for write in folded:
        if "initial_campaign" in write.patch:
            is_cleared, first = True, None
            patch["initial_campaign"] = write.patch["initial_campaign"]
        elif write.first_campaign and not first:
            first = write.first_campaign
            if is_cleared and patch["initial_campaign"] is REMOVE:
                patch["initial_campaign"] = first
    return None if is_cleared else first
