"""The producer and the service config of protos/README.md, while the server is stopped, killed and started again."""

import functools
import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import MethodOptions
from pymongo.database import Database
from userfold.v1 import campaign_service_pb2, user_service_pb2
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2 import UpdateUserRequest
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.accounts.credentials import generate_collector_key
from server.local.mongod import EmbeddedMongod
from tests.docs.markdown import ROOT
from tests.support.applications import register
from tests.support.programs import free_port
from tests.support.stack import start_server
from tests.support.waiting import wait_until

_DATABASE = "userfold_recipes"
_CONFIG = files("userfold.v1").joinpath("service_config.json").read_text()
_USERS = 300
_ROUNDS = 60


def _producer() -> Any:
    """The function of the recipe."""
    section = (ROOT / "protos/README.md").read_text().split("\n## A producer that outlives a server\n")[1]
    source = section.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(source.split("\nwith grpc.")[0], names)  # noqa: S102 - The page's own program.
    return names["send_all"]


def _has_more(stored: Database[dict[str, Any]], profiles: int) -> bool:
    return stored.profiles.count_documents({}) > profiles


def test_restarts_lose_no_update_of_the_producer_and_fail_no_call_with_the_service_config(
    mongod: EmbeddedMongod, database: Database[dict[str, Any]], capsys: Any
) -> None:
    stored = database.client[_DATABASE]
    application = register(stored, generate_collector_key())
    credential: Any = [("authorization", f"Bearer {application.management_token}")]
    address = f"127.0.0.1:{free_port()}"
    variables = {"USERFOLD_GRPC_ADDRESS": address}
    produced = 0
    has_ended = False

    def updates() -> Iterator[UserUpdate]:
        nonlocal produced
        for visits in range(_ROUNDS):
            for user in range(_USERS):
                produced += 1
                metadata: Any = {"visits": visits, f"round_{visits}": True}
                yield UserUpdate(user_id=str(user), metadata=metadata)

    def produce() -> None:
        with grpc.insecure_channel(address, [("grpc.max_reconnect_backoff_ms", 200)]) as channel:
            _producer()(channel, updates(), credential)

    def call() -> int:
        """Make calls, of which none may fail. Returns how many were made."""
        options = [("grpc.service_config", _CONFIG), ("grpc.max_reconnect_backoff_ms", 200)]
        with grpc.insecure_channel(address, options) as channel:
            users, calls = UserServiceStub(channel), 0
            while not has_ended:
                users.UpdateUser(UpdateUserRequest(user=UserUpdate(user_id=f"call {calls}")), metadata=credential)
                calls += 1
        return calls

    server = start_server(mongod.uri, _DATABASE, variables)
    try:
        with ThreadPoolExecutor(2) as threads:
            producing, calling = threads.submit(produce), threads.submit(call)
            for number in (signal.SIGTERM, signal.SIGKILL):
                before = stored.profiles.count_documents({})
                wait_until(functools.partial(_has_more, stored, before))
                server.process.send_signal(number)
                server.stop()
                server = start_server(mongod.uri, _DATABASE, variables)
            producing.result(timeout=60)
            has_ended = True
            calls = calling.result(timeout=60)
    finally:
        has_ended = True
        server.stop()
    profiles = {each["user_id"]: each["metadata"] for each in stored.profiles.find({"user_id": {"$regex": "^[0-9]"}})}
    made = stored.profiles.count_documents({"user_id": {"$regex": "^call"}})
    database.client.drop_database(_DATABASE)
    assert capsys.readouterr().out == ""
    assert produced == _USERS * _ROUNDS
    # Each update is stored, and the latest of each user was applied last.
    last = {"visits": _ROUNDS - 1} | {f"round_{visits}": True for visits in range(_ROUNDS)}
    assert {user: metadata == last for user, metadata in profiles.items()} == {str(u): True for u in range(_USERS)}
    assert made == calls > 0


def test_the_service_config_repeats_only_calls_of_idempotent_methods() -> None:
    config = json.loads(_CONFIG)
    repeated = {name["service"] for each in config["methodConfig"] if "retryPolicy" in each for name in each["name"]}
    for file, name in ((user_service_pb2, "UserService"), (campaign_service_pb2, "CampaignService")):
        service = file.DESCRIPTOR.services_by_name[name]
        assert service.full_name in repeated
        for method in service.methods:
            level = method.GetOptions().idempotency_level
            assert level in (MethodOptions.IDEMPOTENT, MethodOptions.NO_SIDE_EFFECTS), method.full_name
    (policy,) = [each["retryPolicy"] for each in config["methodConfig"] if "retryPolicy" in each]
    assert policy["retryableStatusCodes"] == ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"]
