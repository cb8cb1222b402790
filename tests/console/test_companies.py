"""Companies and visitors in the console: their lists, their pages, and the company on a user's page."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Locator, Page, expect

from server.model import Scope
from tests.console.actions import CONSOLE, sign_in
from tests.console.browser import NARROW, WIDE
from tests.console.conftest import Visit
from tests.console.data.hostile import hostile_profiles
from tests.console.data.people import companies
from tests.console.data.world import Product
from tests.console.guard import Guard
from tests.console.observing import check_accessible, check_every_look
from tests.support.stack import COMPANIES, Api, Profiles, percent_encoded

_KEYS: Final = {"company": "company_id", "visitor": "anonymous_id"}


async def _opened(visit: Visit, token: str, place: str, **how: Any) -> Page:
    page = await visit(f"{CONSOLE}#/{place}", **how)
    await sign_in(page, token)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    return page


def _section(page: Page, title: str) -> Locator:
    return page.get_by_role("main").locator("section").filter(has=page.get_by_role("heading", name=title, exact=True))


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


async def _saved(page: Page) -> Any:
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Export", exact=True).click()
    return _read(await (await downloading.value).path())


async def test_companies_are_listed_filtered_ordered_and_opened(visit: Visit, acme: Product) -> None:
    page = await _opened(visit, acme.tokens.of[Scope.READ_COMPANIES], "companies")
    count = page.locator(".page-head p")
    await expect(count).to_have_text(f"{len(companies()) + len(hostile_profiles('company_id'))} companies")
    await page.get_by_role("button", name="Build a filter").click()
    await page.get_by_label("Field").fill("company_domain")
    await page.get_by_label("Relation").select_option("exists")
    await page.get_by_role("button", name="Apply").click()
    await expect(count).to_have_text(f"{len(companies())} companies")
    await page.get_by_role("button", name="Company id").click()
    rows = page.locator("a[data-row]")
    await expect(rows).to_have_text(sorted(each["company_id"] for each in companies()))
    await expect(page).to_have_url(re.compile(r"#/companies\?filter=company_domain%3A\*&order=company_id$"))
    await page.get_by_role("button", name="Columns").click()
    # What only users have is no column of companies.
    await expect(page.get_by_role("checkbox", name="Domain", exact=True)).to_be_checked()
    await expect(page.get_by_role("checkbox", name="Session tokens")).to_have_count(0)
    await page.keyboard.press("Escape")
    await page.get_by_role("link", name="contoso").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Contoso")
    await page.go_back()
    await expect(rows).to_have_count(len(companies()))


async def test_a_page_of_a_company_says_what_is_known_and_lists_its_users(visit: Visit, acme: Product) -> None:
    page = await _opened(visit, acme.tokens.admin, "company/contoso")
    await expect(page).to_have_title("Contoso · Userfold")
    identities = _section(page, "Identities")
    for identity in ("contoso", "contoso.com", "198.51.100.0"):
        await expect(identities.get_by_text(identity, exact=True)).to_be_visible()
    for touch in ("First", "Latest", "Merged"):
        await expect(page.get_by_role("heading", name=touch)).to_be_visible()
    await expect(page.get_by_role("treeitem", name="plan:")).to_be_visible()
    await check_every_look(page)
    await page.get_by_role("link", name="Users", exact=True).last.click()
    own = sorted(user["user_id"] for user in acme.users if user.get("company_id") == "contoso")
    await expect(page.locator("a[data-row]")).to_have_count(len(own))
    assert sorted(await page.locator("a[data-row]").all_inner_texts()) == own
    await expect(page.get_by_role("main").get_by_text(f"{len(own)} users", exact=True)).to_be_visible()
    await check_accessible(page)
    await page.get_by_role("link", name="Raw JSON").click()
    shown = json.loads(await page.get_by_role("region", name="Raw JSON").inner_text())
    assert shown["metadata"] == companies()[0]["metadata"]
    assert await _saved(page) == {"company": shown}


async def test_commands_do_what_the_buttons_do(visit: Visit, api: Api) -> None:
    stored = Profiles(api, COMPANIES).stored({"metadata": {"name": "It's"}}, key="it's")
    page = await _opened(visit, api.application.management_token, "company/it's")

    async def run(name: str) -> Any:
        command = await page.get_by_label(name, exact=True).inner_text()
        shell = await asyncio.create_subprocess_shell(
            command.replace("curl", "curl --silent --noproxy '*'"),
            stdout=asyncio.subprocess.PIPE,
            env={"management_token": api.application.management_token, "PATH": "/usr/bin:/bin"},
        )
        return json.loads((await shell.communicate())[0])

    assert await run("Export command") == {"company": stored}
    assert await run("Erase command") == {"deleted": True}
    assert Profiles(api, COMPANIES).get("it's").status_code == 404


@pytest.mark.parametrize("company_id", ["..", "acme"])
async def test_a_company_is_erased_after_its_id_was_typed_and_its_users_stay(
    visit: Visit, api: Api, company_id: str
) -> None:
    Profiles(api, COMPANIES).stored({"company_domain": "acme.com"}, key=company_id)
    api.stored({"company_id": company_id}, user_id="u")
    page = await _opened(visit, api.application.management_token, f"company/{percent_encoded(company_id)}")
    await page.get_by_role("button", name="Erase…").click()
    form = page.get_by_role("form", name="Erase this company")
    await expect(form).to_contain_text("This removes 1 profile for good.")
    await expect(form).to_contain_text("The 1 user with its id stay")
    await expect(form.get_by_role("button", name="Erase")).to_be_disabled()
    await check_accessible(page)
    await form.get_by_label("to confirm").fill(company_id)
    await form.get_by_role("button", name="Erase").click()
    await expect(page.locator(".note")).to_have_text("Erased: 1 profile.")
    assert api.get("u").json()["company_id"] == company_id
    await page.get_by_role("link", name="All companies").click()
    await expect(page.get_by_role("heading", name="No companies yet")).to_be_visible()


async def test_a_users_page_says_how_the_company_was_found(visit: Visit, api: Api) -> None:
    Profiles(api, COMPANIES).stored({"company_domain": "acme.com", "metadata": {"name": "Acme"}}, key="a")
    emails = {"metadata": {"email": "ada@acme.com"}}
    api.stored({"company_id": "a"}, user_id="by-id")
    api.stored(emails, user_id="by-domain")
    api.stored({"company_id": "other", **emails}, user_id="not-stored")
    api.stored({}, user_id="none")
    page = await _opened(visit, api.application.management_token, "user/by-id")
    company = _section(page, "Company")
    await expect(company).to_contain_text("Acme")
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url.partition("/v1/")[2]))
    for user_id, says in (
        ("by-id", "the company id that updates of this user carried"),
        ("by-domain", "the domain of the email address, acme.com"),
        ("not-stored", "No update of the company other was stored yet."),
        ("none", "No update named a company"),
    ):
        await page.evaluate("id => { location.hash = `#/user/${id}`; }", user_id)
        await expect(company).to_contain_text(says)
    # One read returns both.
    assert not [path for path in requested if path.startswith(("companies", "users:lookup"))]
    await page.evaluate("location.hash = '#/user/by-domain'")
    await company.get_by_role("link", name="Acme").click()
    await expect(page).to_have_url(re.compile(r"#/company/a$"))


async def test_visitors_are_listed_shown_exported_and_erased(visit: Visit, api: Api) -> None:
    update = {"campaign": {"utm_source": "google"}, "session_token": "secret"}
    assert api.batch([{"anonymous_id": each, **update} for each in ("one", "..")]).json()["saved_count"] == 2
    api.stored({"anonymous_id": "known"}, user_id="u")
    page = await _opened(visit, api.application.management_token, "visitors?order=anonymous_id")
    await expect(page.locator("a[data-row]")).to_have_text(["..", "one"])
    await page.get_by_role("link", name="..", exact=True).click()
    await expect(page.get_by_text("a visitor, whose user id is not known yet")).to_be_visible()
    await expect(_section(page, "Campaigns").get_by_text("google")).to_have_count(3)
    exported = await _saved(page)
    assert exported["visitor"]["anonymous_id"] == ".."
    assert len(exported["alias_digests"]) == 1
    await page.get_by_role("button", name="Erase…").click()
    form = page.get_by_role("form", name="Erase this visitor")
    await expect(form).to_contain_text("This removes 1 profile and 1 session token for good.")
    await form.get_by_label("to confirm").fill("..")
    await form.get_by_role("button", name="Erase").click()
    await expect(page.locator(".note")).to_have_text("Erased: 1 profile and 1 session token.")
    for anonymous_id, says in (
        ("known", "The visitor is known: 1 user has this anonymous id. u"),
        ("..", "No update of this visitor was ever stored, or the visitor was erased"),
    ):
        await page.evaluate("id => { location.hash = `#/visitor/${id}`; }", anonymous_id)
        await expect(page.locator(".empty")).to_contain_text(says)
    await check_accessible(page)


@pytest.mark.parametrize("kind", _KEYS)
async def test_hostile_companies_and_visitors_are_text(visit: Visit, acme: Product, kind: str) -> None:
    page = await _opened(visit, acme.tokens.admin, f"{kind}/nobody")
    identity = _section(page, "Identities").locator("code").first
    for profile in hostile_profiles(_KEYS[kind]):
        profile_id = profile[_KEYS[kind]]
        await page.evaluate("path => { location.hash = path; }", f"#/{kind}/{percent_encoded(profile_id)}")
        shown = json.dumps(profile_id) if "\0" in profile_id or profile_id == '"' else profile_id
        await expect(identity).to_have_text(shown)
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width == WIDE, f"{profile_id[:40]!r} is {width} pixels wide"
    assert await page.evaluate("window.harmed") is None


async def test_what_the_scopes_do_not_allow_is_not_shown(visit: Visit, acme: Product) -> None:
    page = await _opened(visit, acme.tokens.of[Scope.READ_COMPANIES], "company/contoso")
    await expect(page.get_by_role("button", name="Export", exact=True)).to_be_visible()
    await expect(page.get_by_role("button", name="Erase…")).to_have_count(0)
    await expect(page.get_by_role("link", name="Users", exact=True)).to_have_count(0)
    await expect(page.get_by_label("Erase command", exact=True)).to_have_count(0)
    await page.evaluate("location.hash = '#/visitor/visitor-00a2'")
    await expect(page.get_by_role("main")).to_contain_text("needs the scope read:users")
    reading = await _opened(visit, acme.tokens.of[Scope.READ_USERS], "user/usr_1000")
    await expect(_section(reading, "Identities")).to_be_visible()
    await expect(_section(reading, "Company")).to_have_count(0)
    await reading.evaluate("location.hash = '#/company/contoso'")
    await expect(reading.get_by_role("main")).to_contain_text("needs the scope read:companies")


async def test_another_application_has_no_such_company_or_visitor(visit: Visit, globex: Product) -> None:
    page = await _opened(visit, globex.tokens.admin, "company/contoso")
    await expect(page.get_by_role("heading", name="Nothing is stored of this company")).to_be_visible()
    # Its own user names that company.
    await page.get_by_role("link", name="users with this company id").click()
    await expect(page.locator("a[data-row]")).to_have_text(["globex-only"])
    await page.evaluate("location.hash = '#/visitor/visitor-00a2'")
    await expect(page.get_by_role("heading", name="Nothing is stored of this visitor")).to_be_visible()


async def test_a_part_that_could_not_be_loaded_is_loaded_again(visit: Visit, acme: Product, guard: Guard) -> None:
    guard.expect("on-demand")
    page = await visit(f"{CONSOLE}#/company/contoso", width=NARROW)
    await page.route("**/on-demand-*.js", lambda route: route.abort())
    await sign_in(page, acme.tokens.admin)
    await expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
    await check_accessible(page)
    await page.unroute_all()
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Contoso")
