"""The worst profiles that a collector key can store, and every read of them.

Updates of several shapes fill each profile until the server refuses more: first by values, then by bytes. Every read,
list, look-up, count, report, export, backup, restore and erasure of these profiles succeeds.
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

pytestmark = pytest.mark.long

_DATABASE: Final = "userfold_worst"
_USERS: Final = 34
_TOKEN: Final = "t" * 8192
_COMPANY: Final = "\x01" * 512
_EMAIL: Final = "worst@acme.com"
_REFUSED: Final = frozenset({"PROFILE_TOO_LARGE", "INVALID_REQUEST"})
_JSON: Final = ("x-userfold-metadata-format", "json")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

_Random = random.Random


def _nulls(random_source: _Random) -> object:
    """An array of objects full of nulls."""
    each = dict.fromkeys(_LETTERS[: random_source.randint(1, 52)])
    return [each] * (9_800 // (len(each) + 1))


def _numbers(random_source: _Random) -> object:
    return [random_source.choice([0, 7, -1, 0.1, 1e300, 2**53, True, None])] * 9_800


def _empty(random_source: _Random) -> object:
    return [random_source.choice([[], {}, "", [[]]])] * 4_800


def _paths(random_source: _Random) -> object:
    """Nested objects, as deep and as many as the limits of an update allow."""
    inner: Any = dict.fromkeys(_LETTERS, 1)
    for _ in range(random_source.randint(1, limits.METADATA_LEVELS - 3)):
        inner = {random_source.choice(["a", "", "$", "0", ".", "\x01"]): inner}
    return {str(number): inner for number in range(12)}


def _long_keys(random_source: _Random) -> object:
    text = random_source.choice(["k", "\x01", ".", "é", "\0", '"', "\u2028"])
    return {f"{number}{text * 200}": None if random_source.random() < 0.1 else number for number in range(400)}


def _deep_arrays(random_source: _Random) -> object:
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
class WorstProfiles:
    """The application, the metadata of its users after the accepted updates, and clients of both transports."""

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
        """Return whether the update is stored. If not, it must be refused as invalid or too large."""
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
def profiles(mongod: EmbeddedMongod, database: Database[dict[str, Any]]) -> Iterator[WorstProfiles]:
    """Programs with their own database, which holds only these users."""
    own = database.client[_DATABASE]
    # The size that the contract requires of a client.
    options = [("grpc.max_receive_message_length", limits.MESSAGE_BYTES)]
    with (
        running_stack(mongod.uri, _DATABASE) as stack,
        httpx2.Client(base_url=stack.http, timeout=60) as http,
        grpc.insecure_channel(stack.grpc, options=options) as channel,
    ):
        profiles = WorstProfiles(
            register(own, generate_collector_key()),
            http,
            UserServiceStub(channel),
            CampaignServiceStub(channel),
            {},
        )
        for number in range(_USERS):
            _store(profiles, number)
        yield profiles
    database.client.drop_database(_DATABASE)


def _store(profiles: WorstProfiles, number: int) -> None:
    """Fill one profile until the server refuses more."""
    random_source = _Random(number)
    user_id = f"{number:03}{random_source.choice(['x', chr(1), 'é', '%'])}"
    user_id += user_id[-1] * ((limits.ID_BYTES - len(user_id.encode())) // len(user_id[-1].encode()))
    metadata = profiles.metadata[user_id] = {"email": _EMAIL}
    campaign = {field.name: "\x01" * limits.TEXT_BYTES for field in Campaign.DESCRIPTOR.fields}
    assert profiles.update(
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
    while _put(profiles, user_id, f"k{key}", shape(random_source)):
        key += 1
    filling = random_source.choice(_FILLINGS)
    size = limits.PROFILE_BYTES // len(filling.encode())
    for key in range(6):
        size //= 2
        _put(profiles, user_id, f"f{key}", filling * size)


def _put(profiles: WorstProfiles, user_id: str, key: str, value: Any) -> bool:
    stored = profiles.update(UserUpdate(user_id=user_id, metadata_json=orjson.dumps({key: value})))
    if stored:
        profiles.metadata[user_id][key] = _merged(value)
    return stored


def _merged(value: Any) -> Any:
    """The stored form of a value: a null in an object removes its key, a null in an array stays."""
    if isinstance(value, dict):
        return {key: _merged(inner) for key, inner in value.items() if inner is not None}
    return value


def test_the_profiles_are_as_large_as_they_can_be(profiles: WorstProfiles, database: Database[dict[str, Any]]) -> None:
    sizes = database.client[_DATABASE].profiles.aggregate([{"$project": {"size": {"$bsonSize": "$$ROOT"}}}])
    near = [each for each in sizes if each["size"] > 0.95 * limits.PROFILE_BYTES]
    assert len(near) == _USERS


def test_each_profile_is_read_completely(profiles: WorstProfiles) -> None:
    for number, (user_id, metadata) in enumerate(profiles.metadata.items()):
        if number % 2:
            read = profiles.get(f"/v1/users/{percent_encoded(user_id)}")
            assert (read["user_id"], read["company_id"]) == (user_id, _COMPANY)
            assert read["metadata"] == metadata
        else:
            more = (_JSON,) if number % 4 else ()
            assert _metadata(profiles.rpc("GetUser", pb.GetUserRequest(user_id=user_id), *more).user) == metadata


def _metadata(user: User) -> Any:
    """The metadata of a message in either form."""
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
def test_a_list_returns_every_page(profiles: WorstProfiles, asked: dict[str, Any]) -> None:
    found: list[str] = []
    token = ""
    while True:
        page = profiles.get("/v1/users", **asked, page_token=token)
        assert page["users"], "a page without users has no next page"
        found += [user["user_id"] for user in page["users"]]
        if not (token := page.get("next_page_token", "")):
            break
    assert sorted(found) == sorted(profiles.metadata)


@pytest.mark.parametrize(
    ("more", "fields"), [((), []), ((_JSON,), ["metadata.k0", "metadata.f0"])], ids=["structs", "text"]
)
def test_a_list_returns_every_page_over_grpc(
    profiles: WorstProfiles, more: tuple[tuple[str, str], ...], fields: list[str]
) -> None:
    found = []
    request = pb.ListUsersRequest(page_size=1000, fields=fields)
    while True:
        page = profiles.rpc("ListUsers", request, *more)
        assert page.users, "a page without users has no next page"
        found += [user.user_id for user in page.users]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert sorted(found) == sorted(profiles.metadata)


def test_a_look_up_returns_every_page(profiles: WorstProfiles) -> None:
    found, token = list[str](), ""
    while not found or token:
        page = profiles.post("/v1/users:lookup", {"session_token": _TOKEN, "page_size": 1000, "page_token": token})
        assert page["users"], "a page without users has no next page"
        found, token = found + [user["user_id"] for user in page["users"]], page["next_page_token"]
    assert sorted(found) == sorted(profiles.metadata)
    for request, more in (
        (pb.LookupUsersRequest(company_id=_COMPANY, page_size=1000), ()),
        (pb.LookupUsersRequest(email=_EMAIL, page_size=1000), (_JSON,)),
    ):
        over_grpc = list[str]()
        while not over_grpc or request.page_token:
            answer = profiles.rpc("LookupUsers", request, *more)
            assert answer.users, "a page without users has no next page"
            over_grpc += [user.user_id for user in answer.users]
            request.page_token = answer.next_page_token
        assert over_grpc == found


def test_the_users_are_counted_and_reported(profiles: WorstProfiles) -> None:
    for text in ("", 'metadata.k0:"nowhere" OR metadata.email:*', "metadata.k0 != 3"):
        assert profiles.get("/v1/users:count", filter=text)["count"] == _USERS
        assert profiles.rpc("CountUsers", pb.CountUsersRequest(filter=text)).count == _USERS
        report = profiles.get(
            "/v1/campaigns:report", filter=text, group_by="campaign.utm_source", value_path="metadata.k0"
        )
        assert report["total"]["user_count"] == _USERS
    fields = "campaign.utm_source,campaign.gclid,campaign.referrer,initial_campaign.utm_term"
    assert profiles.get("/v1/campaigns:report", group_by=fields)["total"]["user_count"] == _USERS
    request = campaign_service_pb2.ReportCampaignsRequest(group_by=fields.split(","))
    assert profiles.rpc("ReportCampaigns", request).total.user_count == _USERS


def test_each_user_is_exported(profiles: WorstProfiles) -> None:
    for number, (user_id, metadata) in enumerate(profiles.metadata.items()):
        if number % 6 == 1:
            assert profiles.get(f"/v1/users/{percent_encoded(user_id)}:export")["user"]["metadata"] == metadata
        elif number % 6 == 3:
            answer = profiles.rpc("ExportUser", pb.ExportUserRequest(user_id=user_id), _JSON)
            assert _metadata(answer.user_export.user) == metadata


def test_batch_exports_continue_with_the_refused_items(profiles: WorstProfiles) -> None:
    left = list(profiles.metadata)
    while left:
        results = profiles.post("/v1/users:batchExport", {"user_ids": left})
        left = _left([("response" in each, each.get("error", {}).get("code", 0)) for each in results["results"]], left)
    left = list(profiles.metadata)[:20]
    while left:
        answer = profiles.rpc("BatchExportUsers", pb.BatchExportUsersRequest(user_ids=left))
        left = _left([(each.HasField("response"), each.error.code) for each in answer.results], left)


def test_batch_reads_continue_with_the_refused_items(profiles: WorstProfiles) -> None:
    left = list(profiles.metadata)
    while left:
        results = profiles.post("/v1/users:batchGet", {"user_ids": left})
        for user_id, each in zip(left, results["results"], strict=True):
            assert "error" in each or each["response"]["user"]["metadata"] == profiles.metadata[user_id]
        left = _left([("response" in each, each.get("error", {}).get("code", 0)) for each in results["results"]], left)
    left = list(profiles.metadata)[:20]
    while left:
        answer = profiles.rpc("BatchGetUsers", pb.BatchGetUsersRequest(user_ids=left), _JSON)
        left = _left([(each.HasField("response"), each.error.code) for each in answer.results], left)


def _left(results: list[tuple[bool, int]], asked: list[str]) -> list[str]:
    """The ids to request again. Each batch must return some users, and refuse the rest only for its size."""
    assert len(results) == len(asked)
    assert any(exported for exported, _ in results)
    assert {code for exported, code in results if not exported} <= {grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}
    return [user_id for user_id, (exported, _) in zip(asked, results, strict=True) if not exported]


def test_a_backup_restores_every_profile(
    profiles: WorstProfiles, mongod: EmbeddedMongod, database: Database[dict[str, Any]], tmp_path: Path
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


def test_full_profiles_can_be_reduced_updated_and_erased(profiles: WorstProfiles) -> None:
    first, second, third, *others = profiles.metadata
    # Removing keys makes room for others.
    for user_id in (first, second, third):
        assert profiles.update(UserUpdate(user_id=user_id, metadata_json=b'{"f0":null,"k0":null}'))
        assert profiles.update(UserUpdate(user_id=user_id, metadata_json=b'{"more":{"a.b":{}}}'))
    assert profiles.http.delete(f"/v1/users/{percent_encoded(first)}", headers=profiles.reader).status_code == 200
    assert profiles.rpc("DeleteUser", pb.DeleteUserRequest(user_id=second)).deleted
    results = profiles.post("/v1/users:batchDelete", {"user_ids": others[:10]})
    assert all(each["response"]["deleted"] for each in results["results"])
    answer = profiles.rpc("BatchDeleteUsers", pb.BatchDeleteUsersRequest(user_ids=[third, *others], suppress_days=1))
    assert not any(each.HasField("error") for each in answer.results)
    assert profiles.get("/v1/users:count")["count"] == 0
    assert profiles.get("/v1/users")["users"] == []
