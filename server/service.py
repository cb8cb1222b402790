"""The methods of UserService: translate, plan, store, translate back."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence, Sized
from typing import Any, TypeVar

import grpc
from google.rpc.status_pb2 import Status
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceServicer

from processes.turns import Turns
from server import limits, wire
from server.addresses import address_of_peer, client_address
from server.answers import Answer
from server.batch import REFUSED_IN_ONE_TURN, outcomes_of, plan_batch, plan_each, result_of, results_of, writes_of
from server.call import Metadata, current_call
from server.erasure import plan_alias_removal, plan_erasure, plan_export, plan_suppression
from server.errors import BatchTooLarge, ExportTooLarge, InvalidRequest, UserfoldError, UserNotFound, Violation
from server.filter import parse_filter
from server.group import GroupedProfileStore
from server.listing import bound_to, plan_listing
from server.lookup import plan_lookup
from server.lookups import GroupedLookups
from server.model import PlannedUpdate
from server.pages import PageTokens
from server.plan import plan_update
from server.query import plan_query
from server.refusals import status_of_refusal
from server.report import plan_report
from server.store.erasure import ProfileErasure
from server.store.queries import ProfileQueries
from server.stream import UpdateStream

CLIENT_ADDRESS = "x-userfold-client-address"
"""The metadata in which the gateway passes on the address of its client."""

_NOTHING_TO_TELL = pb.UpdateUserResponse()

Context = grpc.aio.ServicerContext[Any, Any]

_Outcome = TypeVar("_Outcome")


class UserService(UserServiceServicer):
    """The service over a store. `clock` tells the time in nanoseconds since 1970-01-01 UTC; when `stopping` is set,
    streams end. Long work is done in slices, in `turns` by application.

    By the time that a method is called, `handlers` has made sure that the credential may do this: `current_call` tells
    the application.
    """

    def __init__(
        self,
        profiles: GroupedProfileStore,
        queries: ProfileQueries,
        erasure: ProfileErasure,
        tokens: PageTokens,
        clock: Callable[[], int],
        stopping: asyncio.Event,
        turns: Turns,
    ) -> None:
        self._profiles = profiles
        self._queries = queries
        self._lookups = GroupedLookups(queries)
        self._erasure = erasure
        self._tokens = tokens
        self._clock = clock
        self._stopping = stopping
        self._turns = turns

    async def UpdateUser(self, request: pb.UpdateUserRequest, context: Context) -> pb.UpdateUserResponse:
        call = current_call()
        application_id, now = call.application.application_id, self._clock()
        address = _client_address(call.metadata, context)

        def plan() -> PlannedUpdate:
            return plan_update(application_id, wire.update_from_message(request.user, address), now)

        planned, outcome = await self._profiles.submit_unplanned(application_id, call.octets, plan)
        error, warnings = result_of(planned, outcome)
        if error is not None:
            raise error
        return pb.UpdateUserResponse(warnings=wire.warning_messages(warnings)) if warnings else _NOTHING_TO_TELL

    async def BatchUpdateUsers(
        self, request: pb.BatchUpdateUsersRequest, context: Context
    ) -> pb.BatchUpdateUsersResponse:
        _require_batch(request.users)
        call = current_call()
        addresses = _client_addresses(request, call.metadata, context)
        application_id, now = call.application.application_id, self._clock()
        planned = await plan_batch(application_id, request.users, addresses, now, self._turns, call.oversized)
        outcomes = await self._profiles.submit(writes_of(planned))
        response = pb.BatchUpdateUsersResponse()
        refused = 0
        for index, (error, warnings) in enumerate(results_of(planned, outcomes)):
            result = response.results.add()
            prefix = f"users[{index}]."
            if error is not None:
                refused += 1
                if refused % REFUSED_IN_ONE_TURN == 0:
                    await self._turns.turn(application_id)
                result.status.CopyFrom(status_of_refusal("BatchUpdateUsers", error, prefix))
            elif warnings:
                result.warnings.extend(wire.warning_messages(warnings, prefix))
        return response

    async def StreamUpdateUsers(
        self, request_iterator: AsyncIterable[pb.StreamUpdateUsersRequest], context: Context
    ) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        call = current_call()
        address = _client_address(call.metadata, context)
        application_id = call.application.application_id
        stream = UpdateStream(
            self._profiles, application_id, address, self._clock, self._stopping, self._turns, lambda: call.oversized
        )
        async for response in stream.acknowledge(request_iterator):
            yield response

    def StreamBatchUpdateUsers(
        self, request_iterator: AsyncIterable[pb.StreamBatchUpdateUsersRequest], context: Context
    ) -> AsyncIterator[pb.StreamBatchUpdateUsersResponse]:
        """Never called: each of its requests is a BatchUpdateUsers, admitted and told as such. See `handlers`."""
        raise NotImplementedError

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:
        fetched = await self._queries.find(plan_export(_application_id(), "user_id", request.user_id))
        if fetched is None:
            raise UserNotFound
        response = pb.GetUserResponse()
        await self._answer().user(fetched, response.user)
        return response

    async def LookupUsers(self, request: pb.LookupUsersRequest, context: Context) -> pb.LookupUsersResponse:
        lookup = plan_lookup(_application_id(), wire.lookup_from_message(request), request.max_users)
        response = pb.LookupUsersResponse()
        async with self._lookups.look_up(lookup) as (found, has_more):
            count = await self._answer().users(found, response.users)
        response.has_more = has_more or count < len(found)
        return response

    async def RemoveAlias(self, request: pb.RemoveAliasRequest, context: Context) -> pb.RemoveAliasResponse:
        removal = plan_alias_removal(_application_id(), request.user_id, request.session_token)
        (removed,) = await self._erasure.remove_aliases([removal])
        return pb.RemoveAliasResponse(removed=_unless_error(removed))

    async def BatchRemoveAliases(
        self, request: pb.BatchRemoveAliasesRequest, context: Context
    ) -> pb.BatchRemoveAliasesResponse:
        _require_batch(request.requests)
        application_id = _application_id()
        planned = plan_each(
            lambda _, each: plan_alias_removal(application_id, each.user_id, each.session_token), request.requests
        )
        results = []
        for index, removed in enumerate(await outcomes_of(planned, self._erasure.remove_aliases)):
            prefix = f"requests[{index}]."
            if isinstance(removed, UserfoldError):
                status = status_of_refusal("BatchRemoveAliases", removed, prefix)
                results.append(pb.RemoveAliasResult(status=status))
            else:
                results.append(pb.RemoveAliasResult(removed=removed))
        return pb.BatchRemoveAliasesResponse(results=results)

    async def DeleteUser(self, request: pb.DeleteUserRequest, context: Context) -> pb.DeleteUserResponse:
        until = plan_suppression(request.suppress_days, self._clock())
        (deleted,) = await self._erasure.erase([plan_erasure(_application_id(), "user_id", request.user_id, until)])
        return pb.DeleteUserResponse(deleted=_unless_error(deleted))

    async def BatchDeleteUsers(
        self, request: pb.BatchDeleteUsersRequest, context: Context
    ) -> pb.BatchDeleteUsersResponse:
        _require_batch(request.user_ids)
        application_id, until = _application_id(), plan_suppression(request.suppress_days, self._clock())
        planned = plan_each(
            lambda index, user_id: plan_erasure(application_id, f"user_ids[{index}]", user_id, until), request.user_ids
        )
        results = []
        for deleted in await outcomes_of(planned, self._erasure.erase):
            if isinstance(deleted, UserfoldError):
                results.append(pb.DeleteUserResult(status=status_of_refusal("BatchDeleteUsers", deleted)))
            else:
                results.append(pb.DeleteUserResult(deleted=deleted))
        return pb.BatchDeleteUsersResponse(results=results)

    async def ExportUser(self, request: pb.ExportUserRequest, context: Context) -> pb.ExportUserResponse:
        application_id = _application_id()
        (stored,) = await self._queries.export(
            application_id, [plan_export(application_id, "user_id", request.user_id)]
        )
        response = pb.ExportUserResponse()
        await self._answer().export(_unless_error(stored), response.export)
        return response

    async def BatchExportUsers(
        self, request: pb.BatchExportUsersRequest, context: Context
    ) -> pb.BatchExportUsersResponse:
        _require_batch(request.user_ids)
        application_id = _application_id()
        planned = plan_each(
            lambda index, user_id: plan_export(application_id, f"user_ids[{index}]", user_id), request.user_ids
        )
        response, answer = pb.BatchExportUsersResponse(), self._answer()
        too_large: Status | None = None
        for stored in await outcomes_of(planned, lambda ids: self._queries.export(application_id, ids)):
            result = response.results.add()
            if isinstance(stored, UserfoldError) and not isinstance(stored, ExportTooLarge):
                result.status.CopyFrom(status_of_refusal("BatchExportUsers", stored))
            elif too_large or isinstance(stored, ExportTooLarge) or not await answer.export(stored, result.export):
                # Those after it, too, even where they are smaller: so whoever asks again begins with this one. It is
                # one refusal, made and logged once.
                too_large = too_large or status_of_refusal("BatchExportUsers", ExportTooLarge())
                result.ClearField("export")
                result.status.CopyFrom(too_large)
        return response

    async def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:
        application_id = _application_id()
        asked, now = wire.list_request_from_message(request), self._clock()
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

    async def ReportCampaigns(self, request: pb.ReportCampaignsRequest, context: Context) -> pb.ReportCampaignsResponse:
        asked = wire.report_request_from_message(request)
        report = await self._queries.report(plan_report(_application_id(), asked))
        response, answer = pb.ReportCampaignsResponse(), self._answer()
        if report.total is None:
            response.total.SetInParent()
        else:
            await answer.group(report.total, response.total)
        count = await answer.groups(report.groups, response.groups)
        response.has_more = report.has_more or count < len(report.groups)
        return response

    def _answer(self) -> Answer:
        """An answer to the current call."""
        return Answer(current_call(), self._turns)


def _application_id() -> str:
    return current_call().application.application_id


def _require_batch(items: Sized) -> None:
    """Raise BatchTooLarge where there are too many."""
    if len(items) > limits.BATCH_UPDATES:
        raise BatchTooLarge


def _unless_error(outcome: _Outcome | UserfoldError) -> _Outcome:
    """What became of a single item. Raises it where it is an error."""
    if isinstance(outcome, UserfoldError):
        raise outcome
    return outcome


def _client_addresses(
    request: pb.BatchUpdateUsersRequest, metadata: Metadata, context: Context
) -> Sequence[str | None]:
    """The client address of each update of a batch."""
    if not request.client_addresses:
        return [_client_address(metadata, context)] * len(request.users)
    if len(request.client_addresses) != len(request.users):
        raise InvalidRequest([Violation("client_addresses", "WRONG_LENGTH", "must be as many as users, or none")])
    return [client_address(text) for text in request.client_addresses]


def _client_address(metadata: Metadata, context: Context) -> str | None:
    """The address of the request's client: as the gateway tells it, else of the peer. None for a local socket."""
    for name, value in metadata:
        if name == CLIENT_ADDRESS and isinstance(value, str):
            return client_address(value)
    return address_of_peer(context.peer())
