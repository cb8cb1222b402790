"""Exports, erasures and suppressions in the console."""

import json
from pathlib import Path

from playwright.async_api import Page, expect

from server.model import Scope
from tests.console.actions import CONSOLE, sign_in
from tests.console.browser import NARROW, THEMES, WIDE
from tests.console.conftest import Visit
from tests.console.data.world import Product
from tests.console.observing import check_accessible
from tests.support.stack import Api

_PRIVACY = f"{CONSOLE}#/privacy"


async def _open(visit: Visit, api: Api, user_id: str) -> Page:
    page = await visit(_PRIVACY)
    await sign_in(page, api.application.management_token)
    await page.get_by_label("User id", exact=True).fill(user_id)
    await page.keyboard.press("Enter")
    return page


def _content(path: Path) -> str:
    return path.read_text()


async def test_a_person_is_exported_erased_suppressed_and_the_suppression_lifted(visit: Visit, api: Api) -> None:
    # An id that no path of a URL could carry.
    user_id = "../<b>1</b>"
    api.stored({"metadata": {"email": "a@b.co"}, "session_token": "t" * 20}, user_id=user_id)
    page = await _open(visit, api, user_id)
    person = page.locator("section").filter(has_text="This person")
    await expect(person).to_contain_text("A profile with 1 session token.")
    async with page.expect_download() as downloading:
        await person.get_by_role("button", name="Download the export").click()
    exported = json.loads(_content(await (await downloading.value).path()))
    assert exported["user"]["user_id"] == user_id
    assert len(exported["alias_digests"]) == 1

    await person.get_by_role("button", name="Erase…").click()
    confirm = page.get_by_role("form", name="Erase this user")
    await expect(confirm).to_contain_text("This removes 1 profile, 1 session token and 0 visitors for good.")
    await confirm.get_by_label("Days").fill("7")
    await expect(confirm.get_by_role("button", name="Erase", exact=True)).to_be_disabled()
    await confirm.get_by_label("to confirm").fill(user_id)
    await confirm.get_by_role("button", name="Erase", exact=True).click()
    await expect(person).to_contain_text(
        "Erased: 1 profile, 1 session token and 0 visitors. Updates are dropped for 7 days."
    )
    await expect(person).to_contain_text("there is no profile of this user")
    assert api.get(user_id).status_code == 404
    assert api.update({"user_id": user_id}).json()["suppressed"] is True

    suppressions = page.locator("section").filter(has_text="Suppressions")
    await expect(suppressions.get_by_role("row")).to_have_count(2)
    await person.get_by_role("button", name="Lift the suppression").click()
    await expect(person).to_contain_text("The suppression was lifted")
    await expect(suppressions).to_contain_text("Nobody is suppressed")
    assert api.update({"user_id": user_id}).json() == {}


async def test_several_people_are_exported_and_erased(visit: Visit, api: Api) -> None:
    for user_id in ("a", "b", "c"):
        api.stored({}, user_id=user_id)
    page = await visit(_PRIVACY)
    await sign_in(page, api.application.management_token)
    several = page.locator("section").filter(has_text="Several people")
    await several.get_by_role("textbox", name="User ids").fill("a\nb\n\nnobody\na\n")
    await expect(several).to_contain_text("3 ids")
    async with page.expect_download() as downloading:
        await several.get_by_role("button", name="Download the exports").click()
    lines = _content(await (await downloading.value).path()).splitlines()
    assert [json.loads(line)["user"]["user_id"] for line in lines] == ["a", "b"]
    await expect(several).to_contain_text("Exported 2 users. Of 1 id, nothing is stored.")

    await several.get_by_role("button", name="Erase…").click()
    await expect(several).to_contain_text("This removes 2 profiles")
    await several.get_by_label("Days").fill("0")
    await several.get_by_label("to confirm").fill("erase 3")
    await several.get_by_role("button", name="Erase", exact=True).click()
    await expect(several).to_contain_text("Erased: 2 profiles")
    assert [api.get(user_id).status_code for user_id in ("a", "b", "c")] == [404, 404, 200]


async def test_what_the_scopes_do_not_allow_is_not_shown(visit: Visit, acme: Product) -> None:
    user_id = acme.users[0]["user_id"]
    reading = await visit(f"{_PRIVACY}/{user_id}")
    await sign_in(reading, acme.tokens.of[Scope.READ_USERS])
    await expect(reading.get_by_role("button", name="Download the export", exact=True)).to_be_visible()
    await expect(reading.get_by_role("button", name="Erase…")).to_have_count(0)
    await expect(reading.get_by_text("Suppressions")).to_have_count(0)
    erasing = await visit(f"{_PRIVACY}/{user_id}")
    await sign_in(erasing, acme.tokens.of[Scope.DELETE_USERS])
    await expect(erasing.get_by_role("button", name="Erase…").first).to_be_visible()
    await expect(erasing.get_by_role("button", name="Download the export", exact=True)).to_have_count(0)


async def test_another_application_has_no_such_person(visit: Visit, acme: Product, globex: Product) -> None:
    page = await visit(f"{_PRIVACY}/{acme.users[1]['user_id']}")
    await sign_in(page, globex.tokens.admin)
    await expect(page.get_by_role("main")).to_contain_text("there is no profile of this user")


async def test_privacy_is_accessible(visit: Visit, acme: Product) -> None:
    for theme, width in zip(THEMES, (WIDE, NARROW), strict=True):
        page = await visit(f"{_PRIVACY}/{acme.users[0]['user_id']}", theme=theme, width=width)
        await sign_in(page, acme.tokens.admin)
        await expect(page.get_by_role("button", name="Download the export", exact=True)).to_be_visible()
        await expect(page.get_by_text("Nobody is suppressed")).to_be_visible()
        await page.get_by_role("button", name="Erase…").first.click()
        await check_accessible(page)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
