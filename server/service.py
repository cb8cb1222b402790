"""The methods of UserService: translate, plan, store, translate back."""

import ipaddress
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import grpc
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceServicer

from server import limits, wire
from server.authentication import Authenticator
from server.batch import plan_batch, results_of, writes_of
from server.derive import alias_digest
from server.errors import BatchTooLarge, InvalidRequest, ReadNotPermitted, UserNotFound, Violation
from server.filter import parse_filter
from server.group import GroupedProfileStore
from server.handlers import status_of_update
from server.listing import bound_to, plan_listing
from server.lookup import plan_lookup
from server.model import Application
from server.pages import PageTokens
from server.plan import plan_update, profile_id
from server.query import plan_query
from server.report import plan_report
from server.store.queries import ProfileQueries
from server.stream import UpdateStream

CLIENT_ADDRESS = "x-userfold-client-address"
"""The metadata in which the gateway passes on the address of its client."""

Context = grpc.aio.ServicerContext[Any, Any]
Metadata = Iterable[tuple[str, str | bytes]]


class UserService(UserServiceServicer):
    """The service over a store. `clock` tells the time in nanoseconds since 1970-01-01 UTC."""

    def __init__(
        self,
        profiles: GroupedProfileStore,
        queries: ProfileQueries,
        tokens: PageTokens,
        authenticator: Authenticator,
        clock: Callable[[], int],
    ) -> None:
        self._profiles = profiles
        self._queries = queries
        self._tokens = tokens
        self._authenticator = authenticator
        self._clock = clock

    async def UpdateUser(self, request: pb.UpdateUserRequest, context: Context) -> pb.UpdateUserResponse:
        metadata = context.invocation_metadata() or ()
        application = await self._authenticator.authenticate(metadata)
        update = wire.update_from_message(request.user, _client_address(metadata, context))
        planned = plan_update(application.application_id, update, self._clock())
        (outcome,) = await self._profiles.submit([planned.write])
        if outcome is not None:
            raise outcome
        return pb.UpdateUserResponse(warnings=wire.warning_messages(planned.warnings))

    async def BatchUpdateUsers(
        self, request: pb.BatchUpdateUsersRequest, context: Context
    ) -> pb.BatchUpdateUsersResponse:
        metadata = context.invocation_metadata() or ()
        application = await self._authenticator.authenticate(metadata)
        if len(request.users) > limits.BATCH_UPDATES:
            raise BatchTooLarge
        addresses = _client_addresses(request, metadata, context)
        planned = plan_batch(application.application_id, request.users, addresses, self._clock())
        outcomes = await self._profiles.submit(writes_of(planned))
        response = pb.BatchUpdateUsersResponse()
        for index, (error, warnings) in enumerate(results_of(planned, outcomes)):
            result = response.results.add()
            prefix = f"users[{index}]."
            if error is not None:
                result.status.CopyFrom(status_of_update("BatchUpdateUsers", error, prefix))
            elif warnings:
                result.warnings.extend(wire.warning_messages(warnings, prefix))
        return response

    async def StreamUpdateUsers(
        self, request_iterator: AsyncIterable[pb.StreamUpdateUsersRequest], context: Context
    ) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        metadata = context.invocation_metadata() or ()
        application = await self._authenticator.authenticate(metadata)
        address = _client_address(metadata, context)
        stream = UpdateStream(self._profiles, application.application_id, address, self._clock)
        async for response in stream.acknowledge(request_iterator):
            yield response

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:
        application = await self._reader(context)
        _require(user_id=request.user_id)
        profile = await self._queries.find(profile_id(application.application_id, request.user_id))
        if profile is None:
            raise UserNotFound
        return pb.GetUserResponse(user=wire.message_from_profile(profile))

    async def LookupUsers(self, request: pb.LookupUsersRequest, context: Context) -> pb.LookupUsersResponse:
        application = await self._reader(context)
        lookup = plan_lookup(application.application_id, wire.lookup_from_message(request), request.max_users)
        profiles, has_more = await self._queries.look_up(lookup)
        return pb.LookupUsersResponse(users=map(wire.message_from_profile, profiles), has_more=has_more)

    async def RemoveAlias(self, request: pb.RemoveAliasRequest, context: Context) -> pb.RemoveAliasResponse:
        application = await self._reader(context)
        _require(user_id=request.user_id, session_token=request.session_token)
        removed = await self._profiles.remove_alias(
            profile_id(application.application_id, request.user_id),
            alias_digest(application.application_id, request.session_token),
        )
        if removed is None:
            raise UserNotFound
        return pb.RemoveAliasResponse(removed=removed)

    async def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:
        application_id = (await self._reader(context)).application_id
        asked, now = wire.list_request_from_message(request), self._clock()
        profiles, position = await self._queries.list_users(plan_listing(application_id, asked, self._tokens, now))
        token = self._tokens.seal(position, bound_to(application_id, asked), now) if position else ""
        return pb.ListUsersResponse(users=map(wire.message_from_profile, profiles), next_page_token=token)

    async def CountUsers(self, request: pb.CountUsersRequest, context: Context) -> pb.CountUsersResponse:
        application = await self._reader(context)
        query = plan_query(application.application_id, parse_filter(request.filter))
        return pb.CountUsersResponse(count=await self._queries.count(query))

    async def ReportCampaigns(self, request: pb.ReportCampaignsRequest, context: Context) -> pb.ReportCampaignsResponse:
        application = await self._reader(context)
        planned = plan_report(application.application_id, wire.report_request_from_message(request))
        return wire.message_from_report(await self._queries.report(planned))

    async def _reader(self, context: Context) -> Application:
        """The application of a call that needs a management token."""
        application = await self._authenticator.authenticate(context.invocation_metadata() or ())
        if not application.may_read:
            raise ReadNotPermitted
        return application


def _require(**fields: str) -> None:
    """Raise InvalidRequest, which names each of the fields that is empty."""
    if empty := [name for name, text in fields.items() if not text]:
        raise InvalidRequest([Violation(name, "REQUIRED", "must not be empty") for name in empty])


def _client_addresses(
    request: pb.BatchUpdateUsersRequest, metadata: Metadata, context: Context
) -> Sequence[str | None]:
    """The client address of each update of a batch."""
    if not request.client_addresses:
        return [_client_address(metadata, context)] * len(request.users)
    if len(request.client_addresses) != len(request.users):
        raise InvalidRequest([Violation("client_addresses", "WRONG_LENGTH", "must be as many as users, or none")])
    return [_address(text) for text in request.client_addresses]


def _client_address(metadata: Metadata, context: Context) -> str | None:
    """The address of the request's client: as the gateway tells it, else of the peer. None for a local socket."""
    for name, value in metadata:
        if name == CLIENT_ADDRESS and isinstance(value, str):
            return _address(value)
    return _address_of_peer(context.peer())


@lru_cache(maxsize=10_000)
def _address_of_peer(peer: str) -> str | None:
    kind, _, address = peer.partition(":")
    return _address(unquote(address).rpartition(":")[0].strip("[]")) if kind in ("ipv4", "ipv6") else None


@lru_cache(maxsize=10_000)
def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
