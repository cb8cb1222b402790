"""The users of an application, a page at a time. A page that fails because no server answers is requested again."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, cast

import grpc
from userfold.v1.user_pb2 import User
from userfold.v1.user_service_pb2 import CountUsersRequest, ListUsersRequest
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from cli.connection import CALL_SECONDS, Target
from cli.refusals import failure_of
from gateway.transcoding.json_encoder import METADATA_FORMAT

PAGE_USERS: Final = 1000
"""The limit of users on a page. A page has at most about 8 MiB."""

_AGAIN: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED}
)
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)


class Pages:
    """Pages of users. `waiting` is called with why a page is requested again, for at most `patience` seconds."""

    def __init__(self, target: Target, patience: float, waiting: Callable[[str], None]) -> None:
        self._target = target
        self._patience = patience
        self._waiting = waiting

    def count(self, filter_: str) -> int | None:
        """The number of users, or None where it takes the server too long to count them."""
        with suppress(grpc.RpcError), self._target.channel() as channel:
            request = CountUsersRequest(filter=filter_)
            response = UserServiceStub(channel).CountUsers(
                request, timeout=CALL_SECONDS, metadata=self._target.metadata
            )
            return int(response.count)
        return None

    def users(self, filter_: str, fields: list[str]) -> Iterator[list[User]]:
        """All users that a filter matches, their metadata as JSON. Raises CommandFailed."""
        request = ListUsersRequest(filter=filter_, page_size=PAGE_USERS, fields=fields)
        with self._target.channel() as channel:
            stub = UserServiceStub(channel)
            while True:
                response = self._page(stub, request)
                yield list(response.users)
                if not response.next_page_token:
                    return
                request.page_token = response.next_page_token

    def _page(self, stub: UserServiceStub, request: ListUsersRequest) -> Any:
        metadata = (*self._target.metadata, METADATA_FORMAT)
        started, attempt = time.monotonic(), 0
        while True:
            try:
                return stub.ListUsers(request, timeout=CALL_SECONDS, metadata=metadata)
            except grpc.RpcError as error:
                failure = failure_of(error, self._target.address)
                is_first = not request.page_token
                waited = time.monotonic() - started
                if cast("grpc.Call", error).code() not in _AGAIN or is_first or waited > self._patience:
                    raise failure from None
                self._waiting(str(failure))
                time.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
                attempt += 1
