"""What tests of writes share."""

from collections.abc import Sequence

from server.model import ProfileWrite
from server.users.ports import AGAIN, Again, Outcome, ProfileStore


async def applied(store: ProfileStore, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
    """The outcomes of writes, each applied until the store has one."""
    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < len(writes):
        pending = [index for index in range(len(writes)) if index not in outcomes]
        results = await store.apply([writes[index] for index in pending])
        again = [index for index, outcome in zip(pending, results, strict=True) if outcome is AGAIN]
        outcomes |= {
            index: outcome
            for index, outcome in zip(pending, results, strict=True)
            if index not in again and not isinstance(outcome, Again)
        }
    return [outcomes[index] for index in range(len(writes))]
