"""Profiles that are expensive to read: as stored before the limits existed, and the worst that updates can store."""

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import bson
import httpx2
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from server.users.ids import alias_digest, profile_id
from tests.stalls.rows.payloads import COMPANY, TOKEN, USERS
from tests.support.applications import Application

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567"
_STORED_BYTES = 1024 * 1024 - 600
_START = datetime(2026, 1, 1, tzinfo=UTC)


def _nulls() -> dict[str, Any]:
    """An array of objects full of nulls."""
    each = dict.fromkeys(_LETTERS)
    return {"a": [each] * (_STORED_BYTES // (len(bson.encode(each)) + 7))}


def _numbers() -> dict[str, Any]:
    return {"a": [7] * (_STORED_BYTES // 11)}


def _control_characters() -> dict[str, Any]:
    return {"a": "\x01" * (_STORED_BYTES - 600)}


def _paths() -> dict[str, Any]:
    """Nested objects, each with a few values."""
    leaf = dict.fromkeys(_LETTERS[:5], True)
    return {str(number): {"a": {"b": leaf}} for number in range(20_000)}


LEGACY: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    "nulls": _nulls,
    "numbers": _numbers,
    "control characters": _control_characters,
    "paths": _paths,
}
"""The metadata of profiles that were stored before the limits existed."""


def store_legacy(
    database: Database[dict[str, Any]], application: Application, metadata: dict[str, Any], users: int = USERS
) -> None:
    """Insert dense profiles into the database, which bypasses every limit."""
    stored: Any = RawBSONDocument(bson.encode(metadata))
    application_id = application.application_id
    digest = alias_digest(application_id, TOKEN)
    profiles = database.get_collection("profiles", write_concern=WriteConcern("majority"))
    for number in range(users):
        document = {
            "_id": profile_id(application_id, f"d{number}"),
            "application_id": application_id,
            "user_id": f"d{number}",
            "company_id": COMPANY,
            "created_time": _START + timedelta(seconds=number),
            "modified_time": _START,
            "modified_nanos": 0,
            "aliases": [digest],
            "campaign": {"utm_source": "google"},
            "initial_campaign": [{"utm_source": "google"}],
            "metadata": stored,
        }
        profiles.with_options(write_concern=WriteConcern("majority")).insert_one(
            document, bypass_document_validation=True
        )


@dataclass(frozen=True, slots=True)
class RepeatedValue:
    """The value of a new key in each update of a user, and the number of updates, some of which may be refused."""

    value: Any
    updates: int


PUBLIC: Final[Mapping[str, RepeatedValue]] = {
    # 9,900 values each, within the limit of 10,000 for an update.
    "public nulls": RepeatedValue([dict.fromkeys(_LETTERS[:8])] * 1100, 60),
    "public numbers": RepeatedValue([7] * 9900, 12),
    "public control characters": RepeatedValue("\x01" * 150_000, 7),
    "public paths": RepeatedValue({str(number): {"a": {}} for number in range(300)}, 12),
}
"""The worst that a collector key can store."""


def store_public(http: str, application: Application, public: RepeatedValue) -> None:
    """Send updates of dense users until all are refused."""
    headers = {"x-moesif-application-id": application.collector_key, "content-encoding": "gzip"}
    with httpx2.Client(base_url=http, timeout=60) as client:
        for update in range(public.updates):
            metadata = {f"k{update}": public.value}
            saved = 0
            for start in range(0, USERS, 6):
                users = [
                    {"user_id": f"d{n}", "company_id": COMPANY, "session_token": TOKEN, "metadata": metadata}
                    for n in range(start, min(start + 6, USERS))
                ]
                answer = client.post(
                    "/v1/users/batch", content=gzip.compress(json.dumps(users).encode(), 1), headers=headers
                )
                saved += answer.json().get("saved_count", 0)
            if not saved:
                return
