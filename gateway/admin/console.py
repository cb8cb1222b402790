"""The console: one page with its scripts and style, which are built from web/ and committed."""

import gzip
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

_FOLDER: Final = Path(__file__).parent / "console-files"

_PAGE: Final = "index.html"

_TYPES: Final[Mapping[str, str]] = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}

GRAVATAR: Final = "https://www.gravatar.com"
"""The only other site that the page may load something from, if the operator allows it."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{images}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

_Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def console(*, gravatar: bool) -> list[BaseRoute]:
    """The routes of the console. Its files are read, and compressed, once.

    With `gravatar`, the page shows pictures of users, which browsers then load from Gravatar.
    """
    page = (_FOLDER / _PAGE).read_text()
    page = page.replace("{version}", version("userfold")).replace("{gravatar}", "yes" if gravatar else "")
    policy = _POLICY.format(images=f" {GRAVATAR}" if gravatar else "")
    return [
        Route("/console", _file(page.encode(), "text/html; charset=utf-8", {"content-security-policy": policy})),
        Route("/console/", _to_page),
        *(
            Route(f"/console/{file.name}", _file(file.read_bytes(), _TYPES[file.suffix], {}))
            for file in sorted(_FOLDER.iterdir())
            if file.name != _PAGE
        ),
    ]


async def _to_page(_request: Request) -> Response:
    return RedirectResponse("../console", 308)


def _file(content: bytes, media_type: str, headers: Mapping[str, str]) -> _Endpoint:
    compressed = gzip.compress(content, mtime=0)
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    every = {**headers, "cache-control": "no-cache", "etag": tag, "vary": "accept-encoding"}

    async def respond(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=every)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(compressed, media_type=media_type, headers={**every, "content-encoding": "gzip"})
        return Response(content, media_type=media_type, headers=every)

    return respond
