"""The servers under comparison, as a client sees them: how to send each an update, and how to read a profile back.

Each writes to its own database on the same mongod, acknowledged by a majority and journaled.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import httpx2
from pymongo.collection import Collection

from benchmarks.environment.processes import BenchmarkFailed, Service
from benchmarks.load.users import Load, body_of, company_body_of, expected_of
from benchmarks.load.wrk import Request
from server.model import COMPANIES, USERS, ProfileKind
from server.users.ids import id_of

_IDS_PER_COUNT = 10_000


class Contender(ABC):
    """A client of a server that stores profiles."""

    name: ClassVar[str]
    title: ClassVar[str]
    writes: ClassVar[str]
    """How it stores an update, for the reader of the results."""
    inserts_only_in_batches: ClassVar[bool] = False
    keeps_first_campaign: ClassVar[bool] = False
    _PROFILE_PATH: ClassVar[str]

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
        # A new connection for each request, because some servers close idle ones between two runs.
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
        """Send one request. Raises BenchmarkFailed if the response is not 2xx."""
        response = self._client.request(
            request.method,
            request.path,
            content=request.body.encode(),
            headers={"Content-Type": "application/json"},
        )
        if not response.is_success:
            raise BenchmarkFailed(f"{self.name} responded {response.status_code}: {response.text[:500]}")

    def count(self, load: Load) -> int:
        """How many users of a load are stored."""
        # `.` follows `-` in ASCII, so this range holds the ids that start with `NAME-`.
        return self.collection.count_documents({"_id": {"$gte": f"{load.name}-", "$lt": f"{load.name}."}})

    def check_profile(self, user_id: str, tokens: int = 1) -> None:
        """Raise BenchmarkFailed unless the user is stored as sent, with this many session tokens."""
        response = self._client.get(self._PROFILE_PATH + user_id)
        if not response.is_success:
            raise BenchmarkFailed(f"{self.name} responded {response.status_code} for {user_id}: {response.text[:500]}")
        stored, expected = response.json(), self.expected_of(user_id)
        actual = {name: stored.get(name) for name in expected}
        if actual != expected or self.tokens_of(stored) != tokens:
            raise BenchmarkFailed(f"{self.name} stored {user_id} as {json.dumps(stored)}")

    def expected_of(self, user_id: str) -> Mapping[str, Any]:
        """The fields of a profile that was stored as sent."""
        return expected_of(user_id)

    def check_first_campaign(self) -> None:
        """Send a user two campaigns. Raises BenchmarkFailed unless the first one is kept."""
        first, second = body_of("first-campaign"), body_of("first-campaign").replace("google", "bing")
        for body in (first, second):
            self.send(Request("POST", "/v1/users", body))
        stored = self._client.get(f"{self._PROFILE_PATH}first-campaign").json()
        kept = stored.get("initial_campaign")
        # An array of one campaign, as it is stored, or that campaign.
        if (kept[0] if isinstance(kept, list) else kept) != json.loads(first)["campaign"]:
            raise BenchmarkFailed(f"{self.name} did not keep the first campaign: {json.dumps(stored)}")

    @abstractmethod
    def tokens_of(self, stored: Mapping[str, Any]) -> int:
        """The number of session tokens in a profile that was read back."""


class Userfold(Contender):
    """This project."""

    name = "userfold"
    title = "Userfold"
    writes = "POST /v1/users; POST /v1/users/batch"
    keeps_first_campaign = True
    _PROFILE_PATH = "/v1/users/"
    KIND: ClassVar[ProfileKind] = USERS

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
        # The ids are digests, so a range cannot select those of one load.
        ids = [id_of(self.KIND, self._application_id, user_id) for user_id in {*load.base, *load.ids}]
        parts = (ids[start : start + _IDS_PER_COUNT] for start in range(0, len(ids), _IDS_PER_COUNT))
        return sum(self.collection.count_documents({"_id": {"$in": part}}) for part in parts)

    def tokens_of(self, stored: Mapping[str, Any]) -> int:
        return int(stored["alias_count"])


class UserfoldCompanies(Userfold):
    """The same with companies in place of users: their updates are those of the users, without session tokens."""

    name = "companies"
    title = "companies instead of users"
    writes = "POST /v1/companies; POST /v1/companies/batch"
    keeps_first_campaign = False
    _PROFILE_PATH = "/v1/companies/"
    KIND = COMPANIES

    def single(self, user_id: str) -> Request:
        return Request("POST", "/v1/companies", company_body_of(user_id))

    def batch(self, ids: Sequence[str]) -> Request:
        return Request("POST", "/v1/companies/batch", f"[{','.join(map(company_body_of, ids))}]")

    def expected_of(self, user_id: str) -> Mapping[str, Any]:
        return {**expected_of(user_id), "company_id": user_id}

    def tokens_of(self, stored: Mapping[str, Any]) -> int:
        # A company has none, and nothing to compare.
        return 1


class UvicornGateway(Userfold):
    """Userfold with its gateway's application under uvicorn."""

    name = "uvicorn"
    title = "the same application under uvicorn"
    writes = "POST /v1/users, to the gateway's application without its HTTP server (uvicorn_gateway.py)"


class Plain(Contender):
    """The application of `plain_app.py`. Its subclasses are variants of it."""

    name = "plain"
    title = "FastAPI + Motor"
    writes = "POST /v1/users: one update_one; POST /v1/users/batch: one bulk_write (plain_app.py)"
    _PROFILE_PATH = "/v1/users/"

    def tokens_of(self, stored: Mapping[str, Any]) -> int:
        return int(stored["aliases"])


class PlainSchema(Plain):
    """With Userfold's indexes and validator."""

    name = "plain_schema"
    title = "FastAPI + Motor with the same schema"
    writes = "the same, with Userfold's indexes and validator, their fields, and the first campaign kept"
    keeps_first_campaign = True


class PlainBatcher(Plain):
    """With a batcher."""

    name = "plain_batcher"
    title = "FastAPI + Motor with a batcher"
    writes = "POST /v1/users: the updates that arrive during one bulk_write are the next (plain_batcher.py)"


class PlainPymongo(Plain):
    """On PyMongo's asynchronous client."""

    name = "plain_pymongo"
    title = "FastAPI + PyMongo's AsyncMongoClient"
    writes = "as FastAPI + Motor, on the driver that replaces Motor"


class Parse(Contender):
    """Parse Server."""

    name = "parse"
    title = "Parse Server, which replaces objects"
    writes = "Cloud Functions: save, create if there is none; saveAll of 100 for the batch (parse/cloud.js)"
    _PROFILE_PATH = "/parse/classes/Profile/"

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
    title = "Eve, which replaces objects"
    writes = "PUT /users/ID with UPSERT_ON_PUT; for the batch a bulk POST, which can only insert (eve_app.py)"
    inserts_only_in_batches = True
    _PROFILE_PATH = "/users/"

    def single(self, user_id: str) -> Request:
        return Request("PUT", f"/users/{user_id}", body_of(user_id))

    def batch(self, ids: Sequence[str]) -> Request:
        users = ",".join(f'{{"_id":"{user_id}",{body_of(user_id)[1:]}' for user_id in ids)
        return Request("POST", "/users", f"[{users}]")

    def tokens_of(self, stored: Mapping[str, Any]) -> int:
        return int("session_token" in stored)
