"""The one box: what it recognises, suggests, opens, and keeps to itself."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from playwright.async_api import Locator, Page, Request, Route, expect

from server.model import Scope
from tests.console.actions import sign_in
from tests.console.conftest import Visit
from tests.console.data.world import Product
from tests.console.observing import check_accessible, check_every_look, check_nothing_moves
from tests.support.stack import Api

TOKEN: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


def box(page: Page) -> Locator:
    """The box."""
    return page.get_by_role("combobox", name="Find by id")


def outcome(page: Page) -> Locator:
    """What the box says above its list."""
    return page.locator("#search-outcome")


async def signed_in(visit: Visit, token: str, path: str = "#/health", **how: Any) -> Page:
    """A page with the box."""
    page = await visit(f"/console{path}", **how)
    await sign_in(page, token)
    return page


def sent(page: Page) -> list[tuple[str, str]]:
    """The method with its URL, and the body, of each request from now on."""
    requests: list[tuple[str, str]] = []

    def note(request: Request) -> None:
        requests.append((request.url, request.post_data or ""))

    page.on("request", note)
    return requests


async def test_ids_and_addresses_are_suggested_while_one_types(visit: Visit, acme: Product) -> None:
    page = await signed_in(visit, acme.tokens.of[Scope.READ_USERS])
    await expect(box(page)).to_be_visible()
    await page.keyboard.press("/")
    await expect(box(page)).to_be_focused()
    await expect(box(page)).to_have_accessible_description("")
    await page.keyboard.type("usr_100")
    options = page.get_by_role("option")
    await expect(options.filter(has_text="usr_100")).to_have_count(8 + 4)
    await expect(options.first).to_contain_text("Ada Lindqvist")
    await expect(page.get_by_role("status").filter(has_text="8 suggestions")).to_be_attached()
    await check_nothing_moves(page)
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        await page.keyboard.press(key)
    await expect(options.first).to_have_attribute("aria-selected", "true")
    active = await box(page).get_attribute("aria-activedescendant")
    assert active == await options.first.get_attribute("id")
    await check_every_look(page)
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("ArrowUp")
    await expect(options.last).to_have_attribute("aria-selected", "true")
    await box(page).fill(acme.users[1]["metadata"]["email"][:9].upper())
    await expect(options.first).to_contain_text(acme.users[1]["metadata"]["email"])
    await options.first.click()
    await expect(page).to_have_url(re.compile(r"#/user/usr_1001$"))
    await expect(box(page)).to_have_value("")
    await expect(page.get_by_role("listbox")).to_be_hidden()


_GUESSES: Final[Sequence[tuple[str, str]]] = (
    ("usr_1001", "#/user/usr_1001"),
    ("usr_105", "#/users?beginning=usr_105"),
    ("Emma.Johansson", "#/user/usr_1017"),
    ("contoso", "#/company/contoso"),
    ("wing", "#/company/wingtiptoys"),
    ("litwareinc.com", "#/company/litwareinc"),
    ("margiestravel", "#/company/margiestravel"),
    ("visitor-00a2", "#/visitor/visitor-00a2"),
    ("visitor-00a1", "#/user/usr_1000"),
    ("session-of-1003", "#/user/usr_1003"),
    ("..", "#/user/.."),
    ("a/b", "#/user/a%2Fb"),
    ("metadata.plan = team", "#/users?filter=metadata.plan+%3D+team"),
    ('NOT metadata["a.b"]:*', "#/users?filter=NOT+metadata%5B%22a.b%22%5D%3A*"),
)


async def test_enter_does_what_a_text_most_likely_means(visit: Visit, acme: Product) -> None:
    page = await signed_in(visit, acme.tokens.admin)
    for text, place in _GUESSES:
        await page.goto("/console#/health")
        await box(page).fill(text)
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(re.compile(re.escape(place) + "$"))
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await page.goto("/console#/users?beginning=usr_105")
    await expect(page.locator("a[data-row]")).to_have_count(10)
    await expect(page.locator(".page-head p")).to_have_text("10 users")
    await expect(page.locator("tbody time")).to_have_count(20)


async def test_what_a_text_can_be_is_offered(visit: Visit, acme: Product) -> None:
    page = await signed_in(visit, acme.tokens.admin)
    await box(page).fill(' someone@<b> "x" ')
    labels = [
        "Open company",
        "Users with the email",
        "User with the anonymous id",
        "Open visitor",
        "User with the token",
        "Open user id",
    ]
    await expect(page.get_by_role("option")).to_have_text([re.compile(each) for each in labels])
    await page.get_by_role("option", name="Open user id").click()
    await expect(page).to_have_url(re.compile(r"#/user/%20someone%40%3Cb%3E%20%22x%22%20$"))


async def test_nothing_found_says_what_was_tried(visit: Visit, acme: Product, globex: Product) -> None:
    page = await signed_in(visit, acme.tokens.admin)
    for text in ("globex-only", "no <i>such</i> thing", "long " * 200):
        await box(page).fill(text)
        await page.keyboard.press("Enter")
        await expect(outcome(page)).to_contain_text("Nothing is found. Tried: user ids and email addresses")
        assert page.url.endswith("#/health")
    await check_accessible(page)
    other = await signed_in(visit, globex.tokens.admin)
    await box(other).fill("globex-only")
    await page.keyboard.press("Enter")
    await expect(other.get_by_role("option").first).to_contain_text("Only Globex")


async def test_the_keyboard_enters_the_box_and_returns(visit: Visit, acme: Product) -> None:
    page = await signed_in(visit, acme.tokens.admin, "#/users?order=user_id")
    await expect(page.locator("a[data-row]").first).to_be_visible()
    await page.keyboard.press("j")
    await page.keyboard.press("/")
    await expect(box(page)).to_be_focused()
    await page.keyboard.type("u/")
    await expect(box(page)).to_have_value("u/")
    await page.keyboard.press("Escape")
    await expect(page.locator("a[data-row]").first).to_be_focused()
    await expect(page.get_by_role("listbox")).to_be_hidden()


async def test_a_token_is_hidden_and_sent_in_a_body_alone(visit: Visit, api: Api) -> None:
    assert api.update({"user_id": "with-token", "session_token": TOKEN}).status_code == 201
    page = await signed_in(visit, api.application.management_token)
    requests = sent(page)
    await page.keyboard.press("/")
    await page.keyboard.insert_text(TOKEN)
    await expect(outcome(page)).to_have_text("This looks like a token, so it is hidden.")
    await expect(page.get_by_role("status").filter(has_text="This looks like a token")).to_be_attached()
    await expect(box(page)).to_have_css("-webkit-text-security", "disc")
    await check_accessible(page)
    assert TOKEN not in await page.locator("#console").evaluate("e => e.outerHTML")
    # What is hidden stays hidden while it is edited.
    for _ in range(80):
        await page.keyboard.press("Backspace")
    await expect(box(page)).to_have_css("-webkit-text-security", "disc")
    await box(page).fill("")
    await expect(box(page)).to_have_css("-webkit-text-security", "none")
    await page.keyboard.insert_text(TOKEN)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"#/user/with-token$"))
    assert [url.rpartition("/")[2] for url, body in requests if TOKEN in body] == ["users:lookup"]
    assert [body for url, body in requests if url.endswith(":suggest")] == []
    assert all(TOKEN not in url for url, _ in requests)
    assert TOKEN not in await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state])")


async def test_users_who_share_a_token_are_shown_where_it_was_typed(visit: Visit, api: Api) -> None:
    for user_id in ("one", "two"):
        assert api.update({"user_id": user_id, "session_token": TOKEN}).status_code == 201
    page = await signed_in(visit, api.application.management_token)
    await box(page).fill(TOKEN)
    await page.keyboard.press("Enter")
    await expect(outcome(page)).to_have_text("2 users share this token.")
    await page.get_by_role("option", name="two").click()
    await expect(page).to_have_url(re.compile(r"#/user/two$"))
    await box(page).fill(TOKEN.replace("J", "j"))
    await page.keyboard.press("Enter")
    await box(page).fill(f"{TOKEN}x")
    await page.keyboard.press("Enter")
    await expect(outcome(page)).to_contain_text("No user has this token.")
    await page.get_by_role("option", name="It is an id: show it").click()
    await expect(box(page)).to_have_css("-webkit-text-security", "none")
    await expect(page.get_by_role("option", name="Open user id")).to_contain_text(TOKEN[:60])


_SECRETS: Final = (
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "ufm_0123456789abcdef",
    "Bearer abcdef123456",
    "dGhpcyBpcyBhIHNlc3Npb24gdG9rZW4gNDI3MzE5",
    "9e107d9d372bb6826bd81d3542a419d69e107d9d",
    "a8Kd03mZq9XwLp27RtYvBn64CsHj",
)

_IDS: Final = (
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "507f1f77bcf86cd799439011",
    "107691503500061507151130",
    "a.very.long.address.of.somebody@an-even-longer-company-name.example",
    "internal-customer-account-number-0001",
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "metadata.title = abcdefghijklmnop1234567890XYZ",
)


async def test_secrets_are_told_from_ids_by_their_form(visit: Visit, api: Api) -> None:
    page = await signed_in(visit, api.application.management_token)
    for text, security in [*((each, "disc") for each in _SECRETS), *((each, "none") for each in _IDS)]:
        await box(page).fill("")
        await box(page).fill(text)
        assert await box(page).evaluate("e => getComputedStyle(e).webkitTextSecurity") == security, text


async def test_a_late_response_changes_no_later_suggestions(visit: Visit, acme: Product) -> None:
    page = await signed_in(visit, acme.tokens.admin)
    late: list[Route] = []

    async def hold(route: Route) -> None:
        if json.loads(route.request.post_data or "")["text"] == "usr_10":
            late.append(route)
        else:
            await route.continue_()

    await page.route("**/v1/users:suggest", hold)
    async with page.expect_request("**/v1/users:suggest"):
        await box(page).fill("usr_10")
    await box(page).fill("usr_1042")
    first = page.get_by_role("option").first
    await expect(first).to_contain_text("usr_1042")
    assert late
    for route in late:
        await route.fulfill(json={"suggestions": [{"user": {"user_id": "too-late"}}]})
        # A request that the page has cancelled has none.
        if response := await route.request.response():
            await response.finished()
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    await expect(page.get_by_role("option")).to_have_count(5)
    await expect(first).to_contain_text("usr_1042")
