"""What a page must not do, and what a test expects of it all the same."""

import re
from collections.abc import Sequence
from typing import Final

from playwright.async_api import BrowserContext, ConsoleMessage, Request, WebError

_LOCAL: Final = ("data:", "blob:", "about:")

_ABANDONED: Final = "net::ERR_ABORTED"
"""A page has abandoned a request of its own, such as one for suggestions that nobody needs any more."""


class Guard:
    """Collects what the pages of a test must not do.

    That is: an error or a warning on the browser's console, to which violations of the content security policy and
    responses from 400 on belong; an uncaught error; a request that fails; and any request to another origin.
    """

    def __init__(self, site: str) -> None:
        self._site = site
        self._found: list[str] = []
        self._expected: list[str] = []
        self._allowed: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        """Collect what all pages of a context do."""
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        context.on("requestfailed", self._on_failure)

    def expect(self, pattern: str) -> None:
        """Expect, once or more, what matches this regular expression, such as `status of 401`."""
        self._expected.append(pattern)

    def allow(self, pattern: str) -> None:
        """Allow what matches this regular expression, and may or may not happen: a page asks from time to time."""
        self._allowed.append(pattern)

    def complaints(self) -> Sequence[str]:
        """What was found and not expected, and what was expected and not found."""
        unexpected = [
            each for each in self._found if not any(re.search(one, each) for one in (*self._expected, *self._allowed))
        ]
        missing = [one for one in self._expected if not any(re.search(one, each) for each in self._found)]
        return [*unexpected, *(f"expected, and not found: {one}" for one in missing)]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._found.append(f"console {message.type}: {message.text} ({message.location['url']})")

    def _on_error(self, error: WebError) -> None:
        self._found.append(f"uncaught error: {error.error}")

    def _on_request(self, request: Request) -> None:
        if not f"{request.url}/".startswith((f"{self._site}/", *_LOCAL)):
            self._found.append(f"request to another origin: {request.method} {request.url[:200]}")

    def _on_failure(self, request: Request) -> None:
        if request.failure != _ABANDONED:
            self._found.append(f"failed request: {request.method} {request.url[:200]}: {request.failure}")
