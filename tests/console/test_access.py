"""The credentials and the application, as an administrator manages them in the console."""

from playwright.async_api import Page, expect

from server.model import Scope
from tests.console.actions import CONSOLE, sign_in
from tests.console.browser import NARROW, THEMES, WIDE
from tests.console.conftest import Visit
from tests.console.data.world import Product
from tests.console.guard import Guard
from tests.console.observing import check_accessible
from tests.support.stack import Api

_ACCESS = f"{CONSOLE}#/access"


async def _open(visit: Visit, api: Api, width: int = WIDE) -> Page:
    page = await visit(_ACCESS, width=width)
    await sign_in(page, api.application.management_token)
    await expect(page.get_by_role("button", name="New credential…")).to_be_visible()
    return page


async def _secret(page: Page) -> str:
    """The secret that is shown once, after which it is stored away."""
    panel = page.get_by_role("group", name="The secret of")
    secret = await panel.locator("pre").inner_text()
    await panel.get_by_role("button", name="I have stored it").click()
    await expect(panel).to_have_count(0)
    return secret


def _status(api: Api, token: str) -> int:
    return api.client.get("/v1/credentials:current", headers={"Authorization": f"Bearer {token}"}).status_code


async def test_a_token_is_created_with_scopes_rotated_and_revoked(visit: Visit, api: Api) -> None:
    page = await _open(visit, api)
    await page.get_by_role("button", name="New credential…").click()
    # The form begins at the name, so keys are enough.
    await page.keyboard.type("Support desk")
    await page.get_by_role("checkbox", name="read:refusals").check()
    await page.get_by_label("Expires").select_option("in 30 days")
    await page.get_by_role("button", name="Create", exact=True).click()
    first = await _secret(page)
    found = api.client.get("/v1/credentials:current", headers={"Authorization": f"Bearer {first}"}).json()
    assert found["credential"]["display_name"] == "Support desk"
    assert found["credential"]["scopes"] == [Scope.READ_REFUSALS, Scope.READ_USERS]
    assert found["credential"]["expire_time"]

    await page.get_by_role("button", name="Rotate Support desk").click()
    await page.get_by_label("The old secret ends").select_option("at once")
    await page.get_by_role("button", name="Make a new secret").click()
    second = await _secret(page)
    assert second != first
    assert _status(api, second) == 200
    row = page.get_by_role("row").filter(has_text="Support desk")
    await expect(row).to_have_count(2)

    credential = found["credential"]["credential_id"]
    rotated = api.client.get("/v1/credentials:current", headers={"Authorization": f"Bearer {second}"}).json()
    newest = rotated["credential"]["credential_id"]
    assert newest != credential
    await row.filter(has_text=newest).get_by_role("button", name="Revoke").click()
    confirm = page.get_by_role("form", name="Revoke Support desk")
    button = confirm.get_by_role("button", name="Revoke", exact=True)
    await expect(button).to_be_disabled()
    await page.keyboard.type(newest)
    await button.click()
    await expect(row.filter(has_text=newest)).to_have_count(0)


async def test_a_collector_key_is_created_and_sends_updates(visit: Visit, api: Api) -> None:
    page = await _open(visit, api)
    await page.get_by_role("button", name="New credential…").click()
    await page.keyboard.type("Web shop")
    await page.get_by_role("radio", name="Collector key").check()
    await expect(page.get_by_role("group", name="Scopes")).to_have_count(0)
    await page.get_by_role("button", name="Create", exact=True).click()
    key = await _secret(page)
    sent = api.client.post("/v1/users", json={"user_id": "u"}, headers={"X-Moesif-Application-Id": key})
    assert sent.status_code == 201


async def test_the_last_administrators_token_cannot_be_revoked(visit: Visit, api: Api, guard: Guard) -> None:
    guard.expect("status of 400")
    page = await _open(visit, api)
    row = page.get_by_role("row").filter(has_text="this session")
    await row.get_by_role("button", name="Revoke").click()
    confirm = page.get_by_role("form")
    await expect(confirm).to_contain_text("this session, which ends with it")
    await page.keyboard.type(await confirm.locator("label code").inner_text())
    await confirm.get_by_role("button", name="Revoke", exact=True).click()
    await expect(confirm.get_by_role("alert")).to_contain_text("LAST_ADMIN_TOKEN")
    await page.keyboard.press("Escape")
    await expect(confirm).to_have_count(0)
    await expect(row.get_by_role("button", name="Revoke")).to_be_focused()
    assert _status(api, api.application.management_token) == 200


async def test_an_application_is_renamed_and_another_one_created_and_deleted(visit: Visit, api: Api) -> None:
    page = await _open(visit, api)
    await page.get_by_role("button", name="Rename…").click()
    await page.get_by_label("New name").fill("Web shop <b>")
    await page.keyboard.press("Enter")
    section = page.locator("section").filter(has=page.get_by_role("heading", name="Application", exact=True))
    await expect(section).to_contain_text("Web shop <b>")
    await expect(page.locator(".whose")).to_contain_text("Web shop <b>")

    await page.get_by_role("button", name="New application…").click()
    await page.get_by_label("Name of the new application").fill("Staging")
    await page.keyboard.press("Enter")
    panels = section.get_by_role("group", name="The secret of")
    await expect(panels).to_have_count(2)
    token = await panels.nth(0).locator("pre").inner_text()
    key = await panels.nth(1).locator("pre").inner_text()
    sent = api.client.post("/v1/users", json={"user_id": "u"}, headers={"X-Moesif-Application-Id": key})
    assert sent.status_code == 201

    other = await visit(_ACCESS)
    await sign_in(other, token)
    await other.get_by_role("button", name="Delete this application…").click()
    confirm = other.get_by_role("form", name="Delete this application")
    await expect(confirm).to_contain_text("This removes 1 user, 2 credentials.")
    await confirm.get_by_label("to confirm").fill(await confirm.locator("label code").inner_text())
    await confirm.get_by_role("button", name="Delete", exact=True).click()
    await expect(other.get_by_role("alert")).to_contain_text("is being deleted with all its data")
    await expect(other.get_by_label("Management token")).to_be_focused()


async def test_access_is_accessible(visit: Visit, acme: Product) -> None:
    for theme, width in zip(THEMES, (WIDE, NARROW), strict=True):
        page = await visit(_ACCESS, theme=theme, width=width)
        await sign_in(page, acme.tokens.admin)
        await expect(page.get_by_role("row").filter(has_text="this session")).to_be_visible()
        await page.get_by_role("button", name="New credential…").click()
        await check_accessible(page)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
