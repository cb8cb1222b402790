"""The page of one user: what it shows of a profile, of any profile."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from server.model import Scope
from tests.console.actions import CONSOLE, sign_in
from tests.console.browser import NARROW, THEMES, WIDE, Theme
from tests.console.conftest import Visit
from tests.console.data.hostile import hostile_users
from tests.console.data.world import Product
from tests.console.observing import check_accessible
from tests.support.stack import Api, Stack, percent_encoded, start_gateway

_METADATA: Final[Mapping[str, Any]] = {
    "email": "ada@contoso.com",
    "a.b": {"$set": 1.5, "": True},
    "__proto__": {"constructor": "own"},
    "tags": ["vip", None, {}, []],
    "empty": {},
    "none": [],
    "digits": "42",
    "rtl": "\u202eevil",
    "website": "https://evil.example/<b>",
}


def _path(user_id: str, query: str = "") -> str:
    return f"{CONSOLE}#/user/{percent_encoded(user_id)}{query}"


def _row(page: Page, name: str) -> Locator:
    """The row of the tree whose label begins with this text."""
    return page.get_by_role("treeitem", name=name)


async def _opened(visit: Visit, api: Api, user_id: str, query: str = "") -> Page:
    page = await visit(_path(user_id, query))
    await sign_in(page, api.application.management_token)
    await expect(page.get_by_role("tree").or_(page.get_by_text("characters")).first).to_be_visible()
    return page


async def test_a_profile_says_who_it_is_since_when_and_through_what(visit: Visit, acme: Product) -> None:
    page = await visit(_path("usr_1000"))
    await sign_in(page, acme.tokens.of[Scope.READ_USERS])
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ada Lindqvist")
    await expect(page).to_have_title("Ada Lindqvist · Userfold")
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    main = page.get_by_role("main")
    for fact in ("First seen", "Last update", "First touch", "Merged campaign", "Device"):
        await expect(main.get_by_role("term").filter(has_text=fact)).to_be_visible()
    company = main.get_by_role("banner").or_(main.locator("header")).get_by_role("link")
    await expect(company).to_have_attribute("href", f"#/users?company={acme.users[0]['company_id']}")
    for identity in ("usr_1000", "visitor-00a1", "203.0.113.0"):
        await expect(main.locator("section", has_text="Identities").get_by_text(identity, exact=True)).to_be_visible()
    await expect(main.get_by_text("2 session tokens, kept as digests")).to_be_visible()
    for section in ("First as it was sent", "Merged of all updates, field by field"):
        await expect(main.get_by_role("heading", name=section)).to_be_visible()
    await expect(main.locator("section", has_text="by Userfold").get_by_text("email_domain")).to_be_visible()
    # The token may only read.
    assert await main.get_by_role("button", name="Edit").count() == 0
    assert await main.get_by_role("button", name="Erase").count() == 0
    assert await main.get_by_role("link", name="inbox").count() == 0


async def test_profiles_of_another_application_are_not_there(visit: Visit, globex: Product) -> None:
    page = await visit(_path("usr_1000"))
    await sign_in(page, globex.tokens.admin)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Hank Scorpio")
    await page.evaluate("location.hash = '#/user/usr_1001'")
    await expect(page.get_by_role("heading", name="Nothing is stored of this user")).to_be_visible()


async def test_values_are_shown_as_they_are_with_their_types(visit: Visit, api: Api) -> None:
    api.stored({"metadata": _METADATA})
    page = await _opened(visit, api, "u")
    for label in (
        "a.b: 2 values, object",
        "$set: 1.5, number",
        '"": true, boolean',
        "__proto__: 1 value, object",
        'constructor: "own", string',
        'tags: ["vip", null, {}, []], array',
        "empty: {}, object",
        "none: [], array",
        'digits: "42", string',
        'rtl: "\\u202eevil", string',
    ):
        await expect(_row(page, label)).to_be_visible()
    tree = page.get_by_role("tree")
    assert await tree.locator("a, img, b").count() == 0
    await expect(tree.locator("bdi.value.string", has_text="evil.example")).to_have_text('"https://evil.example/<b>"')
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await _row(page, "$set").hover()
    await page.get_by_role("button", name="Copy path").click()
    assert await page.evaluate("navigator.clipboard.readText()") == 'metadata["a.b"]["$set"]'
    await _row(page, "tags").hover()
    await page.get_by_role("button", name="Copy value as JSON").click()
    assert json.loads(await page.evaluate("navigator.clipboard.readText()")) == _METADATA["tags"]


async def test_the_tree_is_used_by_keyboard(visit: Visit, api: Api) -> None:
    api.stored({"metadata": {"a": {"b": {"c": 1}}, "list": [1], "z": "last"}})
    page = await _opened(visit, api, "u")
    focused = page.locator(":focus")
    await _row(page, "a:").focus()
    for key, label in (
        ("ArrowDown", "b: 1 value, object"),
        ("ArrowRight", "c: 1, number"),
        ("ArrowLeft", "b: 1 value, object"),
        ("ArrowLeft", 'b: {"c": 1}, object'),
        ("ArrowLeft", "a: 1 value, object"),
        ("End", 'z: "last", string'),
        ("ArrowUp", "list: [1], array"),
        ("Enter", "list: 1 value, array"),
        ("ArrowDown", "0: 1, number"),
        ("Home", "a: 1 value, object"),
    ):
        await page.keyboard.press(key)
        await expect(focused).to_have_accessible_name(label)
    await expect(_row(page, "a:")).to_have_attribute("aria-expanded", "true")
    await expect(_row(page, "b:")).to_have_attribute("aria-expanded", "false")
    # One stop for the whole tree, and then what can be done with the row.
    await page.keyboard.press("Tab")
    await expect(focused).to_have_accessible_name("Edit")


async def test_a_search_shows_what_matches_and_what_holds_it(visit: Visit, api: Api) -> None:
    far = "x" * 5_000 + " Needle " + "y" * 5_000
    inner = {f"key_{number}": number for number in range(30)}
    api.stored(
        {"metadata": {"wide": {**inner, "deep": {"needle": 1}}, "list": ["no", "NEEDLE"], "far": far, "other": 1}}
    )
    page = await _opened(visit, api, "u")
    await expect(_row(page, "wide:")).to_have_attribute("aria-expanded", "false")
    search = page.get_by_role("searchbox", name="Search keys and values")
    await search.fill("needle")
    await expect(page.get_by_text("3 matches")).to_be_visible()
    await expect(page.get_by_role("treeitem")).to_have_count(6)
    await expect(page.locator("mark")).to_have_text(["Needle", "NEEDLE", "needle"])
    await search.fill("nothing like it")
    await expect(page.get_by_text("No key and no value matches.")).to_be_visible()
    await search.press("Escape")
    await expect(_row(page, "other:")).to_be_visible()
    await expect(_row(page, "wide:")).to_have_attribute("aria-expanded", "false")


async def test_hostile_profiles_are_text(visit: Visit, acme: Product) -> None:
    page = await visit(_path("usr_1000"))
    await sign_in(page, acme.tokens.admin)
    identity = page.locator("section", has_text="Identities").locator("code").first
    for user in hostile_users():
        user_id = user["user_id"]
        await page.evaluate("path => { location.hash = path; }", f"#/user/{percent_encoded(user_id)}")
        shown = json.dumps(user_id) if "\0" in user_id or user_id == '"' else user_id
        await expect(identity).to_have_text(shown)
        await expect(page.get_by_role("treeitem").first).to_be_visible()
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width == WIDE, f"{user_id[:40]!r} is {width} pixels wide"
    assert await page.evaluate("window.harmed") is None
    assert await page.locator("main img").count() == 0


async def test_long_and_many_values_are_shown_in_parts(visit: Visit, acme: Product) -> None:
    page = await visit(_path("hostile-long-text"))
    await sign_in(page, acme.tokens.admin)
    await page.get_by_role("button", name="Show all").click()
    box = page.get_by_role("region", name="metadata.text")
    await expect(page.get_by_text("10,000 of 1,000,000 characters")).to_be_visible()
    assert len(await box.inner_text()) == 10_000
    await page.get_by_role("button", name="Show more").click()
    await expect(page.get_by_text("110,000 of 1,000,000 characters")).to_be_visible()
    await page.evaluate("location.hash = '#/user/hostile-list'")
    await _row(page, "items:").press("Enter")
    await expect(page.get_by_role("treeitem")).to_have_count(102)
    await page.keyboard.press("End")
    await expect(page.locator(":focus")).to_have_accessible_name("Show 400 more 8,900 left")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("treeitem")).to_have_count(502)


async def test_20000_values_open_as_a_few_rows(visit: Visit, api: Api) -> None:
    for part in range(3):
        api.stored({"metadata": {f"key_{part}_{number}": [{"n": number}, number] for number in range(290)}})
        api.stored({"metadata": {f"list_{part}": list(range(6_000))}})
    page = await _opened(visit, api, "u")
    await expect(page.get_by_text("21,483 values")).to_be_visible()
    await expect(page.get_by_role("treeitem")).to_have_count(101)
    await page.get_by_role("searchbox", name="Search keys and values").fill("5999")
    await expect(page.get_by_role("treeitem")).to_have_count(6)


async def test_the_raw_profile_and_its_export(visit: Visit, api: Api) -> None:
    api.stored({"session_token": "secret", "metadata": _METADATA})
    page = await _opened(visit, api, "u", "?tab=raw")
    shown = await page.get_by_role("region", name="Raw JSON").inner_text()
    stored: dict[str, Any] = api.get("u").json()
    assert json.loads(shown) == stored
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy whole text").click()
    assert json.loads(await page.evaluate("navigator.clipboard.readText()")) == stored
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Export").click()
    download = await downloading.value
    assert download.suggested_filename == "u.json"
    export = json.loads((await download.path()).read_text())
    assert export["user"] == stored
    assert len(export["alias_digests"]) == 1
    await page.get_by_role("link", name="Profile", exact=True).click()
    await expect(page.get_by_role("tree")).to_be_visible()


async def test_a_user_is_erased_after_the_id_was_typed(visit: Visit, api: Api) -> None:
    api.stored({"session_token": "secret", "metadata": {"name": "Ada"}}, user_id="a/b")
    page = await _opened(visit, api, "a/b")
    await page.get_by_role("button", name="Erase…").click()
    form = page.get_by_role("form", name="Erase this user")
    erase = form.get_by_role("button", name="Erase")
    await expect(erase).to_be_disabled()
    await form.get_by_label("Days for which").fill("7")
    await form.get_by_label("to confirm").fill("a/b")
    await erase.click()
    report = "Erased: 1 profile, 1 session token and 0 visitors. Updates are dropped for 7 days."
    await expect(page.locator(".note", has_text=report)).to_be_visible()
    assert api.get("a/b").status_code == 404
    await page.goto(_path("a/b"))
    await page.reload()
    await sign_in(page, api.application.management_token)
    await expect(page.get_by_text("The user was erased and is suppressed:")).to_be_visible()
    await expect(page.get_by_text("in 7 days")).to_be_visible()


async def test_what_was_erased_is_counted_where_the_numbers_come_late(visit: Visit, api: Api) -> None:
    api.stored({"session_token": "secret", "metadata": {"name": "Ada"}}, user_id="late")
    page = await _opened(visit, api, "late")
    first: list[Route] = []

    async def hold_first(route: Route) -> None:
        if first:
            await route.continue_()
        else:
            first.append(route)

    await page.route("**/v1/users:batchDelete*", hold_first)
    await page.get_by_role("button", name="Erase…").click()
    form = page.get_by_role("form", name="Erase this user")
    await form.get_by_label("to confirm").fill("late")
    await form.get_by_role("button", name="Erase").click()
    await expect(page.locator(".note", has_text="Erased: 1 profile, 1 session token and 0 visitors.")).to_be_visible()
    assert len(first) == 1
    await first[0].continue_()


async def test_a_user_of_whom_nothing_is_stored(visit: Visit, acme: Product) -> None:
    page = await visit(_path("nobody's"))
    await sign_in(page, acme.tokens.of[Scope.READ_USERS])
    await expect(page.get_by_text("or the user was erased, or is suppressed")).to_be_visible()
    command = page.locator("pre")
    await expect(command).to_contain_text("'\\''s")


async def test_a_token_that_may_not_read_users_is_not_shown_one(visit: Visit, acme: Product) -> None:
    page = await visit(_path("usr_1000"))
    await sign_in(page, acme.tokens.of[Scope.READ_CAMPAIGNS])
    await expect(page.get_by_role("heading", level=1)).to_contain_text("not allowed")


async def test_a_profile_that_cannot_be_read_says_why(visit: Visit, acme: Product) -> None:
    page = await visit(_path("i" * 513))
    await sign_in(page, acme.tokens.admin)
    await expect(page.get_by_role("alert")).to_contain_text("512")


async def test_pictures_are_those_of_gravatar_where_the_operator_allows_them(
    browser: Browser, acme: Product, stack: Stack
) -> None:
    gateway = start_gateway(stack.grpc, {"USERFOLD_CONSOLE_GRAVATAR": "on"})
    context = await browser.new_context()
    try:
        picture = '<svg xmlns="http://www.w3.org/2000/svg" width="56" height="56"/>'
        referrers: list[str | None] = []

        async def respond(route: Route) -> None:
            referrers.append(route.request.headers.get("referer"))
            is_known = len(referrers) == 1
            await route.fulfill(body=picture if is_known else "", content_type="image/svg+xml")

        await context.route("https://www.gravatar.com/**", respond)
        page = await context.new_page()
        await page.goto(f"{gateway.ready['admin']}{_path('usr_1000')}")
        await sign_in(page, acme.tokens.admin)
        await expect(page.locator(".avatar img")).to_have_attribute(
            "src", re.compile("^https://www.gravatar.com/avatar/")
        )
        await page.evaluate("location.hash = '#/user/usr_1001'")
        await expect(page.locator(".avatar")).to_have_text("AO")
        assert referrers == [None, None]
    finally:
        await context.close()
        assert gateway.stop() == 0


@pytest.mark.parametrize("theme", THEMES)
async def test_a_profile_is_accessible(visit: Visit, acme: Product, theme: Theme) -> None:
    page = await visit(_path("usr_1000"), theme=theme)
    await sign_in(page, acme.tokens.admin)
    await _row(page, "email:").focus()
    await check_accessible(page)
    await page.set_viewport_size({"width": NARROW, "height": 844})
    await check_accessible(page)
    assert await page.evaluate("document.documentElement.scrollWidth") == NARROW
