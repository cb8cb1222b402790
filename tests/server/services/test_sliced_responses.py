"""Responses in slices, with a size limit. Turns are counted, not timed."""

import asyncio
from collections.abc import Hashable
from typing import Any

import orjson
import pytest
from userfold.v1 import campaign_service_pb2 as campaigns
from userfold.v1 import user_service_pb2 as pb

from runtime.turns import Turns
from server import limits
from server.model import Application, CampaignGroup, CredentialKind, Profile
from server.rpc.call import Call
from server.services.sliced_responses import ResponseBuilder
from tests.server.fetched import FetchedProfile, FetchedReportGroup
from tests.server.served import unstored_counts

_APPLICATION = Application("app", CredentialKind.MANAGEMENT, frozenset())
_JSON = (("x-userfold-metadata-format", "json"),)


class CountingTurns(Turns):
    """Turns that record their owners."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Hashable] = []

    async def turn(self, owner: Hashable) -> None:
        self.taken.append(owner)
        await super().turn(owner)


@pytest.fixture
def turns() -> CountingTurns:
    return CountingTurns()


def _builder(turns: Turns, metadata: Any = ()) -> ResponseBuilder:
    return ResponseBuilder(Call(_APPLICATION, metadata, lambda: "unix:", unstored_counts()), turns)


def _profile(metadata: dict[str, Any], **fields: Any) -> Profile:
    return Profile("u", None, None, metadata, None, **fields)


_ORDINARY = FetchedProfile(_profile({"email": "john@acme.com", "sales": {"stage": "Lead", "value": 24000}}), size=500)


@pytest.mark.parametrize("metadata", [(), _JSON])
async def test_ordinary_responses_need_no_turn(turns: CountingTurns, metadata: Any) -> None:
    response = pb.ListUsersResponse()
    assert await _builder(turns, metadata).profiles([_ORDINARY] * 80, response.users) == 80
    assert turns.taken == []


@pytest.mark.parametrize(("metadata", "steps"), [((), 2), (_JSON, 1)])
async def test_a_dense_profile_is_translated_in_slices_in_turns_of_its_application(
    turns: CountingTurns, metadata: Any, steps: int
) -> None:
    values = 350_000
    fetched = FetchedProfile(_profile({"a": [None] * values}), size=1_000_000)
    response = pb.GetUserResponse()
    await _builder(turns, metadata).profile(fetched, response.user)
    assert len(turns.taken) == pytest.approx(values * steps / limits.SLICE_WORK, abs=3)
    assert {*turns.taken} == {"app"}
    if metadata:
        assert orjson.loads(response.user.metadata_json) == {"a": [None] * values}
        assert not response.user.HasField("metadata")
    else:
        assert len(response.user.metadata["a"]) == values  # type: ignore[arg-type]
        assert not response.user.HasField("metadata_json")


async def test_a_small_response_is_built_between_the_slices_of_a_dense_one(turns: CountingTurns) -> None:
    dense = FetchedProfile(_profile({"a": [None] * 100_000}), size=1_000_000)
    building = asyncio.create_task(_builder(turns).profile(dense, pb.GetUserResponse().user))
    await asyncio.sleep(0)
    seen = len(turns.taken)
    await _builder(turns).profile(_ORDINARY, pb.GetUserResponse().user)
    await asyncio.sleep(0)
    assert not building.done()
    assert len(turns.taken) - seen <= 2
    await building


@pytest.mark.parametrize("metadata", [(), _JSON])
async def test_a_response_ends_at_the_limit_of_its_values(turns: CountingTurns, metadata: Any) -> None:
    fetched = FetchedProfile(_profile({"a": [None] * 100_000}), size=300_000)
    response = pb.ListUsersResponse()
    count = await _builder(turns, metadata).profiles([fetched] * 20, response.users)
    assert 1 <= count == len(response.users) <= 5


async def test_a_response_ends_at_the_limit_of_its_bytes_as_a_message_and_as_json(turns: CountingTurns) -> None:
    text = {"a": "\x01" * 1_000_000}
    for metadata, limit in (((), 8), (_JSON, 1)):
        response = pb.ListUsersResponse()
        count = await _builder(turns, metadata).profiles([FetchedProfile(_profile(text))] * 40, response.users)
        assert count == len(response.users) == limit
        assert response.ByteSize() <= limits.ANSWER_BYTES
    # Fields other than metadata grow when they are printed as JSON.
    campaign = dict.fromkeys(("utm_source", "utm_medium", "utm_term"), "\x01" * 8192)
    response = pb.ListUsersResponse()
    fetched = FetchedProfile(_profile({}, campaign=campaign))
    assert await _builder(turns, _JSON).profiles([fetched] * 1000, response.users) < 120


async def test_the_first_profile_always_fits(turns: CountingTurns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ANSWER_BYTES", 1)
    monkeypatch.setattr(limits, "ANSWER_WORK", 1)
    response, export = pb.ListUsersResponse(), pb.BatchExportUsersResponse()
    builder = _builder(turns)
    assert await builder.profiles([_ORDINARY] * 2, response.users) == 1
    assert len(response.users) == 1
    builder = _builder(turns)
    fits = [await builder.export(_ORDINARY, export.results.add().response.user_export) for _ in range(3)]
    assert fits == [True, False, False]
    builder = _builder(turns)
    fits = [await builder.next_user(_ORDINARY, _ORDINARY, pb.GetUserResponse()) for _ in range(3)]
    assert fits == [True, False, False]


async def test_a_report_ends_at_the_limit_of_its_groups(turns: CountingTurns) -> None:
    days = [(f"2026-01-{day:02}", 1) for day in range(1, 29)] * 200
    group = CampaignGroup({"campaign.utm_source": "x"}, 1, days, 0.0, 0)
    response = campaigns.ReportCampaignsResponse()
    fetched = [FetchedReportGroup(group, size=42 * len(days))] * 1000
    count = await _builder(turns, _JSON).groups(fetched, response.groups)
    assert count == len(response.groups) < 30
    assert turns.taken
    texts = {f"campaign.{name}": "\x01" * 8192 for name in ("utm_source", "utm_medium", "utm_term", "gclid")}
    response = campaigns.ReportCampaignsResponse()
    fetched = [FetchedReportGroup(CampaignGroup(texts, 1, [], 0.0, 0), size=32_768)] * 1000
    count = await _builder(turns, _JSON).groups(fetched, response.groups)
    assert 1 < count < 100


@pytest.mark.parametrize(("total", "is_set"), [(5.0, True), (float("inf"), False), (float("nan"), False)])
async def test_a_sum_that_no_double_holds_is_left_out(turns: CountingTurns, total: float, is_set: bool) -> None:
    group = campaigns.CampaignGroup()
    await _builder(turns).group(FetchedReportGroup(CampaignGroup({}, 2, [], total, 2)), group)
    assert (group.HasField("value_sum"), group.HasField("value_average"), group.value_count) == (is_set, is_set, 2)
