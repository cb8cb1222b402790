"""The pictures that `make screenshots` takes. A new view adds its lines here."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

from playwright.async_api import Page, expect

from tests.console.actions import CONSOLE, sign_in
from tests.console.browser import NARROW, WIDE, Theme
from tests.console.data.world import Product

Preparation: TypeAlias = Callable[[Page, Product], Awaitable[None]]
"""What is done on a page that has just been opened, until the picture can be taken."""


@dataclass(frozen=True)
class Published:
    """Which of the four pictures of a page is kept in docs/images/."""

    theme: Theme = "light"
    width: int = WIDE


@dataclass(frozen=True)
class Picture:
    """A page of the console: its name, its path, and what is done there. All is done with `Product.tokens.admin`."""

    name: str
    path: str
    prepare: Preparation
    published: Published | None = None


def showing(text: str) -> Preparation:
    """Sign in, and wait until the view shows a text."""

    async def prepare(page: Page, product: Product) -> None:
        await sign_in(page, product.tokens.admin)
        await expect(page.get_by_role("main").get_by_text(text).first).to_be_visible()

    return prepare


async def _nothing(page: Page, _product: Product) -> None:
    await expect(page.get_by_role("heading").first).to_be_visible()


async def _building(page: Page, product: Product) -> None:
    await sign_in(page, product.tokens.admin)
    await page.get_by_role("button", name="Build a filter").click()
    await page.get_by_role("button", name="and …").click()
    await expect(page.get_by_role("link", name="usr_1").first).to_be_visible()


async def _searching(page: Page, product: Product) -> None:
    await sign_in(page, product.tokens.admin)
    await expect(page.get_by_role("link", name="usr_1").first).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type("usr_101")
    await expect(page.get_by_role("option").filter(has_text="usr_1010")).to_be_visible()


async def _edited(page: Page, product: Product) -> None:
    """Change two values of a user, and begin to change a third one. Nothing is sent."""
    await showing("Metadata")(page, product)
    tree = page.get_by_role("tree")
    for row, value in (("plan:", "enterprise"), ("seats:", "250")):
        await tree.get_by_role("treeitem", name=row).press("e")
        await page.locator(".value-editor").get_by_label("Value").fill(value)
        await page.keyboard.press("Control+Enter")
    await tree.get_by_role("treeitem", name="limits:").press("e")


async def _reviewed(page: Page, product: Product) -> None:
    await _edited(page, product)
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Review…").click()
    await expect(page.get_by_role("button", name="Send the update")).to_be_enabled()


async def _erasing(page: Page, product: Product) -> None:
    await showing("Open the profile")(page, product)
    await page.get_by_role("button", name="Erase…").first.click()
    await expect(page.get_by_text("This removes 1 profile")).to_be_visible()


async def _merging(page: Page, product: Product) -> None:
    """Ask what a merge would change. Nothing is sent."""
    await showing("Metadata")(page, product)
    await page.get_by_role("button", name="Merge…").click()
    await page.get_by_label("User id of the other one").fill("usr_1001")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("of its metadata")).to_be_visible()


async def _erasing_company(page: Page, product: Product) -> None:
    await showing("Metadata")(page, product)
    await page.get_by_role("button", name="Erase…").click()
    await expect(page.get_by_text("This removes 1 profile for good")).to_be_visible()


_FILTER: Final = "(metadata.sales_info.lifetime_value >= 9600 OR metadata.plan = team) AND company_id:*"

PICTURES: Final[Sequence[Picture]] = (
    Picture("first-page", "/", _nothing),
    Picture("sign-in", CONSOLE, _nothing),
    Picture(
        "campaigns",
        f"{CONSOLE}#/campaigns?period=90d&value=metadata.sales_info.lifetime_value",
        showing("Over time"),
        Published(),
    ),
    Picture("inbox", f"{CONSOLE}#/inbox", showing("Warnings")),
    Picture("catalogue", f"{CONSOLE}#/catalogue", showing("Computed from")),
    Picture("health", f"{CONSOLE}#/health", showing("All is well")),
    Picture("users", f"{CONSOLE}#/users?order=user_id+desc", showing("usr_1059")),
    Picture("users-filter", f"{CONSOLE}#/users?order=user_id+desc&filter={quote(_FILTER)}", _building, Published()),
    Picture("search", f"{CONSOLE}#/users?order=user_id+desc", _searching),
    Picture("user", f"{CONSOLE}#/user/usr_1000", showing("Metadata"), Published()),
    Picture("user-edit", f"{CONSOLE}#/user/usr_1000", _edited),
    Picture("user-review", f"{CONSOLE}#/user/usr_1000", _reviewed, Published(theme="dark")),
    Picture("user-merge", f"{CONSOLE}#/user/usr_1000", _merging),
    Picture("companies", f"{CONSOLE}#/companies?order=company_id", showing("contoso")),
    Picture("company", f"{CONSOLE}#/company/contoso", showing("As commands"), Published()),
    Picture("company-users", f"{CONSOLE}#/company/contoso?tab=users", showing("usr_")),
    Picture("company-erase", f"{CONSOLE}#/company/contoso", _erasing_company),
    Picture("visitors", f"{CONSOLE}#/visitors?order=anonymous_id", showing("visitor-00a2")),
    Picture("visitor", f"{CONSOLE}#/visitor/visitor-00a2", showing("As commands")),
    Picture("privacy-visitor", f"{CONSOLE}#/privacy/visitor-00a2?of=visitor", showing("Open the profile")),
    Picture("privacy", f"{CONSOLE}#/privacy/usr_1000", showing("Open the profile")),
    Picture("privacy-erase", f"{CONSOLE}#/privacy/usr_1000", _erasing),
    Picture("access", f"{CONSOLE}#/access", showing("this session")),
)

WIDTHS: Final = {"wide": WIDE, "narrow": NARROW}
