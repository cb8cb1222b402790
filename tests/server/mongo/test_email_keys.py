"""The migration that stores the key of each email address."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from server.limits import PROFILE_BYTES
from server.local.mongod import EmbeddedMongod
from server.mongo import schema
from server.mongo.client import Database, connect, open_database
from server.mongo.migrations import MIGRATIONS, Migrator
from server.users.derive import email_facts

_NAME: Final = "userfold_email_keys_test"
_BLANKS: Final = "".join(character for character in map(chr, range(0x10000)) if character.isspace())


@pytest.fixture
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, _NAME)
    await client.drop_database(_NAME)
    await schema.prepare(database, 2)
    yield database
    await client.drop_database(_NAME)
    client.close()


def _profile(email: str, **fields: Any) -> dict[str, Any]:
    """A profile as version 0.1 stored it."""
    facts = email_facts(email)
    derived = {"avatar_url": facts.avatar_url, "email_domain": facts.email_domain} if facts else {}
    return {"metadata": {"email": email}, **derived, **fields}


async def test_each_address_gets_the_key_that_an_update_would_store(opened: Database) -> None:
    addresses = [
        *("john@acme.com", " John@ACME.com\t", "JoSÉ@Exämple.com", "Ü.K@acme.com", "用户@例え.jp", "ſ.K@acme.com"),
        f"{_BLANKS}john@acme.com{_BLANKS}",
    ]
    documents = {f"address-{number}": _profile(address) for number, address in enumerate(addresses)}
    documents |= {
        # An older server has changed, or removed, the address since.
        "changed": _profile("new@acme.com", email_key="old@acme.com"),
        "removed": {"metadata": {}, "email_key": "old@acme.com"},
        "no longer one": _profile("none", email_key="old@acme.com"),
        "none": _profile("none"),
        "empty": {"metadata": {}},
        "current": _profile("John@acme.com", email_key="john@acme.com"),
        "erased": {"suppressed_until": datetime(2099, 1, 1, tzinfo=UTC)},
        "large": _profile("john@acme.com", rest="x" * (PROFILE_BYTES - 1000)),
    }
    profiles = opened.get_collection("profiles")
    await profiles.insert_many({"_id": key, **fields} for key, fields in documents.items())
    migrator = Migrator(opened, MIGRATIONS[:1])
    await migrator.migrate()
    assert await schema.stored_version(opened) == 2
    stored = {each.pop("_id"): each async for each in profiles.find()}
    for key, fields in documents.items():
        facts = email_facts(fields.get("metadata", {}).get("email", ""))
        fields.pop("email_key", None)
        # The validator would refuse it: the key follows with the next address.
        expected = {"email_key": facts.email_key} if facts and key != "large" else {}
        assert stored[key] == fields | expected, key
    assert await profiles.count_documents(dict(MIGRATIONS[0].pending)) == 0
