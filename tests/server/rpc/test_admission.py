"""What calls share, each with the number that it has."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack

import pytest

from server.accounts.scopes import COLLECTOR_SCOPES
from server.errors import Overloaded
from server.model import Application, CredentialKind
from server.rpc.admission import GATES, Admission
from server.rpc.places import Places
from server.rpc.rate_limit import TokenBuckets
from tests.support.waiting import turns

APP = Application("app", CredentialKind.COLLECTOR, COLLECTOR_SCOPES)
MOST = 100_000


@pytest.fixture
def admission() -> Admission:
    return Admission(lambda _: None, TokenBuckets(0, lambda: 0.0))


def taken(places: Places, octets: int = 0) -> Iterator[None]:
    while True:
        try:
            places.take("app", octets)
        except Overloaded:
            return
        yield


def test_an_application_alone_has_half_of_2000_calls_and_of_256_mib(admission: Admission) -> None:
    assert sum(1 for _ in zip(range(MOST), taken(admission.calls), strict=False)) == 1000
    other = Admission(lambda _: None, TokenBuckets(0, lambda: 0.0))
    assert sum(1 for _ in zip(range(MOST), taken(other.calls, 2**20), strict=False)) == 128


def test_1000_calls_wait_for_the_look_up_of_their_credential(admission: Admission) -> None:
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(admission.unverified())
        with pytest.raises(Overloaded):
            admission.require_place_of_unverified()
        with pytest.raises(Overloaded):
            stack.enter_context(admission.unverified())
    admission.require_place_of_unverified()


SIZES = {
    "GetUser": (100, 3),
    "ExportUser": (100, 3),
    "LookupUsers": (100, 100),
    "ListUsers": (16, 2),
    "CountUsers": (16, 2),
    "ReportCampaigns": (16, 2),
    "BatchExportUsers": (16, 2),
    "BatchGetUsers": (16, 2),
    "RemoveAlias": (50, 3),
    "BatchRemoveAliases": (50, 3),
    "DeleteUser": (50, 3),
    "BatchDeleteUsers": (50, 3),
}
"""How many calls one application may have under way when it is alone, and be served at once."""


@pytest.mark.parametrize("method", GATES)
async def test_an_application_alone_has_half_of_a_gate(admission: Admission, method: str) -> None:
    most, at_once = SIZES[method]
    served = 0
    go = asyncio.Event()

    async def call() -> None:
        nonlocal served
        within = admission.admit(method, APP)
        assert within
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(within)
            served += 1
            await go.wait()

    calls = [asyncio.ensure_future(call()) for _ in range(300)]
    await turns()
    refused = [each for each in calls if each.done()]
    assert (len(calls) - len(refused), served) == (most, at_once)
    assert {type(each.exception()) for each in refused} == {Overloaded}
    go.set()
    await asyncio.wait(calls)
    assert served == most
