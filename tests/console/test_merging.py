"""One person with two ids: a user is merged into another one in the console."""

import re
from typing import Final

from playwright.async_api import expect

from server.model import Scope
from tests.console.actions import CONSOLE, sign_in
from tests.console.conftest import Visit
from tests.console.data.world import Product
from tests.console.observing import check_accessible, check_every_look
from tests.support.stack import Api

_SOURCE: Final = "a/b<i>"


async def test_a_user_is_merged_into_another_one_and_its_id_leads_there(visit: Visit, api: Api) -> None:
    api.stored({"metadata": {"name": "Ada", "both": {"same": 1}}}, user_id="stays")
    other = {"name": "Countess", "both": {"same": 2, "new": 3}, "alone": [1]}
    api.stored({"anonymous_id": "v", "session_token": "secret", "metadata": other}, user_id=_SOURCE)
    page = await visit(f"{CONSOLE}#/user/stays")
    await sign_in(page, api.application.management_token)
    await page.get_by_role("button", name="Merge…").click()
    form = page.get_by_role("form", name="Merge another user into this one")
    other_id = form.get_by_label("User id of the other one")
    await other_id.fill("stays")
    await expect(form.get_by_role("button", name="Show what will change")).to_be_disabled()
    await other_id.fill(_SOURCE)
    await check_every_look(page)
    await page.keyboard.press("Enter")
    await expect(form).to_contain_text("Countess becomes a part of Ada. This cannot be undone.")
    await expect(form).to_contain_text(
        "2 values of its metadata are added. Of 2 values that both have, this user's stay."
    )
    await expect(form).to_contain_text("1 session token and 1 anonymous id of it lead to this user")
    await expect(form.get_by_role("button", name="Merge")).to_be_disabled()
    await check_accessible(page)
    await form.get_by_label("to confirm").fill(_SOURCE)
    await form.get_by_role("button", name="Merge").click()
    await expect(page.locator(".note.good")).to_have_text(f"Merged: the id {_SOURCE} leads to this user from now on.")
    identities = page.locator("section", has_text="Identities")
    for text in (_SOURCE, "v", "1 session token, kept as digests"):
        await expect(identities.get_by_text(text, exact=True)).to_be_visible()
    stored = api.get("stays").json()
    assert stored["metadata"] == {"name": "Ada", "both": {"same": 1, "new": 3}, "alone": [1]}
    await page.evaluate("location.hash = '#/user/a%2Fb%3Ci%3E'")
    await expect(page.get_by_text(f"The id {_SOURCE} leads here")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ada")
    await page.get_by_role("button", name="Merge…").click()
    await other_id.fill(_SOURCE)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text(f"The id {_SOURCE} leads to this user already.")
    await page.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Erase…").click()
    await expect(page.get_by_role("form", name="Erase this user")).to_contain_text(
        re.compile("with 2 ids that lead there")
    )


async def test_a_user_of_whom_nothing_is_stored_is_not_merged(visit: Visit, acme: Product) -> None:
    page = await visit(f"{CONSOLE}#/user/usr_1002")
    await sign_in(page, acme.tokens.admin)
    await page.get_by_role("button", name="Merge…").click()
    await page.get_by_label("User id of the other one").fill("nobody")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("Nothing is stored of a user with the id nobody.")
    reading = await visit(f"{CONSOLE}#/user/usr_1002")
    await sign_in(reading, acme.tokens.of[Scope.READ_USERS])
    await expect(reading.get_by_role("button", name="Export")).to_be_visible()
    await expect(reading.get_by_role("button", name="Merge…")).to_have_count(0)
