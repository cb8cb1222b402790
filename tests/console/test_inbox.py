"""The inbox: what clients send wrongly, by library and reason, with what to do; and how much of it is new."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page, expect
from pymongo.database import Database
from userfold.v1.company_pb2 import CompanyUpdate
from userfold.v1.reasons_pb2 import ErrorReason, FieldReason
from userfold.v1.user_pb2 import UserUpdate

from server.model import Scope
from tests.console.actions import sign_in
from tests.console.conftest import Visit
from tests.console.data.world import Product
from tests.console.guard import Guard
from tests.console.observing import check_every_look
from tests.support.stack import Api
from tests.support.waiting import wait_until

_ROOT: Final = Path(__file__).parents[2]
_ADVICE: Final = _ROOT / "web" / "src" / "views" / "inbox" / "advice.ts"
_FORMS: Final = json.loads((_ROOT / "gateway" / "admin" / "console-files" / "advice.json").read_text())["forms"]


def _section(page: Page, title: str) -> Any:
    return page.locator("section").filter(has=page.get_by_role("heading", name=title))


@pytest.mark.parametrize(("table", "reasons"), [("ERRORS", ErrorReason), ("FIELDS", FieldReason)])
def test_each_reason_has_advice(table: str, reasons: Any) -> None:
    [source] = re.findall(rf"^export const {table}\b.*?^\}};", _ADVICE.read_text(), re.DOTALL | re.MULTILINE)
    advised = re.findall(r"^  ([A-Z0-9_]+): \[", source, re.MULTILINE)
    assert [name for name, number in reasons.items() if number and name not in advised] == []


async def test_refusals_are_grouped_by_library_and_reason(visit: Visit, acme: Product, refusals: None) -> None:
    page = await visit("/console#/inbox")
    await sign_in(page, acme.tokens.admin)
    await expect(page).to_have_title("Inbox · Userfold")
    await expect(page.get_by_role("heading", name="Refused", exact=False).first).to_be_visible()
    python = _section(page, "moesifapi-python").first
    await expect(python).to_contain_text("INVALID_REQUEST")
    await expect(python).to_contain_text("campaign has another type than the field may have.")
    await expect(python.locator("code.form").first).to_be_visible()
    await expect(page.get_by_role("heading", name="Warnings")).to_be_visible()
    await expect(page.get_by_text("ip_address is no IP address, and is stored as sent.")).to_be_visible()
    await check_every_look(page)


def test_the_form_of_each_field_of_an_update_is_accepted(api: Api) -> None:
    users, companies = ({*message.DESCRIPTOR.fields_by_name} for message in (UserUpdate, CompanyUpdate))
    # JSON has no such member, and a condition fits no other profile.
    for name in sorted((users | companies) - {"metadata_json", "etag"}):
        update = json.loads(f"{{{_FORMS[name]}}}")
        assert name in update
        key, path = ("user_id", "/v1/users") if name in users else ("company_id", "/v1/companies")
        response = api.client.post(path, json={key: "1"} | update, headers=api.writer)
        assert (response.status_code, response.json()) == (201, {}), name


async def test_a_refused_operation_is_shown_with_the_right_form(
    visit: Visit, api: Api, database: Database[dict[str, Any]]
) -> None:
    refused: list[dict[str, Any]] = [
        {"path": [], "set_once": 1},
        {"path": ["email"], "set_once": "a"},
        {"path": ["plan"]},
        {"path": ["plan"], "union": "a"},
    ]
    for operation in refused:
        assert api.update({"user_id": "1", "metadata_operations": [operation]}).status_code == 400
    own = {"application_id": api.application.application_id}
    wait_until(lambda: database.refusals.count_documents(own) == len(refused))
    page = await visit("/console#/inbox")
    await sign_in(page, api.application.management_token)
    await expect(page.locator("code.form")).to_have_text([_FORMS["metadata_operations"]] * len(refused))


async def test_filters_and_the_order_are_in_the_link(visit: Visit, acme: Product, refusals: None) -> None:
    page = await visit("/console#/inbox")
    await sign_in(page, acme.tokens.admin)
    await page.get_by_label("Client library").select_option(label="moesifapi-java 1.8.2")
    await expect(page.locator("section")).to_have_count(1)
    await page.get_by_role("button", name="Refused").click()
    await expect(page.get_by_text("Nothing matches")).to_be_visible()
    await page.get_by_role("button", name="Show everything").click()
    await page.get_by_label("Reason").select_option("NOT_AN_IP_ADDRESS")
    await page.get_by_role("button", name="Most frequent").click()
    await expect(page).to_have_url(re.compile(r"#/inbox\?reason=NOT_AN_IP_ADDRESS&order=frequent$"))
    link = page.url.partition("/console")[2]
    again = await visit(f"/console{link}")
    await sign_in(again, acme.tokens.admin)
    await expect(again.get_by_label("Reason")).to_have_value("NOT_AN_IP_ADDRESS")
    await expect(again.get_by_role("button", name="Most frequent")).to_have_attribute("aria-pressed", "true")
    await expect(again.locator("section")).to_have_count(1)


async def test_new_refusals_are_counted_and_marked_until_the_inbox_is_opened(
    visit: Visit, api: Api, database: Database[dict[str, Any]]
) -> None:
    page = await visit("/console")
    await page.clock.install()
    await sign_in(page, api.application.management_token)
    rail = page.get_by_role("navigation", name="Sections")
    await rail.get_by_role("link", name="Inbox").click()
    await expect(page.get_by_text("Nothing was refused in 30 days")).to_be_visible()
    await rail.get_by_role("link", name="Campaigns").click()
    assert api.update({"user_id": "1", "company_id": ["a"]}).status_code == 400
    assert api.update({"user_id": "1", "ip_address": "unknown"}).status_code == 201
    own = {"application_id": api.application.application_id}
    wait_until(lambda: database.refusals.count_documents(own) == 2)
    await page.clock.fast_forward(30_000)
    # The warning does not count.
    await expect(rail.get_by_role("link", name="Inbox 1 new")).to_be_visible()
    await rail.get_by_role("link", name="Inbox").click()
    await expect(page.get_by_text("new", exact=True)).to_have_count(2)
    await expect(rail.get_by_role("link", name="Inbox", exact=True)).to_be_visible()
    # An open inbox loads what is new by itself.
    _happened_again(database, own, count=7)
    await page.clock.fast_forward(5_000)
    await expect(page.get_by_text("7 times").first).to_be_visible()
    # It was seen there, and is not new any more.
    await rail.get_by_role("link", name="Campaigns").click()
    await rail.get_by_role("link", name="Inbox").click()
    await expect(page.get_by_text("7 times").first).to_be_visible()
    await expect(page.get_by_text("new", exact=True)).to_have_count(0)
    await rail.get_by_role("link", name="Campaigns").click()
    _happened_again(database, own, count=9)
    await rail.get_by_role("link", name="Inbox").click()
    await expect(page.get_by_text("again", exact=True)).to_have_count(1)


def _happened_again(database: Database[dict[str, Any]], own: dict[str, Any], count: int) -> None:
    """Let the refusal of an application have happened so often, the last time a while after the time before."""
    change = [{"$set": {"count": count, "last_time": {"$add": ["$last_time", 5_000]}}}]
    database.refusals.update_one({**own, "is_warning": False}, change)


async def test_an_application_without_refusals_has_an_empty_inbox(
    visit: Visit, globex: Product, refusals: None
) -> None:
    page = await visit("/console#/inbox")
    await sign_in(page, globex.tokens.of[Scope.READ_REFUSALS])
    await expect(page.get_by_text("Nothing was refused in 30 days")).to_be_visible()


async def test_a_token_without_the_scope_has_no_inbox(visit: Visit, acme: Product) -> None:
    page = await visit("/console#/inbox")
    await sign_in(page, acme.tokens.of[Scope.READ_USERS])
    await expect(page.get_by_role("heading", name="Inbox: not allowed")).to_be_visible()
    await expect(page.get_by_role("navigation").get_by_role("link", name="Inbox")).to_have_count(0)


async def test_an_error_is_shown_with_its_reason_and_another_try(visit: Visit, guard: Guard, acme: Product) -> None:
    page = await visit("/console#/users")
    await sign_in(page, acme.tokens.admin)
    status = {
        "code": 8,
        "status": "RESOURCE_EXHAUSTED",
        "message": "The gateway has no room.",
        "details": [{"@type": "", "reason": "OVERLOADED"}],
    }
    await page.route("**/v1/refusals", lambda route: route.fulfill(status=429, json=status))
    guard.expect("status of 429")
    await page.get_by_role("navigation").get_by_role("link", name="Inbox").click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("OVERLOADED")
    await page.unroute("**/v1/refusals")
    await alert.get_by_role("button", name="Try again").click()
    await expect(alert).to_have_count(0)


async def test_the_inbox_works_by_keyboard(visit: Visit, acme: Product, refusals: None) -> None:
    page = await visit("/console#/inbox")
    await sign_in(page, acme.tokens.admin)
    await expect(page.get_by_role("heading", name="Warnings")).to_be_visible()
    await expect(page.get_by_role("heading", name="Inbox")).to_be_focused()
    for name in ("All", "Refused", "Warnings"):
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name=name, exact=True)).to_be_focused()
    await page.keyboard.press("Space")
    await expect(page.get_by_text("was stored.")).to_have_count(0)
    await expect(page.get_by_role("button", name="Warnings")).to_be_focused()
