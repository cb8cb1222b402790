"""The console in a real browser, in front of a real stack that holds what products have sent.

A test opens pages with `visit`, as often as it likes::

    async def test_a_user_is_found_by_email(visit: Visit, acme: Product) -> None:
        page = await visit("/console", theme="dark", width=NARROW)
        await sign_in(page, acme.tokens.admin)
        await page.keyboard.press("/")
        await page.keyboard.type(acme.users[0]["metadata"]["email"])
        await expect(page.get_by_role("option")).to_contain_text("usr_1000")
        await check_accessible(page)
        await check_nothing_moves(page)

- `expect` of Playwright waits, and so does every action: write no sleep, and assert no time.
- The test fails where a page writes an error or a warning to the browser's console, has an uncaught error, lets a
  request fail or calls another origin. `guard.expect("status of 401")` says what the page is meant to do all the same.
- `acme` and `globex` are shared by the tests of a process: only read them. `acme.users` are the updates that were sent
  (`data/people.py`), `hostile_users()` those that mean harm (`data/hostile.py`); `acme.tokens.of[Scope.READ_USERS]` is
  a token of one scope alone. With the fixture `refusals`, the refusals and warnings can be listed.
- A test that writes has an application of its own: `api` sends to it, and `api.application.management_token` signs in.
- `async with held(page, "**/v1/users*"):` keeps responses back until the block ends: what does a page show meanwhile?
- Where a test fails, pictures of its pages are in `build/console/`. `make screenshots` takes those of `pictures.py`.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Generator
from pathlib import Path
from typing import Any, Final, Protocol

import pytest
from playwright.async_api import Browser, Page
from pymongo.database import Database

from tests.clients.conftest import NODE, Node
from tests.console.browser import WIDE, Theme, Visitor, running_browser
from tests.console.data.world import Product, World, create, refusals_are_stored
from tests.console.guard import Guard
from tests.console.observing import AXE_LOCK
from tests.support.applications import Application
from tests.support.stack import Api, Stack
from tests.support.waiting import wait_until

_PICTURES: Final = Path(__file__).parents[2] / "build" / "console"
_FAILED: Final = pytest.StashKey[bool]()


class Visit(Protocol):
    """Opens a page of the admin listener in a context of its own. See Visitor.open."""

    def __call__(
        self, path: str, *, theme: Theme = "light", width: int = WIDE, reduced_motion: bool = False
    ) -> Awaitable[Page]: ...


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with running_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def axe_installed() -> None:
    """axe-core, installed."""
    Node.of_wheel().install(AXE_LOCK)


@pytest.fixture(scope="session")
def world(stack: Stack, database: Database[dict[str, Any]]) -> World:
    """Two applications with users. Read them only."""
    node = Node.of_machine()
    node.install(NODE / "package-lock.json")
    return create(database, stack.http, node)


@pytest.fixture
def acme(world: World) -> Product:
    """The application with 60 users, visitors and hostile users."""
    return world.acme


@pytest.fixture
def globex(world: World) -> Product:
    """The second application, with two users."""
    return world.globex


@pytest.fixture
def refusals(database: Database[dict[str, Any]], acme: Product) -> None:
    """The refusals and warnings of `acme`, which can be listed a few seconds after the requests."""
    wait_until(lambda: refusals_are_stored(database, acme))


@pytest.fixture
def api(stack: Stack, application: Application) -> Generator[Api, None, None]:
    """The HTTP API with the credentials of a new application."""
    api = Api(stack.http, application)
    with api.client:
        yield api


@pytest.fixture
def site(stack: Stack) -> str:
    """The URL of the admin listener."""
    return stack.admin


@pytest.fixture
async def visitor(
    request: pytest.FixtureRequest, browser: Browser, site: str, axe_installed: None
) -> AsyncIterator[Visitor]:
    """Opens pages of the admin listener. None of them may do what a Guard finds."""
    visitor = Visitor(browser, site)
    yield visitor
    if request.node.stash.get(_FAILED, False):
        _PICTURES.mkdir(parents=True, exist_ok=True)
        await visitor.save_pictures(_PICTURES, re.sub(r"\W+", "-", request.node.name))
    await visitor.close()
    assert visitor.guard.complaints() == []


@pytest.fixture
def visit(visitor: Visitor) -> Visit:
    """Opens a page of the admin listener."""
    return visitor.open


@pytest.fixture
def guard(visitor: Visitor) -> Guard:
    """What the pages of the test must not do."""
    return visitor.guard


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note that a test has failed, for the fixture that saves pictures of its pages."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report
