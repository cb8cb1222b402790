"""What is measured side by side: how each takes an update, and how it is asked what it stored.

All write to databases of their own on one mongod, acknowledged by a majority and journaled.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import httpx2
from pymongo.collection import Collection

from benchmarks.environment.processes import BenchmarkFailed, Service
from benchmarks.load.users import Load, body_of, expected_of
from benchmarks.load.wrk import Request
from server.users.update import profile_id

_COUNTED_AT_ONCE = 10_000


class Contender(ABC):
    """A server that stores profiles, as a client sees it."""

    name: ClassVar[str]
    title: ClassVar[str]
    writes: ClassVar[str]
    """How it does the upsert, for the reader of the results."""
    inserts_only_in_batches: ClassVar[bool] = False
    _SAMPLE_PATH: ClassVar[str]

    def __init__(
        self,
        url: str,
        services: Sequence[Service],
        collection: Collection[dict[str, Any]],
        *,
        headers: Mapping[str, str] | None = None,
        reading: Mapping[str, str] | None = None,
    ) -> None:
        self.url = url
        self.services = services
        self.headers = dict(headers or {})
        self.collection = collection
        # A new connection for each: between two runs, some servers close one that was kept.
        limits = httpx2.Limits(max_keepalive_connections=0)
        self.reading = dict(reading or {})
        headers_read = self.headers | self.reading
        self._client = httpx2.Client(base_url=url, headers=headers_read, timeout=60, limits=limits)

    def single(self, user_id: str) -> Request:
        """The request that updates one user."""
        return Request("POST", "/v1/users", body_of(user_id))

    def batch(self, ids: Sequence[str]) -> Request:
        """The request that updates many users."""
        return Request("POST", "/v1/users/batch", f"[{','.join(map(body_of, ids))}]")

    def send(self, request: Request) -> None:
        """Send one request. Raises BenchmarkFailed where it is not answered with a 2xx."""
        answer = self._client.request(
            request.method,
            request.path,
            content=request.body.encode(),
            headers={"Content-Type": "application/json"},
        )
        if not answer.is_success:
            raise BenchmarkFailed(f"{self.name} answered {answer.status_code}: {answer.text[:500]}")

    def count(self, load: Load) -> int:
        """How many users of a load are stored."""
        # `.` follows `-`: the ids between are those that begin with `LOAD-`.
        return self.collection.count_documents({"_id": {"$gte": f"{load.name}-", "$lt": f"{load.name}."}})

    def check_profile(self, user_id: str, tokens: int = 1) -> None:
        """Raise BenchmarkFailed where the user is not stored as sent, with so many session tokens."""
        answer = self._client.get(self._SAMPLE_PATH + user_id)
        if not answer.is_success:
            raise BenchmarkFailed(f"{self.name} answers {answer.status_code} for {user_id}: {answer.text[:500]}")
        stored, expected = answer.json(), expected_of(user_id)
        found = {name: stored.get(name) for name in expected}
        if found != expected or self.tokens_of(stored) != tokens:
            raise BenchmarkFailed(f"{self.name} stored {user_id} as {json.dumps(stored)}")

    @abstractmethod
    def tokens_of(self, stored: Mapping[str, Any]) -> int:
        """How many session tokens there are in what was read back of a user."""


class Userfold(Contender):
    """This project."""

    name = "userfold"
    title = "Userfold"
    writes = "POST /v1/users; POST /v1/users/batch"
    _SAMPLE_PATH = "/v1/users/"

    def __init__(
        self,
        application_id: str,
        url: str,
        services: Sequence[Service],
        collection: Collection[dict[str, Any]],
        *,
        headers: Mapping[str, str],
        reading: Mapping[str, str],
    ) -> None:
        super().__init__(url, services, collection, headers=headers, reading=reading)
        self._application_id = application_id

    def count(self, load: Load) -> int:
        # The ids are digests: no range holds those of a load.
        ids = [profile_id(self._application_id, user_id) for user_id in {*load.base, *load.ids}]
        slices = (ids[start : start + _COUNTED_AT_ONCE] for start in range(0, len(ids), _COUNTED_AT_ONCE))
        return sum(self.collection.count_documents({"_id": {"$in": each}}) for each in slices)

    def tokens_of(self, stored: Mapping[str, Any]) -> int:
        return int(stored["alias_count"])


class Plain(Contender):
    """`plain_app.py`."""

    name = "plain"
    title = "FastAPI + Motor"
    writes = "POST /v1/users: one update_one; POST /v1/users/batch: one bulk_write (plain_app.py)"
    _SAMPLE_PATH = "/v1/users/"

    def tokens_of(self, stored: Mapping[str, Any]) -> int:
        return int(stored["aliases"])


class Parse(Contender):
    """Parse Server."""

    name = "parse"
    title = "Parse Server"
    writes = "Cloud Functions: save, create where nothing is found; saveAll of 100 for the batch (parse/cloud.js)"
    _SAMPLE_PATH = "/parse/classes/Profile/"

    def single(self, user_id: str) -> Request:
        return Request("POST", "/parse/functions/updateUser", body_of(user_id))

    def batch(self, ids: Sequence[str]) -> Request:
        body = f'{{"users":[{",".join(map(body_of, ids))}]}}'
        return Request("POST", "/parse/functions/updateUsers", body)

    def tokens_of(self, stored: Mapping[str, Any]) -> int:
        return len(stored["aliases"])


class Eve(Contender):
    """Eve under gunicorn."""

    name = "eve"
    title = "Eve"
    writes = "PUT /users/ID with UPSERT_ON_PUT; for the batch a bulk POST, which can only insert (eve_app.py)"
    inserts_only_in_batches = True
    _SAMPLE_PATH = "/users/"

    def single(self, user_id: str) -> Request:
        return Request("PUT", f"/users/{user_id}", body_of(user_id))

    def batch(self, ids: Sequence[str]) -> Request:
        users = ",".join(f'{{"_id":"{each}",{body_of(each)[1:]}' for each in ids)
        return Request("POST", "/users", f"[{users}]")

    def tokens_of(self, stored: Mapping[str, Any]) -> int:
        return int("session_token" in stored)
