"""What the admin listener serves: pages and documents, metrics, and for all else the gateway's application."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeAlias

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.admin.console import console
from gateway.admin.forwarding import Forwarding
from gateway.admin.pages import pages
from gateway.admin.token import OperatorToken
from gateway.errors.answer import Answer, answer_from_refusal
from gateway.errors.rendering import refusal
from gateway.errors.reports import defect
from gateway.http.handler import Handler

Exposition: TypeAlias = Callable[[str], tuple[str, bytes]]
"""The content type and the text of the metrics for a header `Accept`. Called in a thread."""

METRICS: Final = "/metrics"

_HEADERS: Final = {
    # Scripts and styles are files of this listener. Nothing is requested from anywhere else, and no site may frame it.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""The headers of every response, unless it has one of them already."""


def application(
    handler: Handler, exposition: Exposition, metrics_token: str | None, *, gravatar: bool = False
) -> ASGIApp:
    """The application of the admin listener.

    `handler` answers what no page does: health, and the HTTP API. Metrics are served to who knows the token, and to
    nobody if there is none. With `gravatar`, the console shows the pictures of users.
    """
    routes: list[BaseRoute] = [*pages(), *console(gravatar=gravatar)]
    if metrics_token is not None:
        routes.append(Route(METRICS, _Metrics(exposition, OperatorToken(metrics_token)).respond))
    return Starlette(
        routes=[*routes, Mount("/", Forwarding(handler))],
        middleware=[Middleware(_WithHeaders)],
        exception_handlers={HTTPException: _refuse, Exception: _fail},
    )


class _Metrics:
    """The metrics, in the text format that a client asks for."""

    def __init__(self, exposition: Exposition, token: OperatorToken) -> None:
        self._exposition = exposition
        self._token = token
        self._writing = asyncio.Lock()

    async def respond(self, request: Request) -> Response:
        """Respond to one request."""
        if refused := self._token.refusal(request.headers.getlist("authorization")):
            return _from_answer(answer_from_refusal(refused))
        # In a thread, and one at a time: many series take milliseconds, for which requests would wait.
        async with self._writing:
            content_type, text = await asyncio.to_thread(self._exposition, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type, "cache-control": "no-store"})


class _WithHeaders:
    """Adds the headers of every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    # The console's page has a policy of its own.
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _refuse(_request: Request, error: Exception) -> Response:
    """What Starlette refuses: a path below a folder of files, or another method than GET."""
    if not isinstance(error, HTTPException):
        raise error
    reason = "METHOD_NOT_ALLOWED" if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else "ROUTE_NOT_FOUND"
    return _from_answer(answer_from_refusal(refusal(reason, headers=error.headers)))


async def _fail(_request: Request, error: Exception) -> Response:
    return _from_answer(defect(error, "admin"))


def _from_answer(answer: Answer) -> Response:
    return Response(answer.response.body, answer.http_status, dict(answer.response.headers))
