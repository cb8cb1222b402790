"""The results of a batch of reads: one for each user, until the response is full."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from google.rpc.status_pb2 import Status

from runtime.turns import Turns
from server.errors import ResponseTooLarge, UserfoldError
from server.model import Fetched
from server.rpc.refusal_log import status_of_refusal
from server.services.batch_updates import REFUSED_IN_ONE_TURN


async def fill_read_results(
    method: str,
    results: Any,
    users: Iterable[Fetched | UserfoldError],
    fill: Callable[[Fetched, Any], Awaitable[bool]],
    application_id: str,
    turns: Turns,
) -> None:
    """Add a result for each user: the response that `fill` makes, or an error.

    `fill` returns whether the response still fits. Where one does not, its result and all later ones are
    RESPONSE_TOO_LARGE, even for a smaller user, so that a caller can continue from there.
    """
    too_large: Status | None = None
    refused = 0
    for user in users:
        result = results.add()
        if too_large is None:
            if not isinstance(user, UserfoldError):
                if await fill(user, result.response):
                    continue
            elif not isinstance(user, ResponseTooLarge):
                refused += 1
                if refused % REFUSED_IN_ONE_TURN == 0:
                    await turns.turn(application_id)
                result.error.CopyFrom(status_of_refusal(method, user))
                continue
            # Made and logged once for all results that follow.
            too_large = status_of_refusal(method, ResponseTooLarge())
        result.error.CopyFrom(too_large)
