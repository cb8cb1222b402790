"""The methods of UserService: translate, plan, store, translate back."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.unknown_fields import UnknownFieldSet
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceServicer

from runtime.turns import Turns
from server.commit.group_commit import GroupedProfileStore
from server.commit.lookup_batcher import GroupedLookups
from server.errors import GatewayTooOld, UserfoldError, UserNotFound
from server.model import PlannedUpdate
from server.query.field_mask import parse_mask
from server.query.grammar import parse_filter
from server.query.page_token import PageTokens
from server.rpc.call import address_of_client, current_call, is_of_older_gateway, refuse_validate_only
from server.rpc.refusals import status_of_refusal
from server.services import convert
from server.services.batch_reads import fill_read_results
from server.services.batch_results import outcomes_of, plan_each, response_of
from server.services.batches import Batches, require_batch
from server.services.responses import Answer
from server.services.update_stream import UpdateStream
from server.users.addresses import LONGEST
from server.users.by_id import plan_alias_removal, plan_erasure, plan_export, plan_suppression
from server.users.filter_conditions import plan_query
from server.users.listing import bound_to, plan_listing
from server.users.lookup import LATEST_FIRST, plan_lookup, subject_of
from server.users.ports import ProfileErasure, ProfileQueries
from server.users.update import plan_update

_OLDER_ADDRESSES: Final = 2
"""The field `client_addresses` of a BatchUpdateUsersRequest in version 0.1."""

_FRAMING: Final = 8
"""The most bytes that Protobuf adds to one update and one address: a tag and a length each."""

Context = grpc.aio.ServicerContext[Any, Any]

_Outcome = TypeVar("_Outcome")


class UserService(UserServiceServicer):
    """The service over a store. `clock` tells the time in nanoseconds since 1970-01-01 UTC; when `stopping` is set,
    streams end. Long work is done in slices, in `turns` by application.

    By the time that a method is called, `dispatch` has made sure that the credential may do this: `current_call` tells
    the application.
    """

    def __init__(
        self,
        profiles: GroupedProfileStore,
        batches: Batches,
        queries: ProfileQueries,
        erasure: ProfileErasure,
        tokens: PageTokens,
        clock: Callable[[], int],
        stopping: asyncio.Event,
        turns: Turns,
    ) -> None:
        self._profiles = profiles
        self._batches = batches
        self._queries = queries
        self._lookups = GroupedLookups(queries)
        self._erasure = erasure
        self._tokens = tokens
        self._clock = clock
        self._stopping = stopping
        self._turns = turns

    async def UpdateUser(self, request: pb.UpdateUserRequest, context: Context) -> pb.UpdateUserResponse:
        refuse_validate_only(request)
        call = current_call()
        application_id, now = call.application.application_id, self._clock()
        address = address_of_client(call.metadata, context.peer)

        def plan() -> PlannedUpdate:
            return plan_update(application_id, convert.update_from_message(request.user, address), now)

        planned, outcome = await self._profiles.submit_unplanned(application_id, call.octets, plan)
        return _unless_error(response_of(planned, outcome))

    async def BatchUpdateUsers(
        self, request: pb.BatchUpdateUsersRequest, context: Context
    ) -> pb.BatchUpdateUsersResponse:
        refuse_validate_only(request)
        require_batch(request.users)
        call = current_call()
        addresses = _addresses_of_older_gateway(request)
        observed = address_of_client(call.metadata, context.peer)
        response = pb.BatchUpdateUsersResponse()
        await self._batches.update(request.users, addresses, observed, call, response.results)
        return response

    async def StreamUpdateUsers(
        self, request_iterator: AsyncIterable[pb.StreamUpdateUsersRequest], context: Context
    ) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        call = current_call()
        address = address_of_client(call.metadata, context.peer)
        application_id = call.application.application_id
        stream = UpdateStream(
            self._profiles, application_id, address, self._clock, self._stopping, self._turns, lambda: call.oversized
        )
        async for response in stream.acknowledge(request_iterator):
            yield response

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:
        fetched = await self._queries.find(plan_export(_application_id(), "user_id", request.user_id))
        if fetched is None:
            raise UserNotFound
        response = pb.GetUserResponse()
        await self._answer().user(fetched, response.user)
        return response

    async def BatchGetUsers(self, request: pb.BatchGetUsersRequest, context: Context) -> pb.BatchGetUsersResponse:
        planned, mask = _planned_reads(request.user_ids), parse_mask(request.fields)
        found = await outcomes_of(planned, lambda ids: self._queries.find_many(ids, mask))
        response, answer = pb.BatchGetUsersResponse(), self._answer()
        await fill_read_results(
            "BatchGetUsers",
            response.results,
            found,
            lambda user, message: answer.next_user(user, message.user),
            _application_id(),
            self._turns,
        )
        return response

    async def LookupUsers(self, request: pb.LookupUsersRequest, context: Context) -> pb.LookupUsersResponse:
        now = self._clock()
        lookup = plan_lookup(_application_id(), convert.lookup_request_from_message(request), self._tokens, now)
        response = pb.LookupUsersResponse()
        async with self._lookups.look_up(lookup) as (found, has_more):
            count = await self._answer().users(found, response.users)
        if has_more or count < len(found):
            if is_of_older_gateway(current_call().metadata):
                # It knows no page tokens, and would answer that these are all.
                raise GatewayTooOld
            position = found[count - 1].position(LATEST_FIRST)
            response.next_page_token = self._tokens.seal(position, subject_of(lookup), now)
        return response

    async def RemoveAlias(self, request: pb.RemoveAliasRequest, context: Context) -> pb.RemoveAliasResponse:
        removal = plan_alias_removal(_application_id(), request.user_id, request.session_token)
        (removed,) = await self._erasure.remove_aliases([removal])
        return pb.RemoveAliasResponse(removed=_unless_error(removed))

    async def BatchRemoveAliases(
        self, request: pb.BatchRemoveAliasesRequest, context: Context
    ) -> pb.BatchRemoveAliasesResponse:
        require_batch(request.requests)
        application_id = _application_id()
        planned = plan_each(
            lambda _, each: plan_alias_removal(application_id, each.user_id, each.session_token), request.requests
        )
        results = []
        for index, removed in enumerate(await outcomes_of(planned, self._erasure.remove_aliases)):
            prefix = f"requests[{index}]."
            if isinstance(removed, UserfoldError):
                error = status_of_refusal("BatchRemoveAliases", removed, prefix)
                results.append(pb.RemoveAliasResult(error=error))
            else:
                results.append(pb.RemoveAliasResult(response=pb.RemoveAliasResponse(removed=removed)))
        return pb.BatchRemoveAliasesResponse(results=results)

    async def DeleteUser(self, request: pb.DeleteUserRequest, context: Context) -> pb.DeleteUserResponse:
        refuse_validate_only(request)
        until = plan_suppression(request.suppress_days, self._clock())
        (deleted,) = await self._erasure.erase([plan_erasure(_application_id(), "user_id", request.user_id, until)])
        return pb.DeleteUserResponse(deleted=_unless_error(deleted))

    async def BatchDeleteUsers(
        self, request: pb.BatchDeleteUsersRequest, context: Context
    ) -> pb.BatchDeleteUsersResponse:
        refuse_validate_only(request)
        require_batch(request.user_ids)
        application_id, until = _application_id(), plan_suppression(request.suppress_days, self._clock())
        planned = plan_each(
            lambda index, user_id: plan_erasure(application_id, f"user_ids[{index}]", user_id, until), request.user_ids
        )
        results = []
        for deleted in await outcomes_of(planned, self._erasure.erase):
            if isinstance(deleted, UserfoldError):
                results.append(pb.DeleteUserResult(error=status_of_refusal("BatchDeleteUsers", deleted)))
            else:
                results.append(pb.DeleteUserResult(response=pb.DeleteUserResponse(deleted=deleted)))
        return pb.BatchDeleteUsersResponse(results=results)

    async def ExportUser(self, request: pb.ExportUserRequest, context: Context) -> pb.ExportUserResponse:
        application_id = _application_id()
        (stored,) = await self._queries.export(
            application_id, [plan_export(application_id, "user_id", request.user_id)]
        )
        response = pb.ExportUserResponse()
        await self._answer().export(_unless_error(stored), response.user_export)
        return response

    async def BatchExportUsers(
        self, request: pb.BatchExportUsersRequest, context: Context
    ) -> pb.BatchExportUsersResponse:
        planned, application_id = _planned_reads(request.user_ids), _application_id()
        stored = await outcomes_of(planned, lambda ids: self._queries.export(application_id, ids))
        response, answer = pb.BatchExportUsersResponse(), self._answer()
        await fill_read_results(
            "BatchExportUsers",
            response.results,
            stored,
            lambda user, message: answer.export(user, message.user_export),
            application_id,
            self._turns,
        )
        return response

    async def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:
        application_id = _application_id()
        asked, now = convert.list_request_from_message(request), self._clock()
        listing = plan_listing(application_id, asked, self._tokens, now)
        fetched, has_more = await self._queries.list_users(listing)
        response = pb.ListUsersResponse()
        count = await self._answer().users(fetched, response.users)
        if has_more or count < len(fetched):
            position = fetched[count - 1].position(listing.keys)
            response.next_page_token = self._tokens.seal(position, bound_to(application_id, asked), now)
        return response

    async def CountUsers(self, request: pb.CountUsersRequest, context: Context) -> pb.CountUsersResponse:
        query = plan_query(_application_id(), parse_filter(request.filter))
        return pb.CountUsersResponse(count=await self._queries.count(query))

    def _answer(self) -> Answer:
        """An answer to the current call."""
        return Answer(current_call(), self._turns)


def _application_id() -> str:
    return current_call().application.application_id


def _planned_reads(user_ids: Sequence[str]) -> Sequence[str | UserfoldError]:
    """The `_id` of the profile of each user of a batch, or why it is refused. Raises BatchTooLarge."""
    require_batch(user_ids)
    application_id = _application_id()
    return plan_each(lambda index, user_id: plan_export(application_id, f"user_ids[{index}]", user_id), user_ids)


def _unless_error(outcome: _Outcome | UserfoldError) -> _Outcome:
    """What became of a single item. Raises it where it is an error."""
    if isinstance(outcome, UserfoldError):
        raise outcome
    return outcome


def _addresses_of_older_gateway(request: pb.BatchUpdateUsersRequest) -> list[str]:
    """The client addresses that a gateway of version 0.1 sends with the updates of its clients. Empty where there are
    none, or where the request has more beside its updates than their addresses can have.
    """
    # Each unknown field costs time, and anyone may send a hundred thousand of them.
    beside = request.ByteSize() - sum(user.ByteSize() for user in request.users)
    if beside > len(request.users) * (LONGEST + _FRAMING):
        return []
    unknown: Iterable[Any] = UnknownFieldSet(request)  # type: ignore[assignment]  # The stubs leave out that it iterates.
    return [
        field.data.decode("latin-1")
        for field in unknown
        if field.field_number == _OLDER_ADDRESSES and isinstance(field.data, bytes)
    ]
