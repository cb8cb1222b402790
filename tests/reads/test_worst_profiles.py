"""The worst profiles that a collector key can store, and every read of them.

Updates come in shapes, each filled until the server refuses more: first by values, then by bytes. Whatever that makes,
every read, list, look-up, count, report, export, backup, restore and erasure of the application succeeds.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import httpx2
import orjson
import pytest
from google.protobuf import json_format
from pymongo.database import Database
from userfold.v1 import campaign_service_pb2
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.campaign_pb2 import Campaign
from userfold.v1.campaign_service_pb2_grpc import CampaignServiceStub
from userfold.v1.user_pb2 import User, UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server import limits
from server.accounts.credentials import generate_collector_key
from server.local.mongod import EmbeddedMongod
from tests.operations.test_backup import Command
from tests.support.applications import Application, register
from tests.support.stack import percent_encoded, running_stack

_DATABASE: Final = "userfold_worst"
_USERS: Final = 34
_TOKEN: Final = "t" * 8192
_COMPANY: Final = "\x01" * 512
_EMAIL: Final = "worst@acme.com"
_REFUSED: Final = frozenset({"PROFILE_TOO_LARGE", "INVALID_REQUEST"})
_JSON: Final = ("x-userfold-metadata-format", "json")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

_Random = random.Random


def _nulls(chance: _Random) -> object:
    """An array of objects full of nulls."""
    each = dict.fromkeys(_LETTERS[: chance.randint(1, 52)])
    return [each] * (9_800 // (len(each) + 1))


def _numbers(chance: _Random) -> object:
    return [chance.choice([0, 7, -1, 0.1, 1e300, 2**53, True, None])] * 9_800


def _empty(chance: _Random) -> object:
    return [chance.choice([[], {}, "", [[]]])] * 4_800


def _paths(chance: _Random) -> object:
    """Objects inside objects, as far down and as many as an update may have."""
    inner: Any = dict.fromkeys(_LETTERS, 1)
    for _ in range(chance.randint(1, limits.METADATA_LEVELS - 3)):
        inner = {chance.choice(["a", "", "$", "0", ".", "\x01"]): inner}
    return {str(number): inner for number in range(12)}


def _long_keys(chance: _Random) -> object:
    text = chance.choice(["k", "\x01", ".", "é", "\0", '"', "\u2028"])
    return {f"{number}{text * 200}": None if chance.random() < 0.1 else number for number in range(400)}


def _deep_arrays(chance: _Random) -> object:
    inner: Any = 1
    for _ in range(limits.METADATA_LEVELS - 2):
        inner = [inner]
    return [inner] * 400


_SHAPES: Final[tuple[Callable[[_Random], object], ...]] = (
    *(_nulls, _numbers, _empty, _nulls, _deep_arrays, _empty),
    *(_nulls, _long_keys, _empty, _nulls, _numbers, _paths),
)
_FILLINGS: Final = ("\x01", "\x01", "x", "é", '"', "\u2028")


@dataclass
class World:
    """The application, its users' metadata as the accepted updates add up to, and ways to ask."""

    application: Application
    http: httpx2.Client
    stub: Any
    campaigns: Any
    metadata: dict[str, dict[str, Any]]

    @property
    def reader(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.application.management_token}"}

    def rpc(self, method: str, request: Any, *more: tuple[str, str]) -> Any:
        stub = self.campaigns if method == "ReportCampaigns" else self.stub
        return getattr(stub, method)(request, metadata=(*self.reader.items(), *more), timeout=30)

    def get(self, path: str, **asked: Any) -> Any:
        return self._answer(self.http.get(path, params=asked, headers=self.reader))

    def post(self, path: str, body: object) -> Any:
        return self._answer(self.http.post(path, content=orjson.dumps(body), headers=self.reader))

    def update(self, user: UserUpdate) -> bool:
        """Whether it is stored. One that is not is refused for what it is."""
        metadata = (("x-moesif-application-id", self.application.collector_key),)
        try:
            self.stub.UpdateUser(pb.UpdateUserRequest(user=user), metadata=metadata, timeout=30)
        except grpc.RpcError as error:
            refusal: Any = error
            expected = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)
            assert refusal.code() in expected, refusal
            return False
        return True

    @staticmethod
    def _answer(answer: httpx2.Response) -> Any:
        assert answer.status_code == 200, answer.text[:1000]
        return orjson.loads(answer.content)


@pytest.fixture(scope="module")
def world(mongod: EmbeddedMongod, database: Database[dict[str, Any]]) -> Iterator[World]:
    """Programs with a database of their own, in which there is nobody but these users."""
    own = database.client[_DATABASE]
    # What a client must take, as the contract says.
    options = [("grpc.max_receive_message_length", limits.MESSAGE_BYTES)]
    with (
        running_stack(mongod.uri, _DATABASE, measured=False) as stack,
        httpx2.Client(base_url=stack.http, timeout=60) as http,
        grpc.insecure_channel(stack.grpc, options=options) as channel,
    ):
        world = World(
            register(own, generate_collector_key()),
            http,
            UserServiceStub(channel),
            CampaignServiceStub(channel),
            {},
        )
        for number in range(_USERS):
            _store(world, number)
        yield world
    database.client.drop_database(_DATABASE)


def _store(world: World, number: int) -> None:
    """Fill one profile until it takes no more."""
    chance = _Random(number)
    user_id = f"{number:03}{chance.choice(['x', chr(1), 'é', '%'])}"
    user_id += user_id[-1] * ((limits.ID_BYTES - len(user_id.encode())) // len(user_id[-1].encode()))
    metadata = world.metadata[user_id] = {"email": _EMAIL}
    campaign = {field.name: "\x01" * limits.TEXT_BYTES for field in Campaign.DESCRIPTOR.fields}
    assert world.update(
        UserUpdate(
            user_id=user_id,
            company_id=_COMPANY,
            session_token=_TOKEN,
            anonymous_id="\x02" * limits.ID_BYTES,
            ip_address="\x03" * limits.IP_ADDRESS_BYTES,
            user_agent_string="\x04" * limits.TEXT_BYTES if number % 2 else "",
            campaign=Campaign(**campaign) if number % 3 else None,
            metadata_json=orjson.dumps(metadata),
        )
    )
    shape = _SHAPES[number % len(_SHAPES)]
    key = 0
    while _put(world, user_id, f"k{key}", shape(chance)):
        key += 1
    filling = chance.choice(_FILLINGS)
    size = limits.PROFILE_BYTES // len(filling.encode())
    for key in range(6):
        size //= 2
        _put(world, user_id, f"f{key}", filling * size)


def _put(world: World, user_id: str, key: str, value: Any) -> bool:
    stored = world.update(UserUpdate(user_id=user_id, metadata_json=orjson.dumps({key: value})))
    if stored:
        world.metadata[user_id][key] = _merged(value)
    return stored


def _merged(value: Any) -> Any:
    """What is stored of a value: a null in an object removes its key, one in an array stays."""
    if isinstance(value, dict):
        return {key: _merged(inner) for key, inner in value.items() if inner is not None}
    return value


def test_the_profiles_are_as_large_as_they_can_be(world: World, database: Database[dict[str, Any]]) -> None:
    sizes = database.client[_DATABASE].profiles.aggregate([{"$project": {"size": {"$bsonSize": "$$ROOT"}}}])
    near = [each for each in sizes if each["size"] > 0.95 * limits.PROFILE_BYTES]
    assert len(near) == _USERS


def test_each_is_read_whole(world: World) -> None:
    for number, (user_id, metadata) in enumerate(world.metadata.items()):
        if number % 2:
            read = world.get(f"/v1/users/{percent_encoded(user_id)}")
            assert (read["user_id"], read["company_id"]) == (user_id, _COMPANY)
            assert read["metadata"] == metadata
        else:
            more = (_JSON,) if number % 4 else ()
            assert _metadata(world.rpc("GetUser", pb.GetUserRequest(user_id=user_id), *more).user) == metadata


def _metadata(user: User) -> Any:
    """The metadata of a message, in either form."""
    if user.HasField("metadata_json"):
        return orjson.loads(user.metadata_json)
    return json_format.MessageToDict(user.metadata)


@pytest.mark.parametrize(
    "asked",
    [
        {"page_size": 1000, "filter": f'metadata.email = "{_EMAIL}"', "order_by": "modified_time desc"},
        {"page_size": 7, "fields": "metadata.f1,metadata.k0", "filter": 'NOT metadata.k0:"nowhere"'},
        {"fields": "campaign,initial_campaign,company_id", "order_by": "user_id"},
    ],
    ids=lambda asked: ",".join(asked) or "all",
)
def test_every_page_of_a_list_comes(world: World, asked: dict[str, Any]) -> None:
    found: list[str] = []
    token = ""
    while True:
        page = world.get("/v1/users", **asked, page_token=token)
        assert page["users"], "an empty page leads nowhere"
        found += [user["user_id"] for user in page["users"]]
        if not (token := page.get("next_page_token", "")):
            break
    assert sorted(found) == sorted(world.metadata)


@pytest.mark.parametrize(
    ("more", "fields"), [((), []), ((_JSON,), ["metadata.k0", "metadata.f0"])], ids=["structs", "text"]
)
def test_every_page_of_a_list_comes_over_grpc(
    world: World, more: tuple[tuple[str, str], ...], fields: list[str]
) -> None:
    found = []
    request = pb.ListUsersRequest(page_size=1000, fields=fields)
    while True:
        page = world.rpc("ListUsers", request, *more)
        assert page.users, "an empty page leads nowhere"
        found += [user.user_id for user in page.users]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert sorted(found) == sorted(world.metadata)


def test_every_page_of_a_look_up_comes(world: World) -> None:
    found, token = list[str](), ""
    while not found or token:
        page = world.post("/v1/users:lookup", {"session_token": _TOKEN, "page_size": 1000, "page_token": token})
        assert page["users"], "an empty page leads nowhere"
        found, token = found + [user["user_id"] for user in page["users"]], page["next_page_token"]
    assert sorted(found) == sorted(world.metadata)
    for request, more in (
        (pb.LookupUsersRequest(company_id=_COMPANY, page_size=1000), ()),
        (pb.LookupUsersRequest(email=_EMAIL, page_size=1000), (_JSON,)),
    ):
        internally = list[str]()
        while not internally or request.page_token:
            answer = world.rpc("LookupUsers", request, *more)
            assert answer.users, "an empty page leads nowhere"
            internally += [user.user_id for user in answer.users]
            request.page_token = answer.next_page_token
        assert internally == found


def test_they_are_counted_and_reported(world: World) -> None:
    for text in ("", 'metadata.k0:"nowhere" OR metadata.email:*', "metadata.k0 != 3"):
        assert world.get("/v1/users:count", filter=text)["count"] == _USERS
        assert world.rpc("CountUsers", pb.CountUsersRequest(filter=text)).count == _USERS
        report = world.get(
            "/v1/campaigns:report", filter=text, group_by="campaign.utm_source", value_path="metadata.k0"
        )
        assert report["total"]["user_count"] == _USERS
    fields = "campaign.utm_source,campaign.gclid,campaign.referrer,initial_campaign.utm_term"
    assert world.get("/v1/campaigns:report", group_by=fields)["total"]["user_count"] == _USERS
    request = campaign_service_pb2.ReportCampaignsRequest(group_by=fields.split(","))
    assert world.rpc("ReportCampaigns", request).total.user_count == _USERS


def test_each_is_exported_alone(world: World) -> None:
    for number, (user_id, metadata) in enumerate(world.metadata.items()):
        if number % 6 == 1:
            assert world.get(f"/v1/users/{percent_encoded(user_id)}:export")["user"]["metadata"] == metadata
        elif number % 6 == 3:
            answer = world.rpc("ExportUser", pb.ExportUserRequest(user_id=user_id), _JSON)
            assert _metadata(answer.user_export.user) == metadata


def test_all_are_exported_in_batches_whose_items_say_what_is_left(world: World) -> None:
    left = list(world.metadata)
    while left:
        told = world.post("/v1/users:batchExport", {"user_ids": left})
        left = _left([("response" in each, each.get("error", {}).get("code", 0)) for each in told["results"]], left)
    left = list(world.metadata)[:20]
    while left:
        answer = world.rpc("BatchExportUsers", pb.BatchExportUsersRequest(user_ids=left))
        left = _left([(each.HasField("response"), each.error.code) for each in answer.results], left)


def test_all_are_read_in_batches_whose_items_say_what_is_left(world: World) -> None:
    left = list(world.metadata)
    while left:
        told = world.post("/v1/users:batchGet", {"user_ids": left})
        for user_id, each in zip(left, told["results"], strict=True):
            assert "error" in each or each["response"]["user"]["metadata"] == world.metadata[user_id]
        left = _left([("response" in each, each.get("error", {}).get("code", 0)) for each in told["results"]], left)
    left = list(world.metadata)[:20]
    while left:
        answer = world.rpc("BatchGetUsers", pb.BatchGetUsersRequest(user_ids=left), _JSON)
        left = _left([(each.HasField("response"), each.error.code) for each in answer.results], left)


def _left(results: list[tuple[bool, int]], asked: list[str]) -> list[str]:
    """Those that are to be asked for again: each batch has some, and refuses the others for its size alone."""
    assert len(results) == len(asked)
    assert any(exported for exported, _ in results)
    assert {code for exported, code in results if not exported} <= {grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}
    return [user_id for user_id, (exported, _) in zip(asked, results, strict=True) if not exported]


def test_a_backup_brings_all_of_them_back(
    world: World, mongod: EmbeddedMongod, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    command = Command(mongod)
    assert command("create", tmp_path / "backup", database=_DATABASE).stderr == ""
    try:
        assert command("restore", tmp_path / "backup", database=f"{_DATABASE}_restored").stderr == ""
        for stored, restored in zip(
            database.client[_DATABASE].profiles.find().sort("_id"),
            database.client[f"{_DATABASE}_restored"].profiles.find().sort("_id"),
            strict=True,
        ):
            assert stored == restored
    finally:
        database.client.drop_database(f"{_DATABASE}_restored")


def test_they_are_still_updated_reduced_and_at_last_erased(world: World) -> None:
    first, second, third, *others = world.metadata
    # What a profile holds of a key is given up, and there is room again.
    for user_id in (first, second, third):
        assert world.update(UserUpdate(user_id=user_id, metadata_json=b'{"f0":null,"k0":null}'))
        assert world.update(UserUpdate(user_id=user_id, metadata_json=b'{"more":{"a.b":{}}}'))
    assert world.http.delete(f"/v1/users/{percent_encoded(first)}", headers=world.reader).status_code == 200
    assert world.rpc("DeleteUser", pb.DeleteUserRequest(user_id=second)).deleted
    told = world.post("/v1/users:batchDelete", {"user_ids": others[:10]})
    assert all(each["response"]["deleted"] for each in told["results"])
    answer = world.rpc("BatchDeleteUsers", pb.BatchDeleteUsersRequest(user_ids=[third, *others], suppress_days=1))
    assert not any(each.HasField("error") for each in answer.results)
    assert world.get("/v1/users:count")["count"] == 0
    assert world.get("/v1/users")["users"] == []
