"""Users and groups as fakes of the queries return them."""

from collections.abc import AsyncGenerator, Sequence

from server.errors import ProfileTooLarge
from server.model import CampaignGroup, Profile, ProfileWrite, StoredUser
from server.users.ports import Previewed


class FetchedProfile:
    """A Fetched that holds a profile."""

    def __init__(self, profile: Profile, position: Sequence[object] = (), size: int = 100) -> None:
        self._profile = profile
        self._position = position
        self.size = size

    def profile(self) -> Profile:
        return self._profile

    def stored_user(self) -> StoredUser:
        return StoredUser(self._profile, [], [])

    def position(self, keys: Sequence[str]) -> Sequence[object]:
        assert len(keys) == len(self._position)
        return self._position


class FetchedReportGroup:
    """A FetchedGroup that holds a group."""

    def __init__(self, group: CampaignGroup, size: int = 100) -> None:
        self._group = group
        self.size = size

    def group(self) -> CampaignGroup:
        return self._group


class NoPreviews:
    """ProfilePreviews for tests without dry runs."""

    async def preview(self, writes: Sequence[ProfileWrite]) -> AsyncGenerator[Previewed, None]:
        assert not writes
        for _ in writes:
            yield ProfileTooLarge()
