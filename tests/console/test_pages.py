"""The pages of the admin listener in a browser: what they are, and that everybody can use them."""

import re
from typing import Final

import pytest
from playwright.async_api import expect

from tests.console.actions import sign_in
from tests.console.browser import NARROW, WIDE, Theme, held
from tests.console.conftest import Visit
from tests.console.data.world import Product
from tests.console.observing import after_input, check_accessible, check_nothing_moves

_DATA: Final = re.compile("/v1/(?!credentials:current)")


@pytest.mark.parametrize(("theme", "width"), [("light", WIDE), ("dark", NARROW)])
async def test_the_first_page_is_accessible_and_links_to_the_rest(visit: Visit, theme: Theme, width: int) -> None:
    page = await visit("/", theme=theme, width=width)
    await check_accessible(page)
    await check_nothing_moves(page)
    for link in await page.get_by_role("link").all():
        address = await link.get_attribute("href")
        assert address
        assert (await page.request.get(f"/{address}")).status == 200, address


async def test_the_documentation_of_the_api_is_shown(visit: Visit) -> None:
    page = await visit("/docs")
    await expect(page.get_by_role("link", name="/v1/users/batch")).to_be_visible()
    # Swagger UI is its authors' own, unchanged: some of its colours lack contrast.
    await page.evaluate("document.querySelector('#api').replaceChildren()")
    await check_accessible(page)


@pytest.mark.parametrize(
    "view",
    [
        "users",
        "user/usr_1000",
        "companies",
        "company/contoso",
        "company/contoso?tab=users",
        "visitors",
        "visitor/visitor-00a2",
        "campaigns",
        "inbox",
        "catalogue",
        "privacy/usr_1000",
        "privacy/contoso?of=company",
        "access",
        "health",
    ],
)
async def test_nothing_moves_where_responses_come_late(visit: Visit, acme: Product, refusals: None, view: str) -> None:
    for width in (WIDE, NARROW):
        page = await visit(f"/console#/{view}", width=width)
        async with held(page, _DATA):
            await sign_in(page, acme.tokens.admin)
            await after_input(page)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        for waiting in (page.get_by_text("Loading"), page.locator("[class*=waiting]")):
            await expect(waiting).to_have_count(0)
        await check_nothing_moves(page)
