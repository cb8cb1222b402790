"""Responses with profiles or with groups of a report: built in slices, and ended at their size limit.

A profile with very many values takes long to translate, and a page of such profiles takes seconds and much memory. So
other applications have a turn after each slice, and a response ends at its limit, but not before its first profile.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import orjson
from google.protobuf.message import Message
from userfold.v1 import campaign_service_pb2, company_pb2, user_pb2, user_service_pb2

from runtime.turns import Turns
from server import limits
from server.model import Fetched, FetchedGroup, Profile, StoredUser
from server.rpc.call import Call
from server.services import convert
from server.services.stored_metadata import AsJson, AsStruct, Translation

ProfileMessage: TypeAlias = user_pb2.User | company_pb2.Company

METADATA_FORMAT: Final = "x-userfold-metadata-format"
"""The metadata with which a call requests `User.metadata_json`: its value is then `json`."""

# In steps of `limits.ANSWER_WORK`: what a profile takes beside its metadata, and the bytes of BSON that one step reads.
_PROFILE_WORK: Final = 60
_BYTES_PER_STEP: Final = 50

# Fewer for a group of a report, whose days are messages of their own.
_GROUP_BYTES_PER_STEP: Final = 10

# A control character takes six bytes in JSON.
_JSON_GROWTH: Final = 6


class ResponseBuilder:
    """Builds one response, with as many profiles or groups as fit.

    `_slice` counts the steps of the current slice, `_work` those of the whole response, `_bytes` its size.
    """

    def __init__(self, call: Call, turns: Turns) -> None:
        self._application_id = call.application_id
        self._turns = turns
        self._as_json = (METADATA_FORMAT, "json") in call.metadata
        self._slice = self._work = self._bytes = 0

    async def profiles(self, fetched: Sequence[Fetched], messages: Any) -> int:
        """Add profiles to the repeated field `messages`. Returns how many fit: at least the first."""
        for count, profile in enumerate(fetched):
            if not await self.next_profile(profile, messages.add()):
                del messages[-1]
                return count
        return len(fetched)

    async def next_profile(self, fetched: Fetched, message: ProfileMessage) -> bool:
        """Fill the message of one of several profiles. Returns whether it fits, as the first always does."""
        is_first = not self._bytes
        await self.profile(fetched, message)
        return self._add_size(message) or is_first

    async def profile(self, fetched: Fetched, message: ProfileMessage) -> None:
        """Fill the message of a profile."""
        await self._decode(fetched)
        await self._translate(fetched.profile(), message)

    async def next_user(
        self, user: Fetched, company: Fetched | None, message: user_service_pb2.GetUserResponse
    ) -> bool:
        """Fill the response of one of several users, with the company if there is one. Returns whether it fits, as the
        first always does.
        """
        is_first = not self._bytes
        await self.profile(user, message.user)
        if company is not None:
            await self.profile(company, message.company)
        return self._add_size(message) or is_first

    async def preview(self, profile: Profile, size: int, response: Message, message: ProfileMessage) -> bool:
        """Fill the message of the profile in the response of a dry run, of which `size` bytes of BSON were decoded.
        Returns whether the response fits, as the first always does.
        """
        is_first = not self._bytes
        await self._spend(_PROFILE_WORK + size // _BYTES_PER_STEP)
        await self._translate(profile, message)
        return self._add_size(response) or is_first

    async def export(self, fetched: Fetched, message: user_pb2.UserExport) -> bool:
        """Fill the message of an export of a user. Returns whether it fits, as the first always does."""
        await self._decode(fetched)
        is_first = not self._bytes
        stored = fetched.stored_user()
        convert.fill_export(stored, message)
        await self._translate(stored.profile, message.user)
        for visitor in stored.visitors:
            await self._fill_visitor(visitor, message.visitors.add())
        return self._add_size(message) or is_first

    async def visitor_export(self, fetched: Fetched, message: user_pb2.VisitorExport) -> None:
        """Fill the message of an export of a visitor."""
        await self._decode(fetched)
        await self._fill_visitor(fetched.stored_user(), message)

    async def _fill_visitor(self, stored: StoredUser, message: user_pb2.VisitorExport) -> None:
        convert.fill_export(stored, message)
        await self._translate(stored.profile, message.visitor)

    async def company_export(self, fetched: Fetched, message: company_pb2.CompanyExport) -> None:
        """Fill the message of an export of a company."""
        await self._decode(fetched)
        await self._translate(fetched.stored_user().profile, message.company)

    async def groups(self, fetched: Sequence[FetchedGroup], messages: Any) -> int:
        """Add groups of a report to the repeated field `messages`. Returns how many fit: at least the first."""
        for count, group in enumerate(fetched):
            message = messages.add()
            await self.group(group, message)
            if not self._add_size(message) and count:
                del messages[-1]
                return count
        return len(fetched)

    async def group(self, fetched: FetchedGroup, message: campaign_service_pb2.CampaignGroup) -> None:
        """Fill the message of a group of a report."""
        await self._spend(_PROFILE_WORK + fetched.size // _GROUP_BYTES_PER_STEP)
        convert.fill_group(fetched.group(), message)

    def _add_size(self, message: Message) -> bool:
        """Add the size of a message to the response. Returns whether the response is within its limits."""
        size = message.ByteSize()
        if self._as_json:
            # Metadata is JSON already. The remaining fields grow when the gateway prints them.
            metadata_size = sum(map(len, convert.metadata_json_of(message)))
            size = metadata_size + _JSON_GROWTH * (size - metadata_size)
        self._bytes += size
        return self._bytes <= limits.ANSWER_BYTES and self._work <= limits.ANSWER_WORK

    async def _decode(self, fetched: Fetched) -> None:
        await self._spend(_PROFILE_WORK + fetched.size // _BYTES_PER_STEP)

    async def _translate(self, profile: Profile, message: ProfileMessage) -> None:
        convert.fill_profile(profile, message)
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
            limit = max(1, (limits.SLICE_WORK - self._slice) // translation.steps)
            values = translation.work(limit)
            if values < limit:
                self._slice += values * translation.steps
                self._work += values * translation.steps
                return
            await self._spend(values * translation.steps)

    async def _spend(self, work: int) -> None:
        """Count steps, and wait for the next turn where they end the slice."""
        self._work += work
        self._slice += work
        if self._slice >= limits.SLICE_WORK:
            await self._turns.turn(self._application_id)
            self._slice = 0
