"""Valid and invalid requests to every method, and everything that the programs return and write."""

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

from tests.security.marked_values import MarkedIds, MarkedValues, ValueKind
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
_MARKED_SECRETS = 12
_ISSUED = re.compile(rb"uf[cm]_[\w-]{64}")
_COMMANDS = ["find", "aggregate", "update", "insert", "delete", "findAndModify", "getMore"]


@dataclass
class RecordedTraffic:
    """The values that were sent, the responses, and the outputs of the programs by their names."""

    values: MarkedValues
    application: Application
    ids: MarkedIds
    outputs: dict[str, bytes] = field(default_factory=dict)
    responses: list[RawResponse] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)


class RecordingClient:
    """Sends requests over both transports and records the responses."""

    def __init__(
        self,
        transports: tuple[GrpcTransport, HttpTransport],
        traffic: RecordedTraffic,
        database: Database[dict[str, Any]],
    ) -> None:
        self._grpc, self._http = transports
        self._evidence = traffic
        self._database = database
        self.key = {"X-Moesif-Application-Id": traffic.application.collector_key}
        self.token = {"Authorization": f"Bearer {traffic.application.management_token}"}

    def call_every_method(self, ids: MarkedIds, credential: Credential | None = None) -> None:
        """Send every example request over both transports."""
        for method in METHODS:
            for request in REQUESTS[method](ids):
                self._keep(self._grpc, self._grpc.call(method, request, credential or self._own(method)))
                if method in BINDINGS:
                    self._keep(self._http, self._http.call(method, request, credential or self._own(method)))

    def call(self, method: str, request: Any) -> RawResponse:
        return self._keep(self._grpc, self._grpc.call(method, request, self._own(method)))

    def send(self, method: str, payload: bytes) -> RawResponse:
        return self._keep(self._grpc, self._grpc.send(method, payload, self._own(method)))

    def send_every_invalid_request(self, ids: MarkedIds) -> None:
        """Send invalid payloads to every method and, over HTTP, use wrong paths and methods."""
        for method in METHODS:
            request, own = REQUESTS[method](ids)[0], self._own(method)
            payload = request.SerializeToString()
            for broken in (payload[:-1], payload + b"\xff", payload.replace(b"-", b"\xff"), b"\x0a\x05" + payload):
                self._keep(self._grpc, self._grpc.send(method, broken, own))
            self._keep(self._grpc, self._grpc.send(f"{method}?token={own}", payload, own))
            for request in REQUESTS[method](_too_long(ids)):
                self._keep(self._grpc, self._grpc.call(method, request, own))
            if method in BINDINGS:
                first = REQUESTS[method](ids)[0]
                self._send_invalid_http(method, http_request(BINDINGS[method], first), first.DESCRIPTOR.fields_by_name)
                for request in REQUESTS[method](_too_long(ids)):
                    self.http(own, **http_request(BINDINGS[method], request))

    def _send_invalid_http(self, method: str, valid: dict[str, Any], fields: Container[str]) -> None:
        own = self._own(method)
        secret = next(iter(own.values()))
        query: dict[str, Any] = valid.get("params", {})
        parameters = {name: secret for name in _PARAMETERS if name in fields}
        changes: list[dict[str, Any]] = [
            {"params": {**query, "access_token": secret}},
            *({"params": {**query, name: secret}} for name in parameters),
            {"params": {**query, **parameters}},
            {"url": f"{valid['url']}/{secret}"},
            {"url": f"{valid['url']}%ff{secret}"},
            {"method": "PATCH"},
        ]
        for change in changes:
            self.http(own, **{**valid, **change})
        if "json" in valid:
            body = json.dumps(valid.pop("json")).encode()
            wrong_types = re.sub(rb'("[^"]*"): ("[^"]*")', rb"\1: [\2]", body)
            for invalid in (body[:-1], body + body, wrong_types, b"[" + body, b'"' + body, body + b" " * (13 << 20)):
                self.http(own, **valid, content=invalid)
            zipped = gzip.compress(body)
            self.http({**own, "Content-Encoding": "gzip"}, **valid, content=zipped[:-9])
            self.http({**own, "Content-Encoding": secret}, **valid, content=body)

    def abandon_every_call(self, ids: MarkedIds) -> None:
        """Call every method, and cancel the call or let its deadline expire after 50 ms."""

        def abandon(method: str) -> None:
            request, own = REQUESTS[method](ids)[0], self._own(method)
            payload = request.SerializeToString()
            self._keep(self._grpc, self._grpc.send(method, payload, own, timeout=0.05))
            self._keep(self._grpc, self._grpc.send(method, payload, own, cancel_after=0.05))
            if method in BINDINGS:
                with suppress(httpx2.TimeoutException):
                    self.http(own, **http_request(BINDINGS[method], request), timeout=0.05)

        with ThreadPoolExecutor(len(METHODS)) as threads:
            list(threads.map(abandon, METHODS))

    def http(self, credential: Credential, **request: Any) -> RawResponse:
        return self._keep(self._http, self._http.send(credential, **request))

    @contextmanager
    def failing(self, times: int | None = None, commands: list[str] = _COMMANDS, **how: Any) -> Iterator[None]:
        """Let MongoDB fail these commands of the server until the end of the block."""
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

    def _keep(self, transport: GrpcTransport | HttpTransport, response: RawResponse) -> RawResponse:
        self._evidence.responses.append(response)
        with suppress(KeyError, ValueError, TypeError, IndexError):
            self._evidence.reasons.add(transport.reason(response)[0])
        self._mark_issued(response)
        return response

    def _mark_issued(self, response: RawResponse) -> None:
        """Mark the first secrets that a response shows."""
        values = self._evidence.values
        if response[0] not in ("OK", 200, 201):
            return
        for secret in _ISSUED.findall(b"".join(each for each in response if isinstance(each, bytes))):
            if (number := len(values.names(ValueKind.ISSUED))) < _MARKED_SECRETS:
                values.mark(ValueKind.ISSUED, f"issued {number}", secret.decode())


def _too_long(ids: MarkedIds) -> MarkedIds:
    longer = MarkedIds(MarkedValues())
    vars(longer).update({name: text * 60 for name, text in vars(ids).items()})
    return longer
