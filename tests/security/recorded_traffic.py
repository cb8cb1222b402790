"""What comes out of a stack that is sent all that there is, right and wrong."""

import gzip
import json
import re
from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
from pymongo.database import Database

from tests.security.marked_values import Canaries, CanaryIds
from tests.support.applications import Application
from tests.support.example_requests import REQUESTS
from tests.support.needs import NEEDS
from tests.support.transports import (
    BINDINGS,
    METHODS,
    Credential,
    GrpcTransport,
    HttpTransport,
    RawResponse,
    http_request,
)

_PARAMETERS = (
    *("page_size", "suppress_days", "group_by", "filter", "page_token", "order_by", "fields", "value_path"),
    *("validate_only", "max_groups", "start_time"),
)
_COMMANDS = ["find", "aggregate", "update", "insert", "delete", "findAndModify", "getMore"]


@dataclass
class Evidence:
    """What came out of a stack: `sinks`, by their names; the answers; what must have gone in."""

    canaries: Canaries
    application: Application
    ids: CanaryIds
    sinks: dict[str, bytes] = field(default_factory=dict)
    answers: list[RawResponse] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)


class Caller:
    """Sends, and keeps what it is told."""

    def __init__(
        self, transports: tuple[GrpcTransport, HttpTransport], evidence: Evidence, database: Database[dict[str, Any]]
    ) -> None:
        self._grpc, self._http = transports
        self._evidence = evidence
        self._database = database
        owner = evidence.application
        self.key = {"X-Moesif-Application-Id": owner.collector_key}
        self.token = {"Authorization": f"Bearer {owner.management_token}"}

    def ask_everything(self, ids: CanaryIds, credential: Credential | None = None) -> None:
        """Every request to every method over both transports."""
        for method in METHODS:
            for request in REQUESTS[method](ids):
                self._keep(self._grpc, self._grpc.call(method, request, credential or self._own(method)))
                if method in BINDINGS:
                    self._keep(self._http, self._http.call(method, request, credential or self._own(method)))

    def ask(self, method: str, request: Any) -> RawResponse:
        return self._keep(self._grpc, self._grpc.call(method, request, self._own(method)))

    def send(self, method: str, sent: bytes) -> RawResponse:
        return self._keep(self._grpc, self._grpc.send(method, sent, self._own(method)))

    def break_everything(self, ids: CanaryIds) -> None:
        """Every method, sent what it does not take; over HTTP, also at the wrong path and with the wrong method."""
        for method in METHODS:
            request, own = REQUESTS[method](ids)[0], self._own(method)
            text = request.SerializeToString()
            for broken in (text[:-1], text + b"\xff", text.replace(b"-", b"\xff"), b"\x0a\x05" + text):
                self._keep(self._grpc, self._grpc.send(method, broken, own))
            self._keep(self._grpc, self._grpc.send(f"{method}?token={own}", text, own))
            for request in REQUESTS[method](_too_long(ids)):
                self._keep(self._grpc, self._grpc.call(method, request, own))
            if method in BINDINGS:
                first = REQUESTS[method](ids)[0]
                self._break_route(method, http_request(BINDINGS[method], first), first.DESCRIPTOR.fields_by_name)
                for request in REQUESTS[method](_too_long(ids)):
                    self.http(own, **http_request(BINDINGS[method], request))

    def _break_route(self, method: str, right: dict[str, Any], fields: Container[str]) -> None:
        own = self._own(method)
        secret = next(iter(own.values()))
        query: dict[str, Any] = right.get("params", {})
        taken = {name: secret for name in _PARAMETERS if name in fields}
        wrong_ways: list[dict[str, Any]] = [
            {"params": {**query, "access_token": secret}},
            *({"params": {**query, name: secret}} for name in taken),
            {"params": {**query, **taken}},
            {"url": f"{right['url']}/{secret}"},
            {"url": f"{right['url']}%ff{secret}"},
            {"method": "PATCH"},
        ]
        for other in wrong_ways:
            self.http(own, **{**right, **other})
        if "json" in right:
            told = right.pop("json")
            text = json.dumps(told).encode()
            wrong = re.sub(r'("[^"]*"): ("[^"]*")', r"\1: [\2]", text.decode())
            for body in (text[:-1], text + text, wrong.encode(), b"[" + text, b'"' + text, text + b" " * (13 << 20)):
                self.http(own, **right, content=body)
            zipped = gzip.compress(text)
            self.http({**own, "Content-Encoding": "gzip"}, **right, content=zipped[:-9])
            self.http({**own, "Content-Encoding": secret}, **right, content=text)

    def give_up_everything(self, ids: CanaryIds) -> None:
        """Every method, of which the caller does not wait for the end."""

        def give_up(method: str) -> None:
            request, own = REQUESTS[method](ids)[0], self._own(method)
            text = request.SerializeToString()
            self._keep(self._grpc, self._grpc.send(method, text, own, timeout=0.05))
            self._keep(self._grpc, self._grpc.send(method, text, own, cancel_after=0.05))
            if method in BINDINGS:
                with suppress(httpx2.TimeoutException):
                    self.http(own, **http_request(BINDINGS[method], request), timeout=0.05)

        with ThreadPoolExecutor(len(METHODS)) as threads:
            list(threads.map(give_up, METHODS))

    def http(self, credential: Credential, **request: Any) -> RawResponse:
        return self._keep(self._http, self._http.send(credential, **request))

    @contextmanager
    def failing(self, times: int | None = None, commands: list[str] = _COMMANDS, **how: Any) -> Iterator[None]:
        """MongoDB fails in the block, and answers so to the server alone."""
        mode: Any = {"times": times} if times else "alwaysOn"
        data = {"failCommands": commands, "appName": "userfold"} | how
        admin = self._database.client.admin
        admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})
        try:
            yield
        finally:
            admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    def _own(self, method: str) -> Credential:
        return self.key if NEEDS[method].collector_key else self.token

    def _keep(self, transport: GrpcTransport | HttpTransport, answer: RawResponse) -> RawResponse:
        self._evidence.answers.append(answer)
        with suppress(KeyError, ValueError, TypeError, IndexError):
            self._evidence.reasons.add(transport.reason(answer)[0])
        return answer


def _too_long(ids: CanaryIds) -> CanaryIds:
    longer = CanaryIds(Canaries())
    vars(longer).update({name: text * 60 for name, text in vars(ids).items()})
    return longer
