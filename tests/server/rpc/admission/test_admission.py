"""What calls share: every capacity, limit and concurrency, with its number."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack

import pytest

from server.errors import Overloaded
from server.rpc.admission.admission import _GATES, Admission
from server.rpc.admission.rate_limit import TokenBuckets
from server.rpc.admission.shared_capacity import SharedCapacity
from server.rpc.methods import METHODS, Work
from tests.support.waiting import turns

_MANY = 100_000


@pytest.fixture
def admission() -> Admission:
    return Admission(lambda _: None, TokenBuckets(0, lambda: 0.0))


def taken(capacity: SharedCapacity, size_bytes: int = 0) -> Iterator[None]:
    while True:
        try:
            capacity.take("app", size_bytes)
        except Overloaded:
            return
        yield


def test_an_application_alone_has_half_of_2000_calls_and_half_of_256_mib(admission: Admission) -> None:
    assert sum(1 for _ in zip(range(_MANY), taken(admission.calls), strict=False)) == 1000
    other = Admission(lambda _: None, TokenBuckets(0, lambda: 0.0))
    assert sum(1 for _ in zip(range(_MANY), taken(other.calls, 2**20), strict=False)) == 128


def test_at_most_1000_calls_wait_until_their_credential_is_looked_up(admission: Admission) -> None:
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(admission.unverified())
        with pytest.raises(Overloaded):
            admission.require_room_for_unverified()
        with pytest.raises(Overloaded):
            stack.enter_context(admission.unverified())
    admission.require_room_for_unverified()


_SHARES = {
    Work.READ: (100, 3),
    Work.LOOKUP: (100, 100),
    Work.QUERY: (16, 2),
    Work.CHANGE: (50, 3),
    Work.STATUS: (100, 3),
}
"""How many calls one application alone may have in flight, and have served concurrently."""


def test_each_method_passes_a_gate_or_sends_updates_or_causes_no_work() -> None:
    work_of = {name.removeprefix("userfold."): rule.work for name, rule in METHODS.items()}
    assert {name: work for name, work in work_of.items() if work not in _GATES} == {
        "v1.UserService.UpdateUser": Work.UPDATE,
        "v1.UserService.BatchUpdateUsers": Work.UPDATE,
        "v1.UserService.StreamUpdateUsers": Work.UPDATE,
        "v1.CompanyService.UpdateCompany": Work.UPDATE,
        "v1.CompanyService.BatchUpdateCompanies": Work.UPDATE,
        "v1.CompanyService.StreamUpdateCompanies": Work.UPDATE,
        "internal.v1.CompanyUpdateService.BatchUpdateCompanies": Work.UPDATE,
        "internal.v1.CompanyUpdateService.StreamBatchUpdateCompanies": Work.UPDATE,
        "internal.v1.UserUpdateService.BatchUpdateUsers": Work.UPDATE,
        "internal.v1.UserUpdateService.StreamBatchUpdateUsers": Work.UPDATE,
        "internal.v1.CredentialService.CheckCredential": Work.NONE,
        "internal.v1.RefusalReportService.ReportRefusals": Work.NONE,
    }


@pytest.mark.parametrize(
    ("method", "work"),
    [
        ("GetUser", Work.READ),
        ("ExportUser", Work.READ),
        ("LookupUsers", Work.LOOKUP),
        ("ListUsers", Work.QUERY),
        ("CountUsers", Work.QUERY),
        ("BatchExportUsers", Work.QUERY),
        ("BatchGetUsers", Work.QUERY),
        ("RemoveAlias", Work.CHANGE),
        ("BatchRemoveAliases", Work.CHANGE),
        ("DeleteUser", Work.CHANGE),
        ("BatchDeleteUsers", Work.CHANGE),
    ],
)
def test_a_method_passes_its_own_gate(method: str, work: Work) -> None:
    assert METHODS[f"userfold.v1.UserService.{method}"].work is work


@pytest.mark.parametrize(
    ("method", "work"),
    [
        ("GetCompany", Work.READ),
        ("ExportCompany", Work.READ),
        ("ListCompanies", Work.QUERY),
        ("CountCompanies", Work.QUERY),
        ("DeleteCompany", Work.CHANGE),
    ],
)
def test_a_method_of_companies_passes_the_gate_of_that_of_users(method: str, work: Work) -> None:
    assert METHODS[f"userfold.v1.CompanyService.{method}"].work is work


def test_a_report_passes_the_gate_of_queries() -> None:
    assert METHODS["userfold.v1.CampaignService.ReportCampaigns"].work is Work.QUERY


@pytest.mark.parametrize("work", _GATES, ids=lambda work: work.name)
async def test_an_application_alone_has_half_of_a_gate(admission: Admission, work: Work) -> None:
    limit, concurrency = _SHARES[work]
    served = 0
    go = asyncio.Event()

    async def call() -> None:
        nonlocal served
        within = admission.admit(work, "app")
        assert within
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(within)
            served += 1
            await go.wait()

    calls = [asyncio.ensure_future(call()) for _ in range(300)]
    await turns()
    refused = [task for task in calls if task.done()]
    assert (len(calls) - len(refused), served) == (limit, concurrency)
    assert {type(task.exception()) for task in refused} == {Overloaded}
    go.set()
    await asyncio.wait(calls)
    assert served == limit
