"""The migrations that store the key of each email address."""

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
from server.users.finding.email_keys import irregular_key, migrated_keys

_NAME: Final = "userfold_email_keys_test"
_BLANKS: Final = "".join(character for character in map(chr, range(0x10000)) if character.isspace())


@pytest.fixture
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, _NAME)
    await client.drop_database(_NAME)
    await schema.prepare(database, 3)
    yield database
    await client.drop_database(_NAME)
    client.close()


def _profile(email: str, **fields: Any) -> dict[str, Any]:
    """A profile as version 0.1 stored it."""
    facts = email_facts(email)
    derived = {"avatar_url": facts.avatar_url, "email_domain": facts.email_domain} if facts else {}
    return {"metadata": {"email": email}, **derived, **fields}


def _ascii_lower(text: str) -> str:
    return "".join(each.lower() if each.isascii() else each for each in text)


async def test_each_address_gets_its_key_of_version_2(opened: Database) -> None:
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
        email = fields.get("metadata", {}).get("email", "")
        fields.pop("email_key", None)
        # The validator would refuse it: the key follows with the next address.
        expected = {"email_key": _ascii_lower(email.strip())} if email_facts(email) and key != "large" else {}
        assert stored[key] == fields | expected, key
    assert await profiles.count_documents(dict(MIGRATIONS[0].pending)) == 0


async def test_each_address_that_is_none_to_the_standards_gets_a_key_in_version_3(opened: Database) -> None:
    texts = [
        *("a..b@docomo.ne.jp", f"{_BLANKS[:80]}A..B@x.jp{_BLANKS[:80]}", '"a\n"@acme.com', "ü@NAS.local", "\n@\n@\n"),
        *("", "@", "a@", "@b", "nobody", "x" * 252 + "@b", "x" * 253 + "@b", " " * 300 + "a..b@c" + " " * 300),
        # These have a picture, and a key of version 2.
        *("john@acme.com", "jörg@bücher.de"),
    ]
    documents = {f"address-{number}": _profile(text) for number, text in enumerate(texts)}
    documents |= {
        "current": _profile("Ü..b@c", email_key="ü..b@c"),
        "number": {"metadata": {"email": 7}},
        "without": {"metadata": {}},
        "visitor": {"anonymous_id": "v"},
        "erased": {"suppressed_until": datetime(2099, 1, 1, tzinfo=UTC)},
        "large": _profile("a..b@c", rest="x" * (PROFILE_BYTES - 1000)),
    }
    profiles = opened.get_collection("profiles")
    await profiles.insert_many({"_id": key, **fields} for key, fields in documents.items())
    await opened.get_collection("schema").update_one({}, {"$set": {"version": 2}})
    await Migrator(opened, MIGRATIONS[:2]).migrate()
    assert await schema.stored_version(opened) == 3
    stored = {each.pop("_id"): each async for each in profiles.find()}
    for key, fields in documents.items():
        email = fields.get("metadata", {}).get("email", "")
        has_key = isinstance(email, str) and irregular_key(email) and "avatar_url" not in fields and key != "large"
        migrated = {"email_key": _ascii_lower(email.strip())} if has_key else {}
        assert stored[key] == fields | migrated | ({"email_key": "ü..b@c"} if key == "current" else {}), key
        if has_key and key != "current":
            # A look-up tries these.
            assert stored[key]["email_key"] in {irregular_key(email), *migrated_keys(email)}
    assert await profiles.count_documents(dict(MIGRATIONS[1].pending)) == 0
