"""Applications that hold what products have sent them."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pymongo.database import Database

from server.accounts.credentials import generate_collector_key, generate_management_token
from server.model import CredentialKind, Scope
from tests.clients.conftest import NODE, Node
from tests.clients.programs import run
from tests.console.data.hostile import hostile_profiles, hostile_users
from tests.console.data.people import Update, companies, later_updates, people, visitors
from tests.support.applications import Application, grant, register
from tests.support.stack import COMPANIES, Api, Profiles

_HERE: Final = Path(__file__).parent

_OF_PYTHON: Final = 16
_OF_NODE: Final = 10
"""How many of the users are sent by each client library; the rest are sent as a batch."""

_KINDS: Final = 16
"""How many kinds of refusals and warnings `create` brings about in its first application."""


@dataclass(frozen=True)
class Tokens:
    """Management tokens of one application.

    `of` has a token for each scope alone. `without_scopes` may call only what every token may.
    """

    admin: str
    of: Mapping[Scope, str]
    without_scopes: str
    expired: str
    revoked: str


@dataclass(frozen=True)
class Product:
    """An application with users, and its credentials."""

    application: Application
    tokens: Tokens
    users: Sequence[Update]

    @property
    def key(self) -> str:
        """Its collector key."""
        return self.application.collector_key


@dataclass(frozen=True)
class World:
    """Two applications. `acme` has 60 users, visitors, hostile users, refusals and warnings; `globex` users of its own,
    one of which has the id of a user of `acme`."""

    acme: Product
    globex: Product


def create(database: Database[dict[str, Any]], url: str, node: Node) -> World:
    """Register both applications, and send all that they hold to the gateway at this URL."""
    acme = _product(database, "Acme Inc", people())
    others: Sequence[Update] = (
        {
            "user_id": "usr_1000",
            "company_id": "globex",
            "metadata": {"name": "Hank Scorpio", "email": "hank@globex.example"},
        },
        {
            "user_id": "globex-only",
            "company_id": "contoso",
            "metadata": {"name": "Only Globex", "email": "o@globex.example"},
        },
    )
    globex = _product(database, "Globex", others)
    api = Api(url, globex.application)
    with api.client:
        _accepted(api, others)
    _fill(acme, url, node)
    return World(acme, globex)


def refusals_are_stored(database: Database[dict[str, Any]], product: Product) -> bool:
    """Whether all refusals and warnings of `create` can be listed: the programs pass them on every two seconds."""
    return database.refusals.count_documents({"application_id": product.application.application_id}) >= _KINDS


def spread_over_time(database: Database[dict[str, Any]], product: Product, days: int = 180) -> None:
    """Let the profiles look as though the product had sent them over these days, until now.

    For pictures, and for reports over time: only the server's clock sets these times.
    """
    now, profiles = datetime.now(UTC), database.profiles
    own = {"application_id": product.application.application_id, "created_time": {"$exists": True}}
    stored = sorted(each["_id"] for each in profiles.find(own, projection=["_id"]))
    for number, profile_id in enumerate(stored):
        age = timedelta(days=days * (1 - (number + 0.5) / len(stored)) ** 1.5, minutes=7 * number)
        last = age * ((number * 7919) % 100 / 100) ** 3
        times = {"created_time": now - age, "stored_time": now - last}
        profiles.update_one({"_id": profile_id}, {"$set": times})


def _product(database: Database[dict[str, Any]], name: str, users: Sequence[Update]) -> Product:
    application = register(database, generate_collector_key(), name)

    def token(label: str, *scopes: Scope, expire_time: datetime | None = None) -> str:
        secret = generate_management_token()
        grant(database, application, CredentialKind.MANAGEMENT, secret, scopes, expire_time, label)
        return secret

    revoked = token("revoked", Scope.ADMIN)
    database.credentials.delete_one({"application_id": application.application_id, "name": "revoked"})
    tokens = Tokens(
        admin=token("Operations", Scope.ADMIN),
        of={scope: token(f"Only {scope}", scope) for scope in Scope if scope is not Scope.ADMIN},
        without_scopes=token("Nothing"),
        expired=token("Expired", Scope.ADMIN, expire_time=datetime.now(UTC) - timedelta(days=1)),
        revoked=revoked,
    )
    return Product(application, tokens, users)


def _fill(product: Product, url: str, node: Node) -> None:
    users = product.users
    python = users[:_OF_PYTHON]
    by_node = users[_OF_PYTHON : _OF_PYTHON + _OF_NODE]
    output = run([sys.executable, _HERE / "send_users.py"], USERS=json.dumps(python), BASE_URL=url, KEY=product.key)
    assert output.split() == ["400"] * 3, output
    packages = str(NODE / "node_modules")
    output = run(
        [node.node, _HERE / "send_users.cjs"],
        USERS=json.dumps(by_node),
        BASE_URL=url,
        KEY=product.key,
        NODE_PATH=packages,
    )
    assert output.split() == ["201"] * (_OF_NODE // 2 + 1) + ["refused"] * 4, output
    api = Api(url, product.application)
    with api.client:
        _accepted(api, users[_OF_PYTHON + _OF_NODE :])
        _accepted(api, later_updates(users))
        _accepted(api, visitors())
        _accepted(api, hostile_profiles("anonymous_id"))
        sent = [*companies(), *hostile_profiles("company_id")]
        assert Profiles(api, COMPANIES).batch(sent).json()["saved_count"] == len(sent)
        for user in hostile_users():
            answer = api.update(user)
            assert answer.status_code == 201, answer.text
        _send_what_is_refused(api)


def _accepted(api: Api, users: Sequence[Update]) -> None:
    answer = api.batch(users)
    assert (answer.status_code, answer.json()["saved_count"]) == (201, len(users)), answer.text


def _send_what_is_refused(api: Api) -> None:
    """What clients without a package that these tests could run send: Java's, Go's, a browser's, and curl."""
    java, go = {"User-Agent": "moesifapi-java/1.8.2"}, {"User-Agent": "Go-http-client/1.1"}
    browser = {"User-Agent": "Mozilla/5.0", "X-Moesif-SDK": "moesif-browser-js/1.8.13"}
    for _ in range(3):
        warned = api.update({"user_id": "usr_1003", "ip_address": "unknown"}, **java)
        assert warned.status_code == 201, warned.text
    for _ in range(2):
        assert api.batch([{"user_id": "usr_1004"}, {"user_id": ""}], **go).status_code == 400
    warned = api.update({"user_id": "usr_1005", "favourite": 1, "metadata": {"phone": 49_30_901820}}, **browser)
    assert warned.status_code == 201, warned.text
    assert api.raw(b"{", **{"User-Agent": "curl/7.88.1"}).status_code == 400
