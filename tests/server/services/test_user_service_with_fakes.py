"""The services without a server, over a fake store and a fake clock.

Reads are called through grpcio-testing, by the descriptors of their methods. It knows no asyncio, so an adapter runs
each coroutine to its end.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import grpc
import grpc_testing  # type: ignore[import-untyped]  # It ships no types.
import pytest
from cryptography.fernet import Fernet
from google.protobuf.json_format import MessageToDict
from userfold.v1 import campaign_service_pb2 as campaigns_pb
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import User, UserUpdate

from runtime.turns import Turns
from server.commit.write_batcher import WriteBatcher
from server.errors import (
    InvalidRequest,
    ProfileTooLarge,
    UserfoldError,
    UserNotFound,
    Violation,
    WriteOutcomeUnknown,
)
from server.model import (
    STORED,
    AliasRemoval,
    Application,
    CampaignGroup,
    CampaignReport,
    CredentialKind,
    Erasure,
    Fetched,
    Lookup,
    Prefix,
    Profile,
    ProfileWrite,
    Scope,
    Suppression,
    UserMerge,
    WouldErase,
)
from server.query.conditions import ProfileQuery
from server.query.field_mask import Mask
from server.query.page_token import SECONDS, PageTokens, Position
from server.rpc.call import Call
from server.rpc.error_status import status_from_error
from server.services.campaign_service import CampaignService
from server.services.company_finder import CompanyFinder
from server.services.dry_runs.updates import UpdateDryRuns, gate_of_dry_runs
from server.services.updates.update_messages import OF_USERS
from server.services.updates.update_methods import UpdateMethods
from server.services.user_service import UserService
from server.users.ids import profile_id
from server.users.list_users import Listing
from server.users.ports import Outcome
from server.users.removal.suppressions import SuppressionPage, plan_lift
from server.users.report_campaigns import Report
from tests.server.fetched import FetchedProfile, FetchedReportGroup, NoPreviews
from tests.server.served import unstored_counts

_SERVICES: Final = (
    pb.DESCRIPTOR.services_by_name["UserService"],
    campaigns_pb.DESCRIPTOR.services_by_name["CampaignService"],
)
_METHODS: Final = {method.name: method for service in _SERVICES for method in service.methods}
_NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
_APPLICATION = Application("app", CredentialKind.MANAGEMENT, frozenset({Scope.ADMIN}))


class FakeProfileStore:
    """Records the writes. Returns `outcomes`, or STORED."""

    def __init__(self) -> None:
        self.applied: list[list[ProfileWrite]] = []
        self.outcomes: list[Outcome] = []

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
        self.applied.append(list(writes))
        return self.outcomes or [STORED] * len(writes)


class FakeProfileErasure:
    """Records what is to be erased. Returns that nothing was stored."""

    def __init__(self) -> None:
        self.erased: list[Erasure] = []
        self.removed: list[AliasRemoval] = []

    async def erase(self, erasures: Sequence[Erasure]) -> Sequence[bool | UserfoldError]:
        self.erased += erasures
        return [False] * len(erasures)

    async def preview(self, erasures: Sequence[Erasure]) -> Sequence[WouldErase]:
        return [WouldErase(False, 0, 0)] * len(erasures)

    async def remove_aliases(self, removals: Sequence[AliasRemoval]) -> Sequence[bool | UserfoldError]:
        self.removed += removals
        return [False] * len(removals)


class FakeProfileQueries:
    """Records the queries. Returns `profiles`, `position` and `reported`."""

    def __init__(self) -> None:
        self.profiles: dict[str, Profile] = {}
        self.lookups: list[Lookup] = []
        self.listings: list[Listing] = []
        self.masks: list[Mask] = []
        self.position: Position | None = None
        self.reported: CampaignReport | None = None

    async def find(self, profile_id: str) -> Fetched | None:
        return FetchedProfile(self.profiles[profile_id]) if profile_id in self.profiles else None

    async def find_many(self, profile_ids: Sequence[str], mask: Mask) -> Sequence[Fetched | UserfoldError]:
        self.masks.append(mask)
        return [await self.find(profile_id) or UserNotFound() for profile_id in profile_ids]

    async def export(self, application_id: str, profile_ids: Sequence[str]) -> Sequence[Fetched | UserfoldError]:
        return [UserNotFound()] * len(profile_ids)

    async def look_up(self, lookup: Lookup) -> tuple[Sequence[Fetched], bool]:
        self.lookups.append(lookup)
        users = [FetchedProfile(profile, self.position or ()) for profile in self.profiles.values()]
        return users, self.position is not None

    async def look_up_tokens(self, lookups: Sequence[Lookup]) -> None:
        return None

    async def starting_with(self, prefix: Prefix) -> Sequence[Fetched]:
        return []

    async def list_users(self, listing: Listing) -> tuple[Sequence[Fetched], bool]:
        self.listings.append(listing)
        profile = Profile(user_id="u", created_time=_NOW, modified_time=0, metadata={}, alias_count=0)
        return [FetchedProfile(profile, self.position or ())], self.position is not None

    async def count(self, query: ProfileQuery) -> int:
        return 2**40

    async def report(self, report: Report) -> CampaignReport:
        assert self.reported
        return self.reported


class FakeDomains:
    """Leads to no company."""

    async def only_companies(self, application_id: str, domains: Sequence[str]) -> Mapping[str, str]:
        return {}


class FakeSuppressions:
    """Holds 1,500 suppressions."""

    async def list_page(self, page: SuppressionPage) -> tuple[Sequence[Suppression], bool]:
        digests = [f"{number:064}" for number in range(1_500)]
        after = [digest for digest in digests if digest > page.after]
        return [Suppression(digest, None, _NOW) for digest in after[: page.limit]], len(after) > page.limit

    async def lift(self, profile_id: str) -> bool:
        return profile_id == plan_lift("app", "suppressed")


def _call(peer: str = "ipv4:127.0.0.1:1") -> Call:
    return Call(_APPLICATION, (), lambda: peer, unstored_counts())


@pytest.fixture
def store() -> FakeProfileStore:
    return FakeProfileStore()


@pytest.fixture
def queries() -> FakeProfileQueries:
    return FakeProfileQueries()


class Clock:
    """A fake clock."""

    def __init__(self) -> None:
        self.now = int(_NOW.timestamp() * 1000) * 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(store: FakeProfileStore, queries: FakeProfileQueries, clock: Clock) -> UserService:
    tokens, turns, profiles = PageTokens(Fernet.generate_key()), Turns(), WriteBatcher(store)
    erasure, suppressions = FakeProfileErasure(), FakeSuppressions()
    dry_runs = UpdateDryRuns(OF_USERS, NoPreviews(), clock, turns, gate_of_dry_runs())
    updates = UpdateMethods(OF_USERS, profiles, dry_runs, clock, asyncio.Event(), turns)
    companies = CompanyFinder(FakeProfileQueries(), FakeDomains())
    return UserService(updates, queries, companies, erasure, NoMerges(), suppressions, tokens, clock, turns)


class NoMerges:
    """No test here merges users."""

    async def merge(self, merge: UserMerge) -> bool:
        raise NotImplementedError


class SynchronousServicer:
    """The methods of a service as grpcio-testing calls them."""

    def __init__(self, service: object) -> None:
        self._service = service
        self._runner = asyncio.Runner()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._service, name)
        return lambda request, _context: self._runner.run(method(request, _call()))

    def close(self) -> None:
        self._runner.close()


@pytest.fixture
def server(service: UserService, queries: FakeProfileQueries) -> Iterator[Any]:
    """Both services, as grpcio-testing serves them."""
    servicers = [SynchronousServicer(service), SynchronousServicer(CampaignService(queries, Turns()))]
    yield grpc_testing.server_from_dictionary(
        dict(zip(_SERVICES, servicers, strict=True)), grpc_testing.strict_real_time()
    )
    for servicer in servicers:
        servicer.close()


def _invoke(server: Any, method: str, request: object) -> Any:
    """The response of a method, which must succeed."""
    response, _, code, _ = server.invoke_unary_unary(_METHODS[method], (), request, None).termination()
    assert code is grpc.StatusCode.OK
    return response


async def test_an_update_is_planned_at_the_time_of_the_clock(service: UserService, store: FakeProfileStore) -> None:
    request: Any = pb.UpdateUserRequest(user=UserUpdate(user_id="u"))
    call = _call("ipv6:%5B2001:db8::1%5D:4711")
    assert await service.UpdateUser(request, call) == pb.UpdateUserResponse()
    ((write,),) = store.applied
    assert write.profile_id == profile_id("app", "u")
    assert write.on_insert["created_time"] == _NOW
    assert write.patch == {
        "modified_time": _NOW,
        "modified_nanos": 0,
        "stored_time": _NOW,
        "observed_ip_address": "2001:db8::1",
    }


@pytest.mark.parametrize("peer", ["unix:", "unix:/run/userfold.sock", "ipv4:nonsense"])
async def test_a_peer_without_an_address_is_not_observed(
    service: UserService, store: FakeProfileStore, peer: str
) -> None:
    request: Any = pb.UpdateUserRequest(user=UserUpdate(user_id="u"))
    await service.UpdateUser(request, _call(peer))
    assert "observed_ip_address" not in store.applied[0][0].patch


@pytest.mark.parametrize(
    ("beside", "observed"),
    [(b"\x12\x09192.0.2.1", "192.0.2.1"), (b"\x12\x00" * 1_000, "127.0.0.1"), (b"\x48\x01" * 1_000, "127.0.0.1")],
)
async def test_addresses_of_a_gateway_0_1_are_read_unless_the_request_is_too_large_for_addresses(
    service: UserService, store: FakeProfileStore, beside: bytes, observed: str
) -> None:
    updates = pb.BatchUpdateUsersRequest(users=[UserUpdate(user_id="u")])
    request: Any = pb.BatchUpdateUsersRequest.FromString(updates.SerializeToString() + beside)
    await service.BatchUpdateUsers(request, _call())
    assert store.applied[0][0].patch["observed_ip_address"] == observed


async def test_the_error_of_a_single_update_is_raised(service: UserService, store: FakeProfileStore) -> None:
    store.outcomes = [WriteOutcomeUnknown()]
    request: Any = pb.UpdateUserRequest(user=UserUpdate(user_id="u"))
    with pytest.raises(WriteOutcomeUnknown):
        await service.UpdateUser(request, _call())


async def test_each_outcome_of_a_batch_is_in_the_result_of_its_update(
    service: UserService, store: FakeProfileStore
) -> None:
    store.outcomes = [STORED, ProfileTooLarge(), WriteOutcomeUnknown()]
    users = [UserUpdate(user_id="a"), UserUpdate(), UserUpdate(user_id="b"), UserUpdate(user_id="c")]
    request: Any = pb.BatchUpdateUsersRequest(users=users)
    results = (await service.BatchUpdateUsers(request, _call())).results
    assert [write.profile_id for write in store.applied[0]] == [profile_id("app", user_id) for user_id in "abc"]
    assert [result.HasField("error") for result in results] == [False, True, True, True]
    assert results[2].error == status_from_error(ProfileTooLarge())
    assert results[3].error == status_from_error(WriteOutcomeUnknown())


def test_a_look_up_is_planned_page_by_page(server: Any, queries: FakeProfileQueries) -> None:
    queries.profiles[profile_id("app", "u")] = Profile(
        user_id="u", created_time=_NOW, modified_time=0, metadata={}, alias_count=0
    )
    response = _invoke(server, "LookupUsers", pb.LookupUsersRequest(company_id="c"))
    assert ([user.user_id for user in response.users], response.next_page_token) == (["u"], "")
    for position in ([_NOW, "app/u/1"], [None, "app/u/2"]):
        queries.position = position
        request = pb.LookupUsersRequest(company_id="c", page_size=5000, page_token=response.next_page_token)
        response = _invoke(server, "LookupUsers", request)
        assert response.next_page_token
    _invoke(server, "LookupUsers", pb.LookupUsersRequest(company_id="c", page_token=response.next_page_token))
    assert queries.lookups == [
        Lookup("app", "company_id", "c", 100),
        Lookup("app", "company_id", "c", 1000),
        Lookup("app", "company_id", "c", 1000, after=(_NOW, "app/u/1")),
        Lookup("app", "company_id", "c", 100, after=(None, "app/u/2")),
    ]


def test_a_batch_of_reads_has_results_in_the_order_of_the_user_ids(server: Any, queries: FakeProfileQueries) -> None:
    for user_id in "ab":
        queries.profiles[profile_id("app", user_id)] = Profile(user_id, None, None, {}, 0)
    request = pb.BatchGetUsersRequest(user_ids=["b", "never", "", "a", "b"], fields=["metadata", "user_id,company_id"])
    results = _invoke(server, "BatchGetUsers", request).results
    users = [result.response.user.user_id or result.error for result in results]
    violation = Violation("user_ids[2]", "REQUIRED", "must not be empty")
    refused = [status_from_error(error) for error in (UserNotFound(), InvalidRequest([violation]))]
    assert users == ["b", *refused, "a", "b"]
    (mask,) = queries.masks
    assert mask.paths == (("metadata",), ("user_id",), ("company_id",))


def test_suppressions_are_listed_page_by_page(server: Any) -> None:
    response = _invoke(server, "ListSuppressions", pb.ListSuppressionsRequest())
    digests = [each.user_id_digest for each in response.suppressions]
    assert (len(digests), response.suppressions[0].HasField("start_time")) == (100, False)
    assert response.suppressions[0].end_time.ToDatetime(UTC) == _NOW
    while response.next_page_token:
        request = pb.ListSuppressionsRequest(page_size=5000, page_token=response.next_page_token)
        response = _invoke(server, "ListSuppressions", request)
        digests += [each.user_id_digest for each in response.suppressions]
    assert digests == [f"{number:064}" for number in range(1_500)]


def test_a_suppression_is_lifted_by_the_user_id(server: Any) -> None:
    for user_id, expected in (("suppressed", True), ("other", False)):
        response = _invoke(server, "LiftSuppression", pb.LiftSuppressionRequest(user_id=user_id))
        assert response.lifted is expected


def test_every_field_of_a_profile_is_returned(server: Any, queries: FakeProfileQueries) -> None:
    queries.profiles[profile_id("app", "u")] = Profile(
        user_id="u",
        created_time=_NOW,
        modified_time=1_000_000_002,
        metadata={"a": {"b": [1, None, "x", {}]}},
        alias_count=3,
        company_id="c",
        ip_address="1.2.3.4",
        user_agent_string="UA",
        user_agent={
            "browser": {"name": "Firefox", "version": "121.0"},
            "os": {"name": "Linux"},
            "device": {"name": "Thing", "brand": "Acme", "model": "T1"},
        },
        campaign={"utm_source": "google"},
        initial_campaign={"utm_source": "bing"},
        initial_campaign_time=_NOW,
        latest_campaign={"utm_source": "yahoo"},
        latest_campaign_time=_NOW,
        anonymous_id="anon",
        anonymous_ids=["a", "anon"],
        merged_user_ids=["v"],
        avatar_url="https://example.com/a",
        email_domain="acme.com",
        company_domain="acme.com",
        observed_ip_address="5.6.7.8",
        stored_time=_NOW,
        etag="e",
    )
    user: User = _invoke(server, "GetUser", pb.GetUserRequest(user_id="u")).user
    # `metadata_json` replaces `metadata` where the call requests it.
    expected = {field.name for field in User.DESCRIPTOR.fields} - {"metadata_json"}
    assert {field.name for field, _ in user.ListFields()} == expected
    assert (user.modified_time.seconds, user.modified_time.nanos) == (1, 2)
    assert user.created_time.ToDatetime(tzinfo=UTC) == user.stored_time.ToDatetime(tzinfo=UTC) == _NOW
    assert user.initial_campaign_time == user.latest_campaign_time == user.stored_time
    assert user.latest_campaign.utm_source == "yahoo"
    assert (user.ip_address, user.observed_ip_address) == ("1.2.3.4", "5.6.7.8")
    assert ([*user.anonymous_ids], [*user.merged_user_ids]) == (["a", "anon"], ["v"])
    assert user.user_agent.device.model == "T1"
    assert user.user_agent.os.name == "Linux"
    assert not user.user_agent.os.HasField("version")
    assert MessageToDict(user.metadata) == {"a": {"b": [1, None, "x", {}]}}


async def test_an_empty_batch_does_not_call_the_store(service: UserService, store: FakeProfileStore) -> None:
    assert not (await service.BatchUpdateUsers(pb.BatchUpdateUsersRequest(), _call())).results
    assert store.applied == []


def _listed(server: Any, **fields: Any) -> str:
    """The token of the next page."""
    request: Any = pb.ListUsersRequest(**fields)
    return str(_invoke(server, "ListUsers", request).next_page_token)


@pytest.mark.parametrize("order_by", ["", "created_time desc", "modified_time", "user_id desc"])
def test_a_page_begins_where_the_one_before_ended(server: Any, queries: FakeProfileQueries, order_by: str) -> None:
    name = order_by.removesuffix(" desc") or "created_time"
    positions: dict[str, Position] = {
        "created_time": [_NOW, "id"],
        "modified_time": [_NOW, 5, "id"],
        "user_id": ["john@acme.com"],
    }
    queries.position = positions[name]
    token = _listed(server, order_by=order_by)
    assert "john" not in token
    queries.position = None
    assert _listed(server, order_by=order_by, page_token=token) == ""
    first, second = queries.listings
    assert second.query == first.query
    assert (first.after, second.after) == (None, positions[name])


async def test_a_page_token_is_valid_for_a_day_and_for_its_own_list(
    service: UserService, queries: FakeProfileQueries, clock: Clock
) -> None:
    queries.position = [_NOW, "id"]

    async def listed(**fields: Any) -> str:
        request = pb.ListUsersRequest(**fields)
        return str((await service.ListUsers(request, _call())).next_page_token)

    token = await listed(filter="company_id = c")
    clock.now += SECONDS * 1_000_000_000
    await listed(filter="company_id = c", page_token=token, page_size=7, fields=["company_id"])
    changed: list[dict[str, str]] = [
        {"filter": "company_id = d"},
        {"filter": "company_id = c", "order_by": "created_time"},
        {"filter": "company_id = c", "page_token": token[:-4] + "AAA="},
        {"filter": "company_id = c", "page_token": "é"},
        {"filter": "company_id = c", "page_token": Fernet(Fernet.generate_key()).encrypt(b"forged").decode()},
    ]
    for fields in changed:
        with pytest.raises(InvalidRequest) as refused:
            await listed(**{"page_token": token} | fields)
        assert [violation.reason for violation in refused.value.violations] == ["INVALID_PAGE_TOKEN"]
    clock.now += 1_000_000_000
    with pytest.raises(InvalidRequest):
        await listed(filter="company_id = c", page_token=token)


def test_every_field_of_a_report_is_returned(server: Any, queries: FakeProfileQueries) -> None:
    group = CampaignGroup({"campaign.gclid": ""}, 3, [("2026-01-31", 1), ("2026-02-01", 2)], 5.0, 2)
    total = FetchedReportGroup(CampaignGroup({}, 3, (), 0.0, 0))
    queries.reported = CampaignReport([FetchedReportGroup(group)], True, total)
    response = _invoke(server, "ReportCampaigns", campaigns_pb.ReportCampaignsRequest())
    assert response == campaigns_pb.ReportCampaignsResponse(
        groups=[
            campaigns_pb.CampaignGroup(
                campaign={"campaign.gclid": ""},
                user_count=3,
                days=[
                    campaigns_pb.DayCount(day="2026-01-31", user_count=1),
                    campaigns_pb.DayCount(day="2026-02-01", user_count=2),
                ],
                value_sum=5.0,
                value_average=2.5,
                value_count=2,
            )
        ],
        has_more=True,
        total=campaigns_pb.CampaignGroup(user_count=3),
    )


def test_a_count_is_returned(server: Any) -> None:
    assert _invoke(server, "CountUsers", pb.CountUsersRequest()).count == 2**40


async def test_the_errors_of_a_batch_are_built_in_slices(service: UserService, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[object] = []

    async def turn(_: Turns, owner: object) -> None:
        owners.append(owner)

    monkeypatch.setattr(Turns, "turn", turn)
    request: Any = pb.BatchUpdateUsersRequest(users=[UserUpdate() for _ in range(200)])
    results = (await service.BatchUpdateUsers(request, _call())).results
    assert [result.error.code for result in results] == [3] * 200
    assert owners == ["app"] * 3
