"""Who may sign in to the console, what they see then, and that their token is nowhere but in the page's memory."""

import re
from collections.abc import Sequence
from typing import Final

import pytest
from playwright.async_api import Page, expect

from server.model import Scope
from tests.console.actions import CONSOLE, sign_in, submit_token
from tests.console.browser import NARROW, WIDE, Theme, held
from tests.console.conftest import Visit
from tests.console.data.world import Product
from tests.console.guard import Guard
from tests.console.observing import after_input, check_accessible, check_nothing_moves

_SECTIONS: Final[dict[str, Sequence[str]]] = {
    "admin": ["Users", "Companies", "Visitors", "Campaigns", "Inbox", "Catalogue", "Privacy", "Access", "Health"],
    Scope.READ_USERS: ["Users", "Visitors", "Catalogue", "Privacy", "Health"],
    Scope.WRITE_USERS: ["Health"],
    Scope.DELETE_USERS: ["Privacy", "Health"],
    Scope.READ_COMPANIES: ["Companies", "Privacy", "Health"],
    Scope.DELETE_COMPANIES: ["Privacy", "Health"],
    Scope.READ_CAMPAIGNS: ["Campaigns", "Health"],
    Scope.READ_REFUSALS: ["Inbox", "Health"],
    "no scope": ["Health"],
}
"""What each token shows."""

_STORED: Final = """
async () => [
  ...Object.entries(localStorage), ...Object.entries(sessionStorage), document.cookie, location.href,
  history.state, window.name, ...(await indexedDB.databases()), ...(await caches.keys()),
  document.documentElement.outerHTML, ...[...document.querySelectorAll("input")].map((each) => each.value),
].map((each) => typeof each === "string" ? each : JSON.stringify(each)).join("\\n")
"""


def _token(product: Product, name: str) -> str:
    tokens = product.tokens
    if name == "admin":
        return tokens.admin
    return tokens.without_scopes if name == "no scope" else tokens.of[Scope(name)]


async def _sections(page: Page) -> Sequence[str]:
    return [await link.inner_text() for link in await page.get_by_role("navigation").get_by_role("link").all()]


@pytest.mark.parametrize("name", _SECTIONS)
async def test_a_token_shows_the_sections_that_its_scopes_allow(visit: Visit, acme: Product, name: str) -> None:
    page = await visit(CONSOLE)
    await sign_in(page, _token(acme, name))
    # The Inbox has a count.
    assert [each.split("\n")[0] for each in await _sections(page)] == _SECTIONS[name]


async def test_the_console_names_the_application_and_the_token(visit: Visit, acme: Product, globex: Product) -> None:
    for product, name in ((acme, "Acme Inc"), (globex, "Globex")):
        page = await visit(CONSOLE)
        await sign_in(page, product.tokens.admin)
        await expect(page.get_by_text(name, exact=True)).to_be_visible()
        await expect(page.get_by_text("Operations")).to_be_visible()
        await expect(page.get_by_text("may do everything")).to_be_visible()


async def test_a_view_that_the_token_does_not_allow_says_so(visit: Visit, acme: Product) -> None:
    page = await visit(f"{CONSOLE}#/access")
    await sign_in(page, acme.tokens.of[Scope.READ_USERS])
    await expect(page.get_by_role("main")).to_contain_text("needs the scope admin")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unknown", "does not know this token"),
        ("expired", "does not know this token"),
        ("revoked", "does not know this token"),
        ("collector key", "This is a collector key"),
    ],
)
async def test_another_credential_is_refused(
    visit: Visit, guard: Guard, acme: Product, name: str, message: str
) -> None:
    tokens = {"unknown": "ufm_unknown", "expired": acme.tokens.expired, "revoked": acme.tokens.revoked}
    guard.expect("status of 401")
    page = await visit(CONSOLE)
    await submit_token(page, tokens.get(name, acme.key))
    await expect(page.get_by_role("alert")).to_contain_text(message)
    await expect(page.get_by_role("navigation")).to_have_count(0)
    # It is selected, to be replaced at once.
    await page.keyboard.type(acme.tokens.admin)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("navigation")).to_be_visible()


async def test_the_token_is_in_the_memory_of_the_page_alone(visit: Visit, acme: Product) -> None:
    page = await visit(CONSOLE)
    await sign_in(page, acme.tokens.admin)
    assert acme.tokens.admin not in await page.evaluate(_STORED)
    assert await page.context.cookies() == []
    await page.reload()
    await expect(page.get_by_label("Management token")).to_be_empty()
    await expect(page.get_by_role("navigation")).to_have_count(0)


async def test_signing_out_forgets_the_token(visit: Visit, acme: Product) -> None:
    page = await visit(CONSOLE)
    await sign_in(page, acme.tokens.admin)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Management token")).to_be_empty()
    await page.go_back()
    await page.go_forward()
    await expect(page.get_by_role("navigation")).to_have_count(0)


async def test_a_link_leads_where_it_says_after_the_sign_in(visit: Visit, acme: Product) -> None:
    page = await visit(f"{CONSOLE}#/health")
    await sign_in(page, acme.tokens.admin)
    await expect(page.get_by_role("link", name="Health")).to_have_attribute("aria-current", "page")
    assert page.url.endswith("#/health")


@pytest.mark.parametrize(("theme", "width"), [("light", WIDE), ("dark", NARROW)])
async def test_signing_in_is_accessible_and_nothing_moves(
    visit: Visit, acme: Product, theme: Theme, width: int
) -> None:
    page = await visit(CONSOLE, theme=theme, width=width)
    await expect(page.get_by_label("Management token")).to_be_focused()
    await check_accessible(page)
    async with held(page, "**/v1/credentials:current"):
        await submit_token(page, acme.tokens.admin)
        await expect(page.get_by_role("button", name="Signing in")).to_be_visible()
        await check_accessible(page)
    await expect(page.get_by_role("navigation")).to_be_visible()
    await check_accessible(page)
    await check_nothing_moves(page)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"


async def test_the_count_of_the_inbox_moves_nothing(visit: Visit, acme: Product, refusals: None) -> None:
    page = await visit(CONSOLE, width=NARROW)
    async with held(page, "**/v1/refusals*"):
        await sign_in(page, acme.tokens.admin)
        await after_input(page)
    await expect(page.get_by_role("navigation")).to_contain_text(re.compile(r"Inbox\s*\d"))
    await check_nothing_moves(page)


async def test_the_console_is_used_by_keyboard_alone(visit: Visit, acme: Product) -> None:
    page = await visit(CONSOLE)
    await expect(page.get_by_label("Management token")).to_be_focused()
    await page.keyboard.type(acme.tokens.admin)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("navigation")).to_be_visible()
    # The focus begins at the view. Before it is what every view has, and a link that skips that.
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await page.get_by_role("link", name="Skip to the content").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await page.keyboard.press("/")
    await expect(page.get_by_role("search").locator("input")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_contain_text("Search")
    await check_accessible(page)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
