"""Clients that merge two users into each other while both are updated."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Value
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.metadata_operation_pb2 import MetadataOperation

from server.users.ids import profile_id
from tests.faults.clients import TwoServers, message_of
from tests.faults.history import Operation, Outcome


class Merging(TwoServers):
    """A round is an update of each of two users, through a server each.

    From the second round on, each server also merges its user into the other one: both at the same time as the updates,
    and again in every later round, whether the responses were lost or not. The metadata of each user has a counter of
    its own, and the id of the user as `first`: of two merged users, it must be that of the one who stays.
    """

    users = 2
    per_user = 4

    async def _call(self, operations: Sequence[Operation], outcomes: list[Outcome], **options: Any) -> None:
        name, _, generation = operations[0].user_id.split("/")
        pair = [f"{name}/{user}/{generation}" for user in range(2)]
        servers = dict(zip(pair, (self._stub, self._other), strict=True))
        merges = zip(servers.values(), pair, reversed(pair), strict=True) if operations[0].counter > 1 else ()
        await asyncio.gather(
            *(
                self._update(servers[each.user_id], _message(each), outcomes, index, options)
                for index, each in enumerate(operations)
            ),
            *(self._merge(*each, options) for each in merges),
        )

    async def _merge(self, server: Any, source: str, target: str, options: Mapping[str, Any]) -> None:
        request = pb.MergeUsersRequest(user_id=target, source_user_id=source)
        # A user whose updates were refused is not there, and a merge of unknown outcome may have an effect or not.
        with suppress(grpc.aio.AioRpcError):
            await server.MergeUsers(request, **{**options, "metadata": self._manager})
            ids = [profile_id(self._application.application_id, user_id) for user_id in (source, target)]
            self._traffic.history.merged.add(frozenset(ids))


def _message(operation: Operation) -> Any:
    message = message_of(operation)
    message.metadata_json = f'{{"counters":{{"{operation.user_id}":{operation.counter}}}}}'.encode()
    message.metadata_operations.append(
        MetadataOperation(path=["first"], set_once=Value(string_value=operation.user_id))
    )
    return message
