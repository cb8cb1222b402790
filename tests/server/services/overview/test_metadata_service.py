"""Catalogues from samples: what becomes of counts, estimates and turns."""

import asyncio
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from userfold.v1 import metadata_service_pb2 as pb

from runtime.turns import Turns
from server import limits
from server.model import Application, CredentialKind, JsonObject
from server.rpc.call import Call
from server.services.overview.metadata_service import MetadataService
from server.users.catalogue.sample import Sample, SamplePlan
from tests.server.served import unstored_counts


class FakeMetadata:
    def __init__(self, metadata: JsonObject, size: int = 100) -> None:
        self.size = size
        self._metadata = metadata

    def metadata(self) -> JsonObject:
        return self._metadata


class FakeSamples:
    """One sample, for any application. `last` is the digest at which it ends."""

    def __init__(self, users: Sequence[FakeMetadata], last: str | None = None) -> None:
        self.users = users
        self.last = last

    async def sample(self, plan: SamplePlan) -> Sample:
        if self.last is None:
            return Sample(self.users, None)
        digits = len(plan.start)
        digest = (int(plan.start, 16) + int(self.last, 16) * 16 ** (digits - len(self.last))) % 16**digits
        return Sample(self.users, f"{plan.application_id}/u/{digest:0{digits}x}{'0' * 49}")


class CountedTurns(Turns):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    async def turn(self, key: object) -> None:
        assert key == "app"
        self.count += 1
        await asyncio.sleep(0)


async def catalogue(samples: FakeSamples, turns: Turns | None = None) -> pb.GetMetadataCatalogueResponse:
    service = MetadataService(samples, b"secret", turns or Turns(), lambda: 0.0)
    call = Call(Application("app", CredentialKind.MANAGEMENT, frozenset()), (), lambda: "unix:", unstored_counts())
    return await service.GetMetadataCatalogue(pb.GetMetadataCatalogueRequest(), call)


def as_dict(message: Any) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True)


async def test_the_catalogue_of_all_users() -> None:
    response = await catalogue(FakeSamples([FakeMetadata({"a": 150, "b": ["x"]}), FakeMetadata({"a": "DE-1"})]))
    assert as_dict(response) == {
        "paths": [
            {
                "path": "metadata.a",
                "sampled_user_count": 2,
                "estimated_user_count": "2",
                "types": [{"type": "number", "count": "1"}, {"type": "string", "count": "1"}],
                "has_conflict": True,
                "string_shapes": [{"shape": "code", "pattern": "AA-9", "count": "1"}],
                "numbers": {"integer_count": "1", "smallest_exponent": 2, "largest_exponent": 2},
            },
            {
                "path": "metadata.b",
                "sampled_user_count": 1,
                "estimated_user_count": "1",
                "types": [{"type": "array", "count": "1"}],
                "arrays": {
                    "element_types": [{"type": "string", "count": "1"}],
                    "lengths": [{"max_length": 1, "count": "1"}],
                },
            },
        ],
        "sampled_user_count": 2,
        "is_complete": True,
        "estimated_user_count": "2",
    }


async def test_the_catalogue_of_no_user() -> None:
    assert as_dict(await catalogue(FakeSamples([]))) == {"is_complete": True}


async def test_a_catalogue_of_some_users_has_estimates() -> None:
    users = [FakeMetadata({"a": 1} if number % 4 else {"a": 1, "b": True}) for number in range(1_001)]
    # A sixteenth of all digests.
    response = await catalogue(FakeSamples(users, "1"))
    assert not response.is_complete
    assert (response.sampled_user_count, response.estimated_user_count) == (1_001, 16_000)
    assert [(each.sampled_user_count, each.estimated_user_count) for each in response.paths] == [
        (1_001, 16_000),
        (251, 4_010),
    ]
    # Zeros are shown to be none.
    assert response.paths[0].numbers.HasField("smallest_exponent")
    zeros = (await catalogue(FakeSamples([FakeMetadata({"a": 0})]))).paths[0].numbers
    assert (zeros.zero_count, zeros.HasField("smallest_exponent")) == (1, False)


async def test_others_have_turns() -> None:
    turns = CountedTurns()
    await catalogue(FakeSamples([FakeMetadata({"a": 1})]), turns)
    assert turns.count == 0
    # Many values, many bytes, many profiles, and many paths.
    few: JsonObject = {"k" + chr(97 + number // 26) + chr(97 + number % 26): True for number in range(500)}
    for users in (
        [FakeMetadata({"a": {"b": True}})] * 5_000,
        [FakeMetadata({}, limits.SLICE_WORK * 10)] * 6,
        [FakeMetadata({})] * 1_000,
        [FakeMetadata(few)],
    ):
        turns.count = 0
        await catalogue(FakeSamples(users), turns)
        assert turns.count > 0


async def test_the_profiles_with_the_fewest_values_are_added_first(monkeypatch: Any) -> None:
    monkeypatch.setattr("server.users.catalogue.builder.NODES_WITHIN_PROFILE", (3, 3))
    users = [FakeMetadata({"x": 1, "y": 1, "z": 1}, 300), FakeMetadata({"a": 1, "b": 1}, 200)]
    response = await catalogue(FakeSamples(users))
    assert [each.path for each in response.paths] == ["metadata.*", "metadata.a", "metadata.b"]
