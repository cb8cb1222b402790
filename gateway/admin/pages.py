"""The pages of the admin listener, and the files that they load: all from this package, nothing from elsewhere."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

# The folders in it have names that no package could have: setuptools would complain of packages that are not listed.
_FOLDER: Final = Path(__file__).parent

OPENAPI: Final = "/openapi.json"

_Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def pages() -> list[BaseRoute]:
    """The routes of the pages and their files. The pages are read once."""
    return [
        Route("/", _page("html-pages/index.html", "text/html")),
        Route("/docs", _page("html-pages/docs.html", "text/html")),
        Route(OPENAPI, _page("openapi.json", "application/json")),
        Mount("/static", StaticFiles(directory=_FOLDER / "static-files")),
    ]


def _page(name: str, media_type: str) -> _Endpoint:
    text = (_FOLDER / name).read_text().replace("{version}", version("userfold"))

    async def respond(_request: Request) -> Response:
        return Response(text, media_type=media_type, headers={"cache-control": "no-cache"})

    return respond
