"""Absorptions that a server did not finish."""

from typing import Final

import pytest
from bson import ObjectId

from server.errors import Overloaded
from server.local.mongod import EmbeddedMongod
from server.mongo.client import connect, open_database
from server.mongo.identity.absorption import Absorption
from server.mongo.identity.pending import PendingAbsorptions

_CHANGING: Final = "pending/a/1"
_NEXT: Final = "pending/a/2"


async def test_a_profile_that_others_keep_changing_holds_up_no_other_absorption(
    mongod: EmbeddedMongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_pending_test")
    finish = Absorption.finish

    async def finish_or_fail(absorption: Absorption, pointer: str) -> None:
        if pointer == _CHANGING:
            raise Overloaded
        await finish(absorption, pointer)

    monkeypatch.setattr(Absorption, "finish", finish_or_fail)
    for key in (_CHANGING, _NEXT):
        # Of a user who was erased, so nothing is left of it.
        pointer = {"_id": key, "pointer": "pending/u/1", "absorption": ObjectId(), "absorbed": {"_id": key}}
        await database.profiles.insert_one(pointer)
    await PendingAbsorptions(database).finish_all()
    assert await database.profiles.distinct("_id") == [_CHANGING]
    client.close()
