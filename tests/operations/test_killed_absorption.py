"""A server is killed while a visitor becomes a user. Another one goes on."""

import threading
from contextlib import suppress
from typing import Any

import grpc
from bson import ObjectId
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.local.mongod import EmbeddedMongod
from tests.support.applications import Application
from tests.support.programs import Program
from tests.support.stack import DATABASE, Api, start_server
from tests.support.waiting import wait_until


def test_what_a_killed_server_left_half_done_is_finished_by_the_next_update(
    mongod: EmbeddedMongod, api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    variables = {"USERFOLD_MONGODB_URI": mongod.uri, "USERFOLD_DATABASE": DATABASE}
    campaign = {"utm_source": "google"}
    assert api.update({"anonymous_id": "a", "campaign": campaign, "metadata": {"visit": 1}}).status_code == 201
    server = Program("tests.operations.stopping_server", {"USERFOLD_GRPC_ADDRESS": "127.0.0.1:0", **variables})
    metadata = (("x-moesif-application-id", application.collector_key),)
    acknowledged = threading.Event()

    def identify() -> None:
        with grpc.insecure_channel(server.ready["grpc"]) as channel, suppress(grpc.RpcError):
            update = UserUpdate(user_id="u", anonymous_id="a")
            UserServiceStub(channel).UpdateUser(pb.UpdateUserRequest(user=update), timeout=60, metadata=metadata)
            acknowledged.set()

    identifying = threading.Thread(target=identify)
    identifying.start()
    own = {"_id": {"$regex": f"^{application.application_id}/a/"}}
    wait_until(lambda: database.profiles.count_documents({**own, "absorption": {"$exists": True}}) == 1)
    server.process.kill()
    server.stop()
    identifying.join()
    assert not acknowledged.is_set()
    assert api.update({"anonymous_id": "a", "metadata": {"visit": 2}}).status_code == 201
    profile = api.get("u").json()
    assert (profile["initial_campaign"], profile["metadata"]) == (campaign, {"visit": 2})
    assert [set(each) for each in database.profiles.find(own)] == [{"_id", "pointer"}]


def test_a_server_finishes_what_another_one_left_half_done(
    mongod: EmbeddedMongod, application: Application, database: Database[dict[str, Any]]
) -> None:
    # Of a user who was erased meanwhile, so that nothing is left of it.
    key = {"_id": f"{application.application_id}/a/half-done"}
    pointer = {"pointer": f"{application.application_id}/u/erased", "absorption": ObjectId(), "absorbed": key}
    database.profiles.insert_one(key | pointer)
    server = start_server(mongod.uri, DATABASE)
    wait_until(lambda: database.profiles.count_documents(key) == 0)
    assert server.stop() == 0
