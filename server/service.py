"""The three methods of UserService: translate, plan, store, translate back."""

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

import grpc
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceServicer

from server import limits, metrics, wire
from server.authentication import Authenticator
from server.errors import BatchTooLarge, InvalidRequest, ReadNotPermitted, UserfoldError, UserNotFound, Violation
from server.interceptor import record_refusal
from server.model import Application, PlannedUpdate, ProfileWrite
from server.plan import plan_update, profile_id
from server.status import status_from_error
from server.store.profiles import Outcome, ProfileStore

CLIENT_ADDRESS = "x-userfold-client-address"
"""The metadata in which the gateway passes on the address of its client."""

Context = grpc.aio.ServicerContext[Any, Any]


class UserService(UserServiceServicer):
    """The service over a store. `clock` tells the time in nanoseconds since 1970-01-01 UTC."""

    def __init__(self, profiles: ProfileStore, authenticator: Authenticator, clock: Callable[[], int]) -> None:
        self._profiles = profiles
        self._authenticator = authenticator
        self._clock = clock
        self._writing: set[asyncio.Task[Sequence[Outcome]]] = set()

    async def UpdateUser(self, request: pb.UpdateUserRequest, context: Context) -> pb.UpdateUserResponse:
        application = await self._authenticate(context)
        update = wire.update_from_message(request.user, _client_address(context))
        planned = plan_update(application.application_id, update, self._clock())
        (outcome,) = await self._apply([planned.write])
        if outcome is not None:
            raise outcome
        return pb.UpdateUserResponse(warnings=wire.warning_messages(planned.warnings))

    async def BatchUpdateUsers(
        self, request: pb.BatchUpdateUsersRequest, context: Context
    ) -> pb.BatchUpdateUsersResponse:
        application = await self._authenticate(context)
        if len(request.users) > limits.BATCH_UPDATES:
            raise BatchTooLarge
        planned = self._plan_batch(application, request, _client_address(context))
        writes = [item.write for item in planned if isinstance(item, PlannedUpdate)]
        outcomes = iter(await self._apply(writes))
        response = pb.BatchUpdateUsersResponse()
        for index, item in enumerate(planned):
            prefix = f"users[{index}]."
            error = next(outcomes) if isinstance(item, PlannedUpdate) else item
            if error is not None:
                error_id = record_refusal("BatchUpdateUsers", error)
                response.results.add(status=status_from_error(error, prefix, error_id))
            elif isinstance(item, PlannedUpdate):
                response.results.add(warnings=wire.warning_messages(item.warnings, prefix))
        return response

    def _plan_batch(
        self, application: Application, request: pb.BatchUpdateUsersRequest, client_address: str | None
    ) -> list[PlannedUpdate | UserfoldError]:
        now = self._clock()
        planned: list[PlannedUpdate | UserfoldError] = []
        for user in request.users:
            try:
                update = wire.update_from_message(user, client_address)
                planned.append(plan_update(application.application_id, update, now))
            except InvalidRequest as error:
                planned.append(error)
        return planned

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:
        application = await self._authenticate(context)
        if not application.may_read:
            raise ReadNotPermitted
        if not request.user_id:
            raise InvalidRequest([Violation("user_id", "REQUIRED", "a user_id is required")])
        profile = await self._profiles.find(profile_id(application.application_id, request.user_id))
        if profile is None:
            raise UserNotFound
        return pb.GetUserResponse(user=wire.message_from_profile(profile))

    async def drain(self) -> None:
        """Wait until MongoDB has answered every write, those of callers that went away included."""
        while self._writing:
            await asyncio.wait(self._writing)

    async def _authenticate(self, context: Context) -> Application:
        return await self._authenticator.authenticate(context.invocation_metadata() or ())

    async def _apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
        if not writes:
            return []
        # A caller's cancel or deadline ends its wait, never a write half-way.
        task = asyncio.ensure_future(self._profiles.apply(writes))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        outcomes = await asyncio.shield(task)
        metrics.UPDATES.inc(sum(outcome is None for outcome in outcomes))
        return outcomes


def _client_address(context: Context) -> str | None:
    """The address of the request's client: as the gateway tells it, else of the peer. None for a local socket."""
    for name, value in context.invocation_metadata() or ():
        if name == CLIENT_ADDRESS and isinstance(value, str):
            return _address(value)
    kind, _, address = context.peer().partition(":")
    return _address(unquote(address).rpartition(":")[0].strip("[]")) if kind in ("ipv4", "ipv6") else None


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
