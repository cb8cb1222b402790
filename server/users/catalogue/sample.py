"""Which users of an application are the sample of a catalogue."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from server.model import JsonObject
from server.users.ids import users_prefix

SAMPLE_USERS: Final = 2_000
"""Users in a sample."""

SAMPLE_BYTES: Final = 4 * 1024 * 1024
"""The size of the metadata of a sample, as BSON. The last profile may exceed it."""

SAMPLE_SECONDS: Final = 3.0
"""The time after which a sample ends with what was read."""

_DIGITS: Final = 15
"""Hexadecimal digits of a digest that decide its place."""

_SIGNIFICANT: Final = 3
"""The digits of an estimate."""


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """The users of a sample are those whose digests follow `start`, round the circle of all digests.

    A digest does not depend on anything but the ids. So this is a random sample without replacement: any other user is
    as likely in it. The start is a secret one of the application, or else anyone with a collector key could choose ids
    of users who would fill the sample.
    """

    application_id: str
    start: str

    @property
    def ranges(self) -> Sequence[tuple[str, str]]:
        """The ranges of `_id` to read, in order: each with its first `_id` and its end."""
        prefix = users_prefix(self.application_id)
        # The first string beyond all that begin with the prefix.
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        return (prefix + self.start, end), (prefix, prefix + self.start)

    def estimate(self, users: int, last_id: str) -> int:
        """The number of users of the application, where the last of the sampled ones has this `_id`."""
        digest = last_id.removeprefix(users_prefix(self.application_id))
        circle = 16**_DIGITS
        share = (int(digest[:_DIGITS], 16) - int(self.start, 16)) % circle / circle
        # The last digest is where the sample ends, so it is not one of those that are spread over its share.
        return estimated((users - 1) / share, users) if share else users


def estimated(number: float, least: int) -> int:
    """An estimate as it is returned: in three significant digits, but not less than what was counted."""
    whole = round(number)
    return max(least, round(whole, _SIGNIFICANT - len(str(whole))))


def plan_sample(application_id: str, secret: bytes) -> SamplePlan:
    """The sample of an application: the same on every server that knows the secret."""
    digest = hmac.new(secret, f"sample\0{application_id}".encode(), hashlib.sha256)
    return SamplePlan(application_id, digest.hexdigest()[:_DIGITS])


class FetchedMetadata(Protocol):
    """The metadata of a user as bytes of the database. Decoding them may take long."""

    @property
    def size(self) -> int:
        """The number of bytes."""

    def metadata(self) -> JsonObject:
        """The metadata, with keys as they are stored. Empty if there is none."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The sampled users. `last_id` is the `_id` of the last one in the order of the plan; None: these are all users."""

    users: Sequence[FetchedMetadata]
    last_id: str | None


class MetadataSamples(Protocol):
    """Where samples are read."""

    async def sample(self, plan: SamplePlan) -> Sample:
        """The sample of a plan. Raises QueryTooSlow or DatabaseUnavailable."""
