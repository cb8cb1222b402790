"""Recorded requests of published clients, sent byte for byte, and requests in forms that other clients send.

The stored profile must be what the merge table says for the decoded body.
"""

import gzip
import json
import re
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from tests.clients import profiles
from tests.support.applications import Application, register
from tests.support.expected_profile import ReferenceProfile
from tests.support.http1 import Connection, Response
from tests.support.stack import Api, Stack
from tests.support.waiting import wait_until

RECORDINGS: Final = Path(__file__).parent
_NAMES: Final = sorted(str(path.relative_to(RECORDINGS).with_suffix("")) for path in RECORDINGS.glob("*/*.raw"))
_POSTS: Final = [name for name in _NAMES if "-POST-" in name]
_GETS: Final = [name for name in _NAMES if "-GET-" in name]

_CAMEL_CASE: Final = {"userId": "user_id", "companyId": "company_id"}
_TEXTS: Final = ("user_id", "company_id", "session_token")
_UPDATE_FIELDS: Final = {
    *("user_id", "company_id", "modified_time", "ip_address", "session_token", "user_agent_string", "metadata"),
    *("campaign", "anonymous_id"),
}


@dataclass(frozen=True)
class Recording:
    """A recorded request."""

    raw: bytes

    @classmethod
    def named(cls, name: str) -> "Recording":
        """The recording of this folder and file, without its suffix."""
        return cls((RECORDINGS / f"{name}.raw").read_bytes())

    @property
    def collector_key(self) -> str:
        """The value of its header X-Moesif-Application-Id."""
        found = re.search(rb"\r\nx-moesif-application-id: (.*?)\r\n", self.raw, re.IGNORECASE)
        assert found
        return found[1].decode()

    @property
    def is_batch(self) -> bool:
        """Whether it is a batch."""
        return self.raw.startswith(b"POST /v1/users/batch ")

    @property
    def json(self) -> Any:
        """The decoded body."""
        _, _, body = self.raw.partition(b"\r\n\r\n")
        return json.loads(gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body)

    @property
    def users(self) -> list[Any]:
        """The updates in the body."""
        decoded = self.json
        return decoded if self.is_batch else [decoded]


class ClientConnection(Connection):
    """A connection on which every response has the headers that published clients and browsers rely on."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack.http)

    def response(self, method: str = "POST") -> Response:
        response = super().response(method)
        assert response.headers["access-control-allow-origin"] == "*"
        assert not {"x-moesif-config-etag", "x-moesif-rules-tag", "location"} & set(response.headers)
        return response


Registered = Callable[[str], Application]


@pytest.fixture(scope="session")
def keys(database: Database[dict[str, Any]], stack: Stack) -> Registered:
    """Returns the application of a recorded key, registered on first use."""
    known: dict[str, Application] = {}

    def registered(collector_key: str) -> Application:
        if collector_key not in known:
            known[collector_key] = register(database, collector_key)
        return known[collector_key]

    return registered


@pytest.fixture
def recorded(
    stack: Stack, database: Database[dict[str, Any]], keys: Registered
) -> Iterator[Callable[[Recording], Api]]:
    """The API of a recording's application, which has no users yet."""
    opened: list[Api] = []

    def api_of(recording: Recording) -> Api:
        application = keys(recording.collector_key)
        database.profiles.delete_many({"application_id": application.application_id})
        opened.append(Api(stack.http, application))
        return opened[-1]

    yield api_of
    for api in opened:
        api.client.close()


def folded(updates: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """The expected profiles after updates, by user id, with `modified_time` only if one was sent."""
    references: dict[str, ReferenceProfile] = {}
    for update in updates:
        named = {_CAMEL_CASE.get(name, name): value for name, value in update.items()}
        texts = {name: str(named[name]) for name in _TEXTS if type(named.get(name)) is int}
        known = {name: _exact(value) for name, value in (named | texts).items() if name in _UPDATE_FIELDS}
        references.setdefault(known["user_id"], ReferenceProfile()).fold(known, "127.0.0.1")
    return {user_id: _expected(user_id, reference) for user_id, reference in references.items()}


def _expected(user_id: str, reference: ReferenceProfile) -> dict[str, Any]:
    fields = dict(reference.fields)
    if "modified_time" in fields:
        assert reference.last_modified_time_was_sent
        fields["modified_time"] = _utc(fields["modified_time"])
    if "anonymous_id" in fields:
        fields["anonymous_ids"] = [fields["anonymous_id"]]
    if reference.campaign:
        fields["campaign"] = reference.campaign
    for name in ("initial_campaign", "latest_campaign"):
        if campaign := getattr(reference, name):
            fields[name] = campaign
        if time := getattr(reference, f"{name}_time"):
            # It is stored to the millisecond.
            fields[f"{name}_time"] = re.sub(r"(\.\d{3})\d+", r"\1", _utc(time))
    facts = profiles.derived(email) if "." in (email := reference.metadata.get("email", "")) else {}
    always = {"user_id": user_id, "alias_count": len(reference.tokens)}
    if observed := reference.observed_ip_address:
        always |= {"ip_address": observed, "observed_ip_address": observed}
    return always | facts | {"metadata": reference.metadata} | fields


def _exact(value: Any) -> Any:
    """A JSON value in which strings replace the integers that a double cannot hold."""
    if isinstance(value, dict):
        return {key: _exact(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_exact(inner) for inner in value]
    return str(value) if type(value) is int and int(float(value)) != value else value


def _utc(time: str) -> str:
    """A time of at most six fractional digits, as the API returns it."""
    parsed = datetime.fromisoformat(time)
    utc = parsed.astimezone(UTC) if parsed.tzinfo else parsed
    digits = f"{utc.microsecond:06}" if utc.microsecond else ""
    digits = digits[:3] if digits.endswith("000") else digits
    return f"{utc:%Y-%m-%dT%H:%M:%S}{f'.{digits}' if digits else ''}Z"


def check_stored(api: Api, expected: dict[str, dict[str, Any]]) -> None:
    """Each profile must equal the expected one. Times that are not expected must be during this test."""
    for user_id, profile in expected.items():
        answer = api.get(user_id)
        assert answer.status_code == 200, answer.text
        stored = answer.json()
        assert stored.pop("etag")
        of_campaigns = {"initial_campaign_time", "latest_campaign_time"} & stored.keys()
        for name in ("created_time", "modified_time", "stored_time", *of_campaigns):
            if name not in profile:
                assert profiles.is_now(stored.pop(name))
        assert stored == profile


_REFUSED: Final = {
    "python-variants/006-POST-v1_users": {
        "code": 3,
        "status": "INVALID_ARGUMENT",
        "message": "metadata.v: must be a finite number that a double holds, or a string (and 1 more)",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "INVALID_REQUEST",
                "domain": "userfold",
            },
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "field_violations": [
                    {
                        "field": "metadata.v",
                        "description": "must be a finite number that a double holds, or a string",
                        "reason": "NOT_A_NUMBER",
                    },
                    {
                        "field": "metadata.w",
                        "description": "must be a finite number that a double holds, or a string",
                        "reason": "NOT_A_NUMBER",
                    },
                ],
            },
        ],
    },
    "python-variants/007-POST-v1_users": {
        "code": 3,
        "status": "INVALID_ARGUMENT",
        "message": "user_id: a user_id is required: any string of 1 to 512 bytes",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "INVALID_REQUEST",
                "domain": "userfold",
            },
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "field_violations": [
                    {
                        "field": "user_id",
                        "description": "a user_id is required: any string of 1 to 512 bytes",
                        "reason": "REQUIRED",
                    }
                ],
            },
        ],
    },
}
_WARNED: Final = {
    "mw-asgi-201/003-POST-v1_users": [("metadata.email", "NOT_AN_EMAIL_ADDRESS")],
    "node-variants/006-POST-v1_users": [("metadata.big", "INTEGER_KEPT_AS_TEXT")],
    "node-variants/008-POST-v1_users": [("anything", "UNKNOWN_FIELD")],
}


def _is_accepted(name: str, answer: Response) -> None:
    recording = Recording.named(name)
    body = dict(answer.json)
    warnings = [(warning["field"], warning["reason"]) for warning in body.pop("warnings", [])]
    saved = {"saved_count": len(recording.users)} if recording.is_batch else {}
    assert (answer.status, body, warnings) == (201, saved, _WARNED.get(name, []))


def test_the_recordings_exist() -> None:
    assert len(_POSTS) == 34
    assert len(_GETS) == 8


@pytest.mark.parametrize("name", [name for name in _POSTS if name not in _REFUSED])
def test_a_recorded_update_is_stored(name: str, stack: Stack, recorded: Callable[[Recording], Api]) -> None:
    recording = Recording.named(name)
    api = recorded(recording)
    with ClientConnection(stack) as connection:
        _is_accepted(name, connection.exchange(recording.raw))
    check_stored(api, folded(recording.users))


@pytest.mark.parametrize("name", _REFUSED)
def test_a_recorded_update_that_is_malformed_is_refused_and_nothing_is_stored(
    name: str, stack: Stack, recorded: Callable[[Recording], Api], database: Database[dict[str, Any]]
) -> None:
    recording = Recording.named(name)
    api = recorded(recording)
    with ClientConnection(stack) as connection:
        answer = connection.exchange(recording.raw)
    assert (answer.status, answer.json) == (400, _REFUSED[name])
    assert database.profiles.count_documents({"application_id": api.application.application_id}) == 0


@pytest.mark.parametrize("folder", sorted({name.partition("/")[0] for name in _POSTS}))
def test_the_recordings_of_a_client_are_accepted_in_order_on_one_connection(
    folder: str, stack: Stack, recorded: Callable[[Recording], Api]
) -> None:
    names = [name for name in _NAMES if name.startswith(f"{folder}/") and name != "curl-seed/002-GET-v1_events_batch"]
    api = recorded(Recording.named(names[0]))
    users: list[Any] = []
    with ClientConnection(stack) as connection:
        for name in names:
            answer = connection.exchange(Recording.named(name).raw)
            if name in _POSTS and name not in _REFUSED:
                _is_accepted(name, answer)
                users += Recording.named(name).users
            else:
                assert answer.status == (400 if name in _REFUSED else 200)
    timeless = [user | {"modified_time": None} for user in users]
    for user_id, profile in folded(timeless).items():
        stored = api.get(user_id).json()
        assert {name: value for name, value in stored.items() if not name.endswith(("_time", "etag"))} == profile


_ANSWERS: Final[dict[str, tuple[int, Any]]] = {
    "GET-v1_config": (
        200,
        {
            "sample_rate": 0,
            "user_sample_rate": {},
            "company_sample_rate": {},
            "user_rules": {},
            "company_rules": {},
            "regex_config": [],
        },
    ),
    "GET-v1_rules": (200, []),
    "GET-health_probe": (200, {"status": True, "region": "local"}),
    "GET-v1_events_batch": (
        405,
        {
            "code": 12,
            "status": "UNIMPLEMENTED",
            "message": "This path takes no users. A list of users is sent to POST /v1/users/batch.",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "USERS_BELONG_ELSEWHERE",
                    "domain": "userfold",
                }
            ],
        },
    ),
}


@pytest.mark.parametrize("name", _GETS)
def test_a_recorded_get_is_answered(name: str, stack: Stack) -> None:
    with ClientConnection(stack) as connection:
        answer = connection.exchange(Recording.named(name).raw)
    assert (answer.status, answer.json) == _ANSWERS[name.partition("/")[2][4:]]


def request(body: bytes, *headers: bytes, target: bytes = b"/v1/users") -> bytes:
    """The bytes of a POST, with a placeholder for the collector key."""
    lines = [b"POST %s HTTP/1.1" % target, b"Host: users.example", b"X-Moesif-Application-Id: KEY", *headers]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


@dataclass(frozen=True)
class Wire:
    """Requests in the form of some client, and the updates in them. `times` has the times of the expected response."""

    raw: tuple[bytes, ...]
    updates: tuple[dict[str, Any], ...]
    times: dict[str, str] = field(default_factory=dict)


_JSON: Final = b"Content-Type: application/json; charset=utf-8"
_BATCH: Final = b"/v1/users/batch"
_JAVA_NULLS: Final = (
    b'{"user_id":"u","company_id":null,"modified_time":null,"ip_address":null,"session_token":null,'
    b'"user_agent_string":null,"metadata":null,"campaign":{"utm_source":null,"utm_medium":null,"utm_campaign":null,'
    b'"utm_term":null,"utm_content":null,"referrer":null,"referring_domain":null,"gclid":null}}'
)
_FULL: Final = b'{"user_id":"u","company_id":"c","metadata":{"a":{"b":1}},"campaign":{"gclid":"g"},"session_token":"t"}'
_FULL_UPDATE: Final[dict[str, Any]] = json.loads(_FULL)


def _time(sent: str, answered: str) -> Wire:
    body = json.dumps({"user_id": "u", "modified_time": sent}).encode()
    return Wire((request(body, _JSON),), ({"user_id": "u"},), {"u": answered})


_WIRE: Final = {
    "two User-Agent headers": Wire(
        (request(b'{"user_id":"u"}', b"User-Agent: moesifapi-java/1.0", _JSON, b"User-Agent: moesif-servlet/1.0"),),
        ({"user_id": "u"},),
    ),
    "no User-Agent, and text/plain": Wire(
        (request(_FULL, b"Content-Type: text/plain; charset=utf-8"),), (_FULL_UPDATE,)
    ),
    "no Content-Type at all": Wire((request(_FULL),), (_FULL_UPDATE,)),
    "a form's Content-Type": Wire(
        (request(_FULL, b"Content-Type: application/x-www-form-urlencoded"),), (_FULL_UPDATE,)
    ),
    "two slashes, from a base URL that ends in one": Wire(
        (request(_FULL, _JSON, target=b"//v1/users"),), (_FULL_UPDATE,)
    ),
    "two slashes, in batch": Wire((request(b"[%s]" % _FULL, _JSON, target=b"//v1/users/batch"),), (_FULL_UPDATE,)),
    "gzip, in a header in lower case": Wire(
        (request(gzip.compress(_FULL), _JSON.lower(), b"content-encoding: gzip"),), (_FULL_UPDATE,)
    ),
    "PHP's empty arrays": Wire(
        (request(_FULL, _JSON), request(b'{"user_id":"u","metadata":[],"campaign":[]}', _JSON)), (_FULL_UPDATE,)
    ),
    "PHP's empty arrays for a new user": Wire(
        (request(b'{"user_id":"u","metadata":[],"campaign":[]}', _JSON),), ({"user_id": "u"},)
    ),
    "an empty campaign with every update": Wire(
        (request(_FULL, _JSON), request(b'{"user_id":"u","campaign":{}}', _JSON)), (_FULL_UPDATE,)
    ),
    "Java's nulls everywhere": Wire((request(_FULL, _JSON), request(_JAVA_NULLS, _JSON)), (_FULL_UPDATE,)),
    "Java's nulls everywhere, in batch": Wire(
        (request(_FULL, _JSON), request(b"[%s,%s]" % (_JAVA_NULLS, _JAVA_NULLS), _JSON, target=_BATCH)), (_FULL_UPDATE,)
    ),
    "Go's gzip with integer ids": Wire(
        (
            request(
                gzip.compress(b'{"modified_time":null,"session_token":42,"user_id":"u","company_id":67890}'),
                b"User-Agent: Go-http-client/1.1",
                _JSON,
                b"Content-Encoding: gzip",
                b"Accept-Encoding: gzip",
            ),
        ),
        ({"user_id": "u", "company_id": "67890", "session_token": "42"},),
    ),
    "names in camel case": Wire(
        (request(b'{"userId":"u","companyId":"c","sessionToken":"t","campaign":{"utmSource":"s"}}', _JSON),),
        ({"user_id": "u", "company_id": "c", "session_token": "t", "campaign": {"utm_source": "s"}},),
    ),
    "one user several times": Wire(
        (request(b'[{"user_id":"u","metadata":{"a":1}},{"user_id":"u","metadata":{"a":2}}]', _JSON, target=_BATCH),),
        ({"user_id": "u", "metadata": {"a": 2}},),
    ),
    "one token of several users": Wire(
        (request(b'[{"user_id":"u","session_token":"t"},{"user_id":"v","session_token":"t"}]', _JSON, target=_BATCH),),
        ({"user_id": "u", "session_token": "t"}, {"user_id": "v", "session_token": "t"}),
    ),
    "no body but null, in batch": Wire((request(b"null", _JSON, target=_BATCH),), ()),
    "no zone": _time("2026-01-02T03:04:05.914", "2026-01-02T03:04:05.914Z"),
    "a zone without a colon": _time("2026-01-02T03:04:05.914+0000", "2026-01-02T03:04:05.914Z"),
    "an offset": _time("2026-01-02T03:04:05+05:30", "2026-01-01T21:34:05Z"),
    "C#'s seven digits": _time("2026-01-02T03:04:05.1234567Z", "2026-01-02T03:04:05.123456700Z"),
    "Go's nine digits": _time("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456789Z"),
    "Ruby's blanks": _time("2026-01-02 03:04:05 UTC", "2026-01-02T03:04:05Z"),
    "an old time for none": _time("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z"),
}


def _with_key(raw: bytes, api: Api) -> bytes:
    return raw.replace(b"KEY", api.application.collector_key.encode(), 1)


@pytest.mark.parametrize("name", _WIRE)
def test_other_forms_of_an_update_are_stored(name: str, stack: Stack, api: Api) -> None:
    wire = _WIRE[name]
    with ClientConnection(stack) as connection:
        for raw in wire.raw:
            answer = connection.exchange(_with_key(raw, api))
            assert (answer.status, "warnings" in answer.json) == (201, False)
    expected = folded(wire.updates)
    for user_id, answered in wire.times.items():
        expected[user_id]["modified_time"] = answered
    check_stored(api, expected)


def test_expect_100_continue_gets_100_continue(stack: Stack, api: Api) -> None:
    head, separator, body = _with_key(request(_FULL, _JSON, b"Expect: 100-continue"), api).partition(b"\r\n\r\n")
    with ClientConnection(stack) as connection:
        connection.send(head + separator)
        assert connection.socket.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(body)
        assert connection.response().status == 201
    check_stored(api, folded([_FULL_UPDATE]))


def test_a_body_may_arrive_byte_by_byte(stack: Stack, api: Api) -> None:
    with ClientConnection(stack) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in _with_key(request(_FULL, _JSON), api):
            connection.send(bytes([byte]))
        assert connection.response().status == 201
    check_stored(api, folded([_FULL_UPDATE]))


_OFFER: Final = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAAB")
"""The headers by which clients such as Java's offer HTTP/2 in a request without TLS."""


def test_an_offer_to_upgrade_the_protocol_is_ignored(stack: Stack, api: Api) -> None:
    with ClientConnection(stack) as connection:
        for _ in range(2):
            assert connection.exchange(_with_key(request(_FULL, _JSON, *_OFFER), api)).status == 201
    check_stored(api, folded([_FULL_UPDATE]))


def test_a_body_after_an_offered_upgrade_is_not_parsed_as_the_next_request(stack: Stack, api: Api) -> None:
    inner = _with_key(request(b'{"user_id":"smuggled"}', _JSON), api)
    head, separator, body = _with_key(request(inner, *_OFFER), api).partition(b"\r\n\r\n")
    with ClientConnection(stack) as connection:
        connection.send(head + separator)
        # After a response that is too early, the body would be parsed as a request.
        select.select([connection.socket], [], [], 0.2)
        connection.send(body)
        answer = connection.response()
        assert connection.exchange(_with_key(request(_FULL, _JSON), api)).status == 201
    assert (answer.status, answer.json["details"][0]["reason"]) == (400, "BODY_NOT_JSON")
    assert api.get("smuggled").status_code == 404


def test_a_browsers_first_page_view_and_its_later_identity_are_stored(
    stack: Stack, api: Api, database: Database[dict[str, Any]]
) -> None:
    preflight = (
        b"OPTIONS /v1/users HTTP/1.1\r\nHost: users.example\r\nAccept: */*\r\nAccess-Control-Request-Method: POST\r\n"
        b"Access-Control-Request-Headers: content-type,x-moesif-application-id,x-moesif-sdk\r\n"
        b"Origin: https://shop.example\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: cross-site\r\n"
        b"Sec-Fetch-Dest: empty\r\nReferer: https://shop.example/\r\n\r\n"
    )
    browser = (
        b"Origin: https://shop.example",
        b"X-Moesif-SDK: moesif-browser-js/1.8.13",
        b"Content-Type: application/json",
    )
    campaign = {
        "utm_source": "google",
        "referrer": "https://x.example/p",
        "referring_domain": "x.example",
        "gclid": "g",
    }
    first = {"anonymous_id": "18c-anon", "campaign": campaign}
    second = {"user_id": "u", "anonymous_id": "18c-anon", "session_token": "t", "metadata": {"name": "John"}}
    with ClientConnection(stack) as connection:
        allowed = connection.exchange(preflight)
        assert allowed.status in (200, 204)
        headers = {name.strip() for name in allowed.headers["access-control-allow-headers"].lower().split(",")}
        assert {"content-type", "x-moesif-application-id", "x-moesif-sdk"} <= headers
        assert "POST" in allowed.headers["access-control-allow-methods"]
        assert "access-control-allow-credentials" not in allowed.headers
        for update in (first, second):
            answer = connection.exchange(_with_key(request(json.dumps(update).encode(), *browser), api))
            assert (answer.status, answer.json) == (201, {})
        refused = connection.exchange(request(b"{}", *browser))
        assert (refused.status, refused.json["status"]) == (401, "UNAUTHENTICATED")
    # The visitor has become the user.
    check_stored(api, folded([first | {"user_id": "u"}, second]))
    visitor = {"application_id": api.application.application_id, "user_id": None}
    assert database.profiles.count_documents(visitor) == 0


def test_concurrent_batches_of_200_users_from_8_connections_are_stored_completely(
    stack: Stack, api: Api, database: Database[dict[str, Any]]
) -> None:
    connections, batches, size = 8, 3, 200
    start = threading.Barrier(connections)

    def batch(sender: int, number: int) -> list[dict[str, Any]]:
        # The first user is the same in all batches, and gets a field from each.
        everyone = {"user_id": "everyone", "metadata": {f"of_{sender}": {f"of_{number}": number}}}
        return [everyone, *({"user_id": f"{sender}-{number}-{i}", "company_id": f"{i}"} for i in range(1, size))]

    def send(sender: int) -> list[tuple[int, Any]]:
        with ClientConnection(stack) as connection:
            start.wait(timeout=30)
            answers = []
            for number in range(batches):
                body = gzip.compress(json.dumps(batch(sender, number)).encode())
                raw = request(body, _JSON, b"Content-Encoding: gzip", target=_BATCH)
                answer = connection.exchange(_with_key(raw, api))
                answers.append((answer.status, answer.json))
            return answers

    with ThreadPoolExecutor(connections) as pool:
        answers = [answer for sent in pool.map(send, range(connections)) for answer in sent]
    assert answers == [(201, {"saved_count": size})] * connections * batches
    everyone = {f"of_{sender}": {f"of_{n}": n for n in range(batches)} for sender in range(connections)}
    check_stored(api, {"everyone": profiles.profile("everyone", metadata=everyone)})
    check_stored(api, folded([user for sender in (0, 7) for user in batch(sender, 2)[1:20]]))
    stored = {"application_id": api.application.application_id}
    assert database.profiles.count_documents(stored) == connections * batches * (size - 1) + 1


@pytest.mark.parametrize("applied", [True, False], ids=["after the write", "at any time"])
@pytest.mark.parametrize(
    "name", ["curl-seed/001-POST-v1_users", "node-seed/002-POST-v1_users_batch", "node-variants/004-POST-v1_users"]
)
def test_a_request_repeated_after_a_lost_connection_changes_nothing(
    name: str, applied: bool, stack: Stack, recorded: Callable[[Recording], Api], database: Database[dict[str, Any]]
) -> None:
    recording = Recording.named(name)
    api = recorded(recording)
    expected = folded(recording.users)
    lost = ClientConnection(stack)
    lost.send(recording.raw)
    ours = {"application_id": api.application.application_id}
    # With the server's read concern, in which a write becomes visible a little later.
    served = database.profiles.with_options(read_concern=ReadConcern("majority"))
    if applied:
        wait_until(lambda: served.count_documents(ours) >= len(expected))
    lost.reset()
    created = {}
    for _ in range(3):
        if applied:
            check_stored(api, expected)
            created = {user_id: api.get(user_id).json()["created_time"] for user_id in expected}
        with ClientConnection(stack) as connection:
            assert connection.exchange(recording.raw).status == 201
        check_stored(api, expected)
        for user_id, time_of_first in created.items():
            assert api.get(user_id).json()["created_time"] == time_of_first
    assert database.profiles.count_documents(ours) == len(expected)
