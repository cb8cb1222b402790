"""The methods of UserService: translate, plan, store, translate back."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from google.protobuf.unknown_fields import UnknownFieldSet
from userfold.v1 import user_service_pb2 as pb

from runtime.turns import Turns
from server.commit.lookup_batcher import LookupBatcher
from server.commit.write_batcher import WriteBatcher
from server.errors import GatewayTooOld, UserfoldError, UserNotFound
from server.model import PlannedUpdate
from server.query.field_mask import parse_mask
from server.query.page_token import PageTokens
from server.rpc.call import Call, is_from_gateway_0_1
from server.rpc.parsing import ParsedRequest
from server.rpc.refusal_log import status_of_refusal
from server.services import convert
from server.services.batch_reads import fill_read_results
from server.services.batch_updates import BatchUpdater, messages, outcomes_of, plan_each, require_batch, response_of
from server.services.sliced_responses import ResponseBuilder
from server.services.update_stream import UpdateStream
from server.users.addresses import MAX_LENGTH
from server.users.count import plan_count
from server.users.delete import plan_delete, plan_suppression
from server.users.export import plan_export
from server.users.get import plan_get
from server.users.list_users import plan_list, subject_of_list
from server.users.lookup import LATEST_FIRST, plan_lookup, subject_of_lookup
from server.users.ports import ProfileErasure, ProfileQueries
from server.users.remove_alias import plan_remove_alias
from server.users.update import plan_update

_ADDRESSES_IN_0_1: Final = 2
"""The number of the field `client_addresses` that a BatchUpdateUsersRequest had in version 0.1."""

_FRAMING: Final = 8
"""The upper bound of what protobuf adds to one update and one address: a tag and a length each."""

_Outcome = TypeVar("_Outcome")


class UserService:
    """Serves `userfold.v1.UserService` from a store of profiles.

    `clock` returns nanoseconds since 1970-01-01 UTC. Streams end when `stopping` is set. Long work is done in slices,
    in `turns` of the applications. The caller of each method is authenticated, and may call it.
    """

    def __init__(
        self,
        profiles: WriteBatcher,
        updater: BatchUpdater,
        queries: ProfileQueries,
        erasure: ProfileErasure,
        tokens: PageTokens,
        clock: Callable[[], int],
        stopping: asyncio.Event,
        turns: Turns,
    ) -> None:
        self._profiles = profiles
        self._updater = updater
        self._queries = queries
        self._lookups = LookupBatcher(queries)
        self._erasure = erasure
        self._tokens = tokens
        self._clock = clock
        self._stopping = stopping
        self._turns = turns

    async def UpdateUser(self, request: pb.UpdateUserRequest, call: Call) -> pb.UpdateUserResponse:
        call.refuse_validate_only(request)
        application_id, now, address = call.application_id, self._clock(), call.client_address()

        def plan() -> PlannedUpdate:
            return plan_update(application_id, convert.update_from_message(request.user, address), now)

        planned, outcome = await self._profiles.submit_unplanned(application_id, call.size_bytes, plan)
        return _unless_error(response_of(planned, outcome))

    async def BatchUpdateUsers(self, request: pb.BatchUpdateUsersRequest, call: Call) -> pb.BatchUpdateUsersResponse:
        call.refuse_validate_only(request)
        require_batch(request.users)
        response = pb.BatchUpdateUsersResponse()
        await self._updater.update(
            messages(request.users), _addresses_from_gateway_0_1(request), call, response.results
        )
        return response

    async def StreamUpdateUsers(
        self, requests: AsyncIterable[ParsedRequest], call: Call
    ) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        stream = UpdateStream(self._profiles, call, self._clock, self._stopping, self._turns)
        async for response in stream.acknowledge(requests):
            yield response

    async def GetUser(self, request: pb.GetUserRequest, call: Call) -> pb.GetUserResponse:
        fetched = await self._queries.find(plan_get(call.application_id, "user_id", request.user_id))
        if fetched is None:
            raise UserNotFound
        response = pb.GetUserResponse()
        await self._builder(call).user(fetched, response.user)
        return response

    async def BatchGetUsers(self, request: pb.BatchGetUsersRequest, call: Call) -> pb.BatchGetUsersResponse:
        planned, mask = _plan_reads(call.application_id, request.user_ids), parse_mask(request.fields)
        fetched = await outcomes_of(planned, lambda ids: self._queries.find_many(ids, mask))
        response, builder = pb.BatchGetUsersResponse(), self._builder(call)
        await fill_read_results(
            "BatchGetUsers",
            response.results,
            fetched,
            lambda user, message: builder.next_user(user, message.user),
            call.application_id,
            self._turns,
        )
        return response

    async def LookupUsers(self, request: pb.LookupUsersRequest, call: Call) -> pb.LookupUsersResponse:
        now = self._clock()
        lookup = plan_lookup(call.application_id, convert.lookup_request_from_message(request), self._tokens, now)
        response = pb.LookupUsersResponse()
        async with self._lookups.look_up(lookup) as (fetched, has_more):
            count = await self._builder(call).users(fetched, response.users)
        if has_more or count < len(fetched):
            if is_from_gateway_0_1(call.metadata):
                # It ignores page tokens, and would pass the first page on as the whole result.
                raise GatewayTooOld
            position = fetched[count - 1].position(LATEST_FIRST)
            response.next_page_token = self._tokens.seal(position, subject_of_lookup(lookup), now)
        return response

    async def RemoveAlias(self, request: pb.RemoveAliasRequest, call: Call) -> pb.RemoveAliasResponse:
        removal = plan_remove_alias(call.application_id, request.user_id, request.session_token)
        (removed,) = await self._erasure.remove_aliases([removal])
        return pb.RemoveAliasResponse(removed=_unless_error(removed))

    async def BatchRemoveAliases(
        self, request: pb.BatchRemoveAliasesRequest, call: Call
    ) -> pb.BatchRemoveAliasesResponse:
        require_batch(request.requests)
        planned = plan_each(
            lambda _, item: plan_remove_alias(call.application_id, item.user_id, item.session_token), request.requests
        )
        results = []
        for index, removed in enumerate(await outcomes_of(planned, self._erasure.remove_aliases)):
            if isinstance(removed, UserfoldError):
                error = status_of_refusal("BatchRemoveAliases", removed, f"requests[{index}].")
                results.append(pb.RemoveAliasResult(error=error))
            else:
                results.append(pb.RemoveAliasResult(response=pb.RemoveAliasResponse(removed=removed)))
        return pb.BatchRemoveAliasesResponse(results=results)

    async def DeleteUser(self, request: pb.DeleteUserRequest, call: Call) -> pb.DeleteUserResponse:
        call.refuse_validate_only(request)
        until = plan_suppression(request.suppress_days, self._clock())
        (deleted,) = await self._erasure.erase([plan_delete(call.application_id, "user_id", request.user_id, until)])
        return pb.DeleteUserResponse(deleted=_unless_error(deleted))

    async def BatchDeleteUsers(self, request: pb.BatchDeleteUsersRequest, call: Call) -> pb.BatchDeleteUsersResponse:
        call.refuse_validate_only(request)
        require_batch(request.user_ids)
        application_id, until = call.application_id, plan_suppression(request.suppress_days, self._clock())
        planned = plan_each(
            lambda index, user_id: plan_delete(application_id, f"user_ids[{index}]", user_id, until), request.user_ids
        )
        results = []
        for deleted in await outcomes_of(planned, self._erasure.erase):
            if isinstance(deleted, UserfoldError):
                results.append(pb.DeleteUserResult(error=status_of_refusal("BatchDeleteUsers", deleted)))
            else:
                results.append(pb.DeleteUserResult(response=pb.DeleteUserResponse(deleted=deleted)))
        return pb.BatchDeleteUsersResponse(results=results)

    async def ExportUser(self, request: pb.ExportUserRequest, call: Call) -> pb.ExportUserResponse:
        application_id = call.application_id
        plan = plan_export(application_id, "user_id", request.user_id)
        (fetched,) = await self._queries.export(application_id, [plan])
        response = pb.ExportUserResponse()
        await self._builder(call).export(_unless_error(fetched), response.user_export)
        return response

    async def BatchExportUsers(self, request: pb.BatchExportUsersRequest, call: Call) -> pb.BatchExportUsersResponse:
        application_id = call.application_id
        planned = _plan_reads(application_id, request.user_ids)
        fetched = await outcomes_of(planned, lambda ids: self._queries.export(application_id, ids))
        response, builder = pb.BatchExportUsersResponse(), self._builder(call)
        await fill_read_results(
            "BatchExportUsers",
            response.results,
            fetched,
            lambda user, message: builder.export(user, message.user_export),
            application_id,
            self._turns,
        )
        return response

    async def ListUsers(self, request: pb.ListUsersRequest, call: Call) -> pb.ListUsersResponse:
        list_request, now = convert.list_request_from_message(request), self._clock()
        listing = plan_list(call.application_id, list_request, self._tokens, now)
        fetched, has_more = await self._queries.list_users(listing)
        response = pb.ListUsersResponse()
        count = await self._builder(call).users(fetched, response.users)
        if has_more or count < len(fetched):
            position = fetched[count - 1].position(listing.keys)
            subject = subject_of_list(call.application_id, list_request)
            response.next_page_token = self._tokens.seal(position, subject, now)
        return response

    async def CountUsers(self, request: pb.CountUsersRequest, call: Call) -> pb.CountUsersResponse:
        query = plan_count(call.application_id, request.filter)
        return pb.CountUsersResponse(count=await self._queries.count(query))

    def _builder(self, call: Call) -> ResponseBuilder:
        return ResponseBuilder(call, self._turns)


def _plan_reads(application_id: str, user_ids: Sequence[str]) -> Sequence[str | UserfoldError]:
    """The `_id` of each profile of a batch, or why it is refused. Raises BatchTooLarge."""
    require_batch(user_ids)
    return plan_each(lambda index, user_id: plan_export(application_id, f"user_ids[{index}]", user_id), user_ids)


def _unless_error(outcome: _Outcome | UserfoldError) -> _Outcome:
    """The outcome of a single item. Raises it where it is an error."""
    if isinstance(outcome, UserfoldError):
        raise outcome
    return outcome


def _addresses_from_gateway_0_1(request: pb.BatchUpdateUsersRequest) -> list[str]:
    """The client addresses that a gateway of version 0.1 sends beside the updates of its clients.

    Empty where there are none, or where the request holds more unknown fields than these addresses could be: to read
    them costs, and a request may hold a hundred thousand.
    """
    size_beside_users = request.ByteSize() - sum(user.ByteSize() for user in request.users)
    if size_beside_users > len(request.users) * (MAX_LENGTH + _FRAMING):
        return []
    unknown: Iterable[Any] = UnknownFieldSet(request)  # type: ignore[assignment]  # The stubs leave out that it iterates.
    return [
        field.data.decode("latin-1")
        for field in unknown
        if field.field_number == _ADDRESSES_IN_0_1 and isinstance(field.data, bytes)
    ]
