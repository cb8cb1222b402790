"""Answers that hold profiles: how they are translated, and where they are cut.

A dense profile takes hundreds of milliseconds to translate, and a page of them many seconds and hundreds of MiB. So
this is done in slices, and an answer ends before it would become too large, with at least one profile.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from google.protobuf.message import Message
from userfold.v1 import campaign_service_pb2, user_pb2

from runtime.turns import Turns
from server import limits
from server.model import Fetched, FetchedGroup, Profile
from server.rpc.call import Call
from server.services import convert
from server.services.stored_metadata import AsJson, AsStruct, Translation

METADATA_FORMAT: Final = "x-userfold-metadata-format"
"""The metadata by which a call asks for `User.metadata_json`: its value is then `json`."""

# What a profile costs beside its metadata, in the steps of `limits.ANSWER_WORK`; and how many bytes of BSON are read in
# one.
_PROFILE_WORK: Final = 60
_BYTES_A_STEP: Final = 50

# The same of a group of a report, whose days are messages of their own.
_GROUP_BYTES_A_STEP: Final = 10

# A control character is six in JSON.
_JSON_GROWTH: Final = 6


class ResponseBuilder:
    """One answer, for as many users as fit."""

    def __init__(self, call: Call, turns: Turns) -> None:
        self._owner = call.application.application_id
        self._turns = turns
        self._as_json = (METADATA_FORMAT, "json") in call.metadata
        self._slice = self._work = self._bytes = 0

    async def users(self, fetched: Sequence[Fetched], into: Any) -> int:
        """Add the messages of users to a repeated field, and tell how many fit, the first always."""
        for count, each in enumerate(fetched):
            if not await self.next_user(each, into.add()):
                del into[-1]
                return count
        return len(fetched)

    async def next_user(self, fetched: Fetched, message: user_pb2.User) -> bool:
        """Fill the message of one user among several, and tell whether it fits after those before."""
        is_first = not self._bytes
        await self.user(fetched, message)
        return self._has_held(message) or is_first

    async def user(self, fetched: Fetched, message: user_pb2.User) -> None:
        """Fill the message of a user."""
        await self._decode(fetched)
        await self._translate(fetched.profile(), message)

    async def export(self, fetched: Fetched, message: user_pb2.UserExport) -> bool:
        """Fill the message of all that is stored of a user, and tell whether it fits after those before."""
        await self._decode(fetched)
        is_first = not self._bytes
        stored = fetched.stored_user()
        convert.fill_export(stored, message)
        await self._translate(stored.profile, message.user)
        if stored.visitor is not None:
            visitor = message.visitors.add()
            convert.fill_export(stored.visitor, visitor)
            await self._translate(stored.visitor.profile, visitor.visitor)
        return self._has_held(message) or is_first

    async def groups(self, fetched: Sequence[FetchedGroup], into: Any) -> int:
        """Add the messages of a report's groups to a repeated field, and tell how many fit, the first always."""
        for count, each in enumerate(fetched):
            message = into.add()
            await self.group(each, message)
            if not self._has_held(message) and count:
                del into[-1]
                return count
        return len(fetched)

    async def group(self, fetched: FetchedGroup, message: campaign_service_pb2.CampaignGroup) -> None:
        """Fill the message of a report's group."""
        await self._spend(_PROFILE_WORK + fetched.size // _GROUP_BYTES_A_STEP)
        convert.fill_group(fetched.group(), message)

    def _has_held(self, message: Message) -> bool:
        """Whether the answer held this message, too."""
        size = message.ByteSize()
        if self._as_json:
            # Metadata is JSON already, and grows no more.
            in_json = sum(map(len, convert.metadata_texts(message)))
            size = in_json + _JSON_GROWTH * (size - in_json)
        self._bytes += size
        return self._bytes <= limits.ANSWER_BYTES and self._work <= limits.ANSWER_WORK

    async def _decode(self, fetched: Fetched) -> None:
        await self._spend(_PROFILE_WORK + fetched.size // _BYTES_A_STEP)

    async def _translate(self, profile: Profile, message: user_pb2.User) -> None:
        convert.fill_user(profile, message)
        if profile.metadata is None:
            return
        if self._as_json:
            as_json = AsJson(profile.metadata)
            await self._finish(as_json)
            message.metadata_json = orjson.dumps(as_json.done)
        else:
            message.metadata.SetInParent()
            await self._finish(AsStruct(profile.metadata, message.metadata))

    async def _finish(self, translation: Translation) -> None:
        while True:
            most = max(1, (limits.SLICE_WORK - self._slice) // translation.steps)
            values = translation.work(most)
            if values < most:
                self._slice += values * translation.steps
                self._work += values * translation.steps
                return
            await self._spend(values * translation.steps)

    async def _spend(self, work: int) -> None:
        """Do so much work next, or after it, in the next turn where the slice ends."""
        self._work += work
        self._slice += work
        if self._slice >= limits.SLICE_WORK:
            await self._turns.turn(self._owner)
            self._slice = 0
