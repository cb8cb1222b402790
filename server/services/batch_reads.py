"""The results of a batch of reads: one for each user, until the response is full."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from runtime.turns import Turns
from server.errors import ResponseTooLarge, UserfoldError
from server.rpc.call import Call
from server.rpc.observing.refusal_log import status_of_refusal
from server.services.updates.batch_updates import REFUSED_IN_ONE_TURN

_User = TypeVar("_User")


class ReadResults:
    """The results of a batch of reads, one for each user, in the repeated field `results`.

    From the first user on who does not fit, all results are RESPONSE_TOO_LARGE, even for a smaller user, so that a
    caller can continue from there.
    """

    def __init__(self, method: str, results: Any, call: Call, turns: Turns) -> None:
        self._method = method
        self._results = results
        self._call = call
        self._turns = turns
        self._too_large: Status | None = None
        self._refused = 0

    @property
    def is_full(self) -> bool:
        """Whether no further user fits."""
        return self._too_large is not None

    async def fill(self, user: _User, fill: Callable[[_User, Any], Awaitable[bool]]) -> None:
        """Add the response that `fill` makes of a user. It returns whether the response still fits."""
        if self._too_large is None:
            result = self._results.add()
            if await fill(user, result.response):
                return
            del self._results[-1]
        await self.refuse(ResponseTooLarge())

    async def add(self, response: Message, *, fits: bool) -> None:
        """Add a response, if it still fits."""
        if fits:
            self._results.add().response.CopyFrom(response)
        else:
            await self.refuse(ResponseTooLarge())

    async def refuse(self, error: UserfoldError, prefix: str = "") -> None:
        """Add an error. `prefix` is put before the names of its fields."""
        call = self._call
        if self._too_large is None:
            status = status_of_refusal(self._method, error, call.origin, prefix, refusals=call.refusals)
            if isinstance(error, ResponseTooLarge):
                # Made and logged once for all results that follow.
                self._too_large = status
            else:
                self._refused += 1
                if self._refused % REFUSED_IN_ONE_TURN == 0:
                    await self._turns.turn(call.application_id)
        self._results.add().error.CopyFrom(self._too_large or status)


async def fill_read_results(
    method: str,
    results: Any,
    users: Iterable[_User | UserfoldError],
    fill: Callable[[_User, Any], Awaitable[bool]],
    call: Call,
    turns: Turns,
) -> None:
    """Add a result for each user of a call: the response that `fill` makes, or an error.

    `fill` returns whether the response still fits.
    """
    filled = ReadResults(method, results, call, turns)
    for user in users:
        if isinstance(user, UserfoldError):
            await filled.refuse(user)
        else:
            await filled.fill(user, fill)
