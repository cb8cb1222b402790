"""The methods of UserService: translate, plan, store, translate back."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from itertools import chain
from typing import TypeVar

from userfold.v1 import user_service_pb2 as pb

from runtime.turns import Turns
from server.commit.lookup_batcher import LookupBatcher
from server.errors import GatewayTooOld, UserfoldError, UserNotFound
from server.model import Erasure, Fetched, Scope, WouldErase
from server.query.field_mask import parse_mask
from server.query.page_token import PageTokens
from server.rpc.call import Call, is_from_gateway_0_1
from server.rpc.observing.refusal_log import status_of_refusal
from server.rpc.parsing import ParsedRequest
from server.services import convert
from server.services.batch_reads import fill_read_results
from server.services.company_finder import CompanyFinder, FoundUser
from server.services.sliced_responses import ResponseBuilder
from server.services.updates.batch_updates import outcomes_of, plan_each, require_batch
from server.services.updates.update_methods import UpdateMethods
from server.users.count import plan_count
from server.users.export import plan_export
from server.users.finding.lookup import plan_lookup, position_in, subject_of_lookup
from server.users.finding.suggest import merged, plan_suggestions, user_id_of
from server.users.get import plan_get
from server.users.identity.merge import plan_merge
from server.users.list_users import plan_list, subject_of_list
from server.users.ports import Erased, ProfileErasure, ProfileMerges, ProfileQueries, Suppressions
from server.users.removal.delete import plan_delete, plan_suppression
from server.users.removal.remove_alias import plan_remove_alias
from server.users.removal.suppressions import next_page_token, plan_lift, plan_suppressions

_Outcome = TypeVar("_Outcome")


class UserService:
    """Serves `userfold.v1.UserService` from a store of profiles.

    `clock` returns nanoseconds since 1970-01-01 UTC. Long work is done in slices, in `turns` of the applications. The
    caller of each method is authenticated, and may call it.
    """

    def __init__(
        self,
        updates: UpdateMethods,
        queries: ProfileQueries,
        companies: CompanyFinder,
        erasure: ProfileErasure,
        merges: ProfileMerges,
        suppressions: Suppressions,
        tokens: PageTokens,
        clock: Callable[[], int],
        turns: Turns,
    ) -> None:
        self._updates = updates
        self._queries = queries
        self._lookups = LookupBatcher(queries)
        self._companies = companies
        self._erasure = erasure
        self._merges = merges
        self._suppressions = suppressions
        self._tokens = tokens
        self._clock = clock
        self._turns = turns

    async def UpdateUser(self, request: pb.UpdateUserRequest, call: Call) -> pb.UpdateUserResponse:
        response: pb.UpdateUserResponse = await self._updates.update(request, call)
        return response

    async def BatchUpdateUsers(self, request: pb.BatchUpdateUsersRequest, call: Call) -> pb.BatchUpdateUsersResponse:
        response = pb.BatchUpdateUsersResponse()
        addresses = convert.addresses_from_gateway_0_1(request)
        await self._updates.update_batch(request, addresses, call, response.results)
        return response

    async def StreamUpdateUsers(
        self, requests: AsyncIterable[ParsedRequest], call: Call
    ) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        async for response in self._updates.update_stream(requests, call):
            yield response

    async def GetUser(self, request: pb.GetUserRequest, call: Call) -> pb.GetUserResponse:
        if request.include_company:
            call.require(Scope.READ_COMPANIES)
        fetched = await self._queries.find(plan_get(call.application_id, "user_id", request.user_id))
        if fetched is None:
            raise UserNotFound
        response = pb.GetUserResponse()
        (company,) = (
            await self._companies.of_users(call.application_id, [fetched]) if request.include_company else [None]
        )
        await FoundUser(fetched, company).fill(response, self._builder(call))
        convert.fill_followed(request.user_id, response)
        return response

    async def BatchGetUsers(self, request: pb.BatchGetUsersRequest, call: Call) -> pb.BatchGetUsersResponse:
        if request.include_company:
            call.require(Scope.READ_COMPANIES)
        planned, mask = _plan_reads(call.application_id, request.user_ids), parse_mask(request.fields)
        fetched = await outcomes_of(planned, lambda ids: self._queries.find_many(ids, mask))

        async def found(users: Sequence[Fetched]) -> Sequence[FoundUser | UserfoldError]:
            if request.include_company:
                return await self._companies.with_companies(call.application_id, users)
            return [FoundUser(user) for user in users]

        response, builder = pb.BatchGetUsersResponse(), self._builder(call)
        await fill_read_results(
            "BatchGetUsers",
            response.results,
            await outcomes_of(fetched, found),
            lambda user, message: user.fill(message, builder),
            call,
            self._turns,
        )
        for user_id, result in zip(request.user_ids, response.results, strict=True):
            if result.HasField("response"):
                convert.fill_followed(user_id, result.response)
        return response

    async def LookupUsers(self, request: pb.LookupUsersRequest, call: Call) -> pb.LookupUsersResponse:
        now = self._clock()
        lookup = plan_lookup(call.application_id, convert.lookup_request_from_message(request), self._tokens, now)
        response = pb.LookupUsersResponse()
        if request.include_company:
            call.require(Scope.READ_COMPANIES)
        async with self._lookups.look_up(lookup) as (fetched, has_more):
            if request.include_company:
                count = await self._companies.fill_users(fetched, response, self._builder(call), call.application_id)
            else:
                count = await self._builder(call).profiles(fetched, response.users)
        if has_more or count < len(fetched):
            if is_from_gateway_0_1(call.metadata):
                # It ignores page tokens, and would pass the first page on as the whole result.
                raise GatewayTooOld
            position = position_in(lookup, fetched[count - 1])
            response.next_page_token = self._tokens.seal(position, subject_of_lookup(lookup), now)
        return response

    async def SuggestUsers(self, request: pb.SuggestUsersRequest, call: Call) -> pb.SuggestUsersResponse:
        prefixes = plan_suggestions(call.application_id, request.text, request.page_size)
        by_id, *by_email = [await self._queries.starting_with(prefix) for prefix in prefixes]
        found = merged(by_id, [*chain.from_iterable(by_email)], user_id_of, prefixes[0].limit)
        response, builder = pb.SuggestUsersResponse(), self._builder(call)
        for matched_field, users in zip(("user_id", "metadata.email"), found, strict=True):
            for user in users:
                suggestion = response.suggestions.add(matched_field=matched_field)
                await builder.profile(user, suggestion.user)
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
                prefix = f"requests[{index}]."
                error = status_of_refusal("BatchRemoveAliases", removed, call.origin, prefix, call.refusals)
                results.append(pb.RemoveAliasResult(error=error))
            else:
                results.append(pb.RemoveAliasResult(response=pb.RemoveAliasResponse(removed=removed)))
        return pb.BatchRemoveAliasesResponse(results=results)

    async def MergeUsers(self, request: pb.MergeUsersRequest, call: Call) -> pb.MergeUsersResponse:
        merge = plan_merge(call.application_id, request.user_id, request.source_user_id)
        return pb.MergeUsersResponse(merged=await self._merges.merge(merge))

    async def DeleteUser(self, request: pb.DeleteUserRequest, call: Call) -> pb.DeleteUserResponse:
        until = plan_suppression(request.suppress_days, self._clock())
        erasure = plan_delete(call.application_id, "user_id", request.user_id, until)
        (erased,) = await self._erase([erasure], call, is_dry_run=request.validate_only)
        if isinstance(erased, UserfoldError):
            raise erased
        return convert.erased_message(erased)

    async def BatchDeleteUsers(self, request: pb.BatchDeleteUsersRequest, call: Call) -> pb.BatchDeleteUsersResponse:
        require_batch(request.user_ids)
        application_id, until = call.application_id, plan_suppression(request.suppress_days, self._clock())
        planned = plan_each(
            lambda index, user_id: plan_delete(application_id, f"user_ids[{index}]", user_id, until), request.user_ids
        )
        results = []
        for erased in await outcomes_of(
            planned, lambda erasures: self._erase(erasures, call, is_dry_run=request.validate_only)
        ):
            if isinstance(erased, UserfoldError):
                error = status_of_refusal("BatchDeleteUsers", erased, call.origin, refusals=call.refusals)
                results.append(pb.DeleteUserResult(error=error))
            else:
                results.append(pb.DeleteUserResult(response=convert.erased_message(erased)))
        return pb.BatchDeleteUsersResponse(results=results)

    async def _erase(
        self, erasures: Sequence[Erasure], call: Call, *, is_dry_run: bool
    ) -> Sequence[Erased | WouldErase]:
        if is_dry_run:
            call.require(Scope.READ_USERS)
            return await self._erasure.preview(erasures)
        return await self._erasure.erase(erasures)

    async def ListSuppressions(self, request: pb.ListSuppressionsRequest, call: Call) -> pb.ListSuppressionsResponse:
        application_id, user_id, now = call.application_id, request.user_id, self._clock()
        page = plan_suppressions(application_id, user_id, request.page_size, request.page_token, self._tokens, now)
        suppressions, has_more = await self._suppressions.list_page(page)
        response = pb.ListSuppressionsResponse(suppressions=map(convert.suppression_message, suppressions))
        if has_more:
            last = suppressions[-1].user_id_digest
            response.next_page_token = next_page_token(application_id, user_id, last, self._tokens, now)
        return response

    async def LiftSuppression(self, request: pb.LiftSuppressionRequest, call: Call) -> pb.LiftSuppressionResponse:
        lifted = await self._suppressions.lift(plan_lift(call.application_id, request.user_id))
        return pb.LiftSuppressionResponse(lifted=_unless_error(lifted))

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
            call,
            self._turns,
        )
        return response

    async def ListUsers(self, request: pb.ListUsersRequest, call: Call) -> pb.ListUsersResponse:
        list_request, now = convert.list_request_from_message(request), self._clock()
        listing = plan_list(call.application_id, list_request, self._tokens, now)
        fetched, has_more = await self._queries.list_users(listing)
        response = pb.ListUsersResponse()
        count = await self._builder(call).profiles(fetched, response.users)
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
