"""The report of campaigns: by any field and touch, over time, as bars, tables and CSV, with links to the users."""

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import pytest
from playwright.async_api import Locator, Page, expect
from pymongo.database import Database

from server.model import Scope
from tests.console.actions import sign_in
from tests.console.browser import NARROW, held
from tests.console.conftest import Visit
from tests.console.data.world import Product
from tests.console.guard import Guard
from tests.console.observing import check_accessible, check_every_look
from tests.support.stack import Api

_HOSTILE: Final = '=cmd|"1 * 2"\\ <img src=x onerror="window.harmed=1"> \u202eשלום'

_USERS: Final[Sequence[tuple[Mapping[str, str], int, Any]]] = (
    # Their campaign, how many days ago they were created, and their value.
    ({"utm_source": "google", "utm_medium": "cpc"}, 0, 24_000),
    ({"utm_source": "google", "utm_medium": "cpc"}, 1, 1_000.5),
    ({"utm_source": "google", "utm_medium": "email"}, 9, "no number"),
    ({"utm_source": "newsletter"}, 9, None),
    ({"utm_source": _HOSTILE}, 10, -500),
    ({}, 80, None),
)


@pytest.fixture
def campaigns(api: Api, database: Database[dict[str, Any]]) -> Api:
    """An application with the users of _USERS, of whom one came again by another campaign."""
    batch = [
        {"user_id": str(number), "campaign": campaign, **({} if value is None else {"metadata": {"value": value}})}
        for number, (campaign, _, value) in enumerate(_USERS)
    ]
    assert api.batch(batch).json() == {"saved_count": len(_USERS)}
    assert api.update({"user_id": "0", "campaign": {"utm_source": "partner"}}).status_code == 201
    noon = datetime.now(UTC).replace(hour=0, minute=0, second=1)
    for number, (_, days, _) in enumerate(_USERS):
        own = {"application_id": api.application.application_id, "user_id": str(number)}
        changed = database.profiles.update_one(own, {"$set": {"created_time": noon - timedelta(days=days)}})
        assert changed.modified_count == 1
    return api


async def _open(visit: Visit, token: str, query: str = "", **options: Any) -> Page:
    page = await visit(f"/console#/campaigns{query}", **options)
    await sign_in(page, token)
    await expect(page.get_by_role("list", name="Users of each group, as bars")).to_be_visible()
    return page


def _bars(page: Page) -> Locator:
    return page.get_by_role("list", name="Users of each group, as bars").get_by_role("link")


async def _labels(page: Page) -> Sequence[str]:
    return [" ".join(text.split()) for text in await _bars(page).all_text_contents()]


async def test_groups_are_bars_with_users_and_values(visit: Visit, campaigns: Api) -> None:
    page = await _open(visit, campaigns.application.management_token, "?value=metadata.value&period=all")
    await expect(page).to_have_title("Campaigns · Userfold")
    assert await _labels(page) == [
        "google 3 users 50 % 25,000.5 value",
        "not set 1 users 17 % none value",
        f"{_HOSTILE} 1 users 17 % -500 value",
        "newsletter 1 users 17 % none value",
    ]
    facts = page.locator(".facts")
    await expect(facts).to_contain_text(
        "Users created6Groups4Value24,500.5Value per user with one8,166.83Users with a value3"
    )
    assert await page.evaluate("window.harmed") is None
    # The paths that hold numbers are suggested.
    await expect(page.locator("datalist option")).to_have_count(1)
    await expect(page.locator("datalist option")).to_have_attribute("value", "metadata.value")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(_bars(page).nth(1)).to_be_focused()
    await page.keyboard.press("k")
    await expect(_bars(page).first).to_be_focused()


async def test_the_link_of_a_group_finds_its_users(visit: Visit, campaigns: Api) -> None:
    page = await _open(
        visit,
        campaigns.application.management_token,
        "?by=initial_campaign.utm_source,campaign.utm_source&filter=alias_count=0 OR user_id:*",
    )
    assert len(await _labels(page)) == 4
    for bar in await _bars(page).all():
        address, label = await bar.get_attribute("href"), await bar.text_content()
        assert address
        assert label
        [written] = parse_qs(address.partition("?")[2])["filter"]
        answer = campaigns.client.post("/v1/users:count", json={"filter": written}, headers=campaigns.reader)
        assert f" {answer.json()['count']} users " in label, (written, label)


async def test_fields_periods_and_filters_are_chosen_and_in_the_link(visit: Visit, campaigns: Api) -> None:
    page = await _open(visit, campaigns.application.management_token)
    # The last 30 days.
    await expect(page.locator(".facts")).to_contain_text("Users created5")
    await page.get_by_role("combobox", name="Group by").select_option("campaign.utm_source")
    await expect(_bars(page).filter(has_text="partner")).to_be_visible()
    await page.get_by_role("button", name="Add a field").click()
    await expect(_bars(page).filter(has_text="google / cpc")).to_be_visible()
    await page.get_by_label("Users created").select_option("7d")
    await page.get_by_label("Only users with").fill("metadata.value >= 2000")
    await page.keyboard.press("Enter")
    await expect(_bars(page)).to_have_count(1)
    await expect(page).to_have_url(
        re.compile(
            r"#/campaigns\?by=campaign.utm_source%2Ccampaign.utm_medium&period=7d&filter=metadata.value\+%3E%3D\+2000$"
        )
    )
    again = await _open(visit, campaigns.application.management_token, page.url.partition("#/campaigns")[2])
    assert await _labels(again) == ["partner / cpc 1 users 100 %"]
    await expect(again.get_by_label("Only users with")).to_have_value("metadata.value >= 2000")
    await again.get_by_role("button", name="Do not group by merged utm_medium").click()
    await expect(_bars(again)).to_have_text(re.compile("^partner 1"))
    today = datetime.now(UTC).date()
    await again.get_by_label("Users created").select_option("custom")
    await again.get_by_label("To (UTC)").fill(str(today - timedelta(days=1)))
    await expect(again.get_by_text("Nobody in this range of time")).to_be_visible()


async def test_groups_are_a_table_and_a_csv(visit: Visit, campaigns: Api, tmp_path: Path) -> None:
    page = await _open(visit, campaigns.application.management_token, "?value=metadata.value&period=all")
    # Screen readers have the table in either form.
    table = page.get_by_role("table", name="Users of each group")
    await expect(table.get_by_role("row")).to_have_count(6)
    groups = page.get_by_role("group", name="Show the groups as")
    await groups.get_by_role("button", name="Table").click()
    await expect(page.get_by_role("list", name="Users of each group, as bars")).to_have_count(0)
    await expect(table.get_by_role("row", name="Total")).to_have_text("Total6100 %24,500.58,166.833")
    await expect(page).to_have_url(re.compile("&show=table$"))
    async with page.expect_download() as download:
        await page.get_by_role("button", name="CSV").first.click()
    file = await download.value
    assert file.suggested_filename == "campaigns.csv"
    await file.save_as(tmp_path / "campaigns.csv")
    text = (tmp_path / "campaigns.csv").read_bytes().decode("utf-8-sig")
    assert list(csv.reader(text.splitlines())) == [
        ["initial_campaign.utm_source", "users", "value_sum", "value_average", "users_with_value"],
        ["google", "3", "25000.5", "12500.25", "2"],
        ["", "1", "", "", "0"],
        # It is no formula.
        ["'" + _HOSTILE, "1", "-500", "-500", "1"],
        ["newsletter", "1", "", "", "0"],
        ["Total", "6", "24500.5", repr(24500.5 / 3), "3"],
    ]
    assert text.endswith("\r\n")


async def test_more_groups_than_the_report_has_are_said(visit: Visit, api: Api) -> None:
    batch = [{"user_id": str(number), "campaign": {"utm_term": f"term {number}"}} for number in range(101)]
    assert api.batch(batch).status_code == 201
    page = await _open(visit, api.application.management_token, "?by=initial_campaign.utm_term")
    await expect(page.locator(".facts")).to_contain_text("Users created101Groupsmore than 100")
    await expect(page.get_by_role("row", name="All other groups 1 < 1 %")).to_have_count(1)
    await page.get_by_role("button", name="Show up to 1,000").click()
    await expect(page.locator(".facts")).to_contain_text("Groups101")
    await expect(_bars(page)).to_have_count(101)


async def test_users_over_time_are_columns_that_arrow_keys_read(visit: Visit, campaigns: Api) -> None:
    page = await _open(visit, campaigns.application.management_token, "?period=90d&interval=day")
    today = datetime.now(UTC).date()

    def words(days: int) -> str:
        day = today - timedelta(days=days)
        return f"{day.day} {day:%b %Y}".replace("Sep ", "Sept ")

    chart = page.get_by_role("group", name="All users")
    await expect(chart.get_by_role("img")).to_have_count(90)
    await chart.get_by_role("img").last.focus()
    await expect(chart.get_by_role("img").last).to_have_attribute("aria-label", f"{words(0)} (in part): 1 user")
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator(".reading").first).to_have_text(f"{words(1)}: 1 user")
    await page.keyboard.press("Home")
    await expect(page.locator(".reading").first).to_have_text(f"{words(89)}: 0 users")
    await page.keyboard.press("Shift+Tab")
    await expect(page.locator(".reading").first).to_have_text(f"{words(89)}{words(0)}")
    # The charts of the groups have the same scale.
    await expect(page.get_by_role("group", name="newsletter")).to_have_count(1)
    await page.get_by_role("button", name="Months").click()
    await expect(chart.get_by_role("img").last).to_have_accessible_name(re.compile(rf"^{today:%B %Y} .*: \d users?$"))
    await page.get_by_role("group", name="Show the time as").get_by_role("button", name="Table").click()
    table = page.get_by_role("table", name="Users of the largest groups over time")
    await expect(table.get_by_role("row", name=f"{today:%B %Y}")).to_be_visible()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="CSV").last.click()
    lines = (await (await download.value).path()).read_text("utf-8-sig").splitlines()
    assert lines[0] == "month_from,initial_campaign.utm_source,users"
    assert sum(int(row[-1]) for row in csv.reader(lines[1:])) == len(_USERS)
    # A thousand years have no column for each month.
    await page.evaluate("location.hash = '#/campaigns?period=custom&from=1026-01-01'")
    await expect(page.locator(".facts")).to_contain_text("Users created6")
    await expect(chart.get_by_role("img").first).to_have_attribute(
        "aria-label", re.compile("^[A-Z][a-z]+ 199\\d .*0 users$")
    )


async def test_an_application_without_users_learns_how_to_begin(visit: Visit, api: Api) -> None:
    page = await visit("/console#/campaigns")
    await sign_in(page, api.application.management_token)
    await page.get_by_role("button", name="Show all time").click()
    await expect(page.get_by_role("heading", name="No users yet")).to_be_visible()
    await expect(page.get_by_text('"campaign":{"utm_source":"google"}')).to_be_visible()


async def test_another_application_has_its_own_report(visit: Visit, globex: Product) -> None:
    page = await _open(visit, globex.tokens.of[Scope.READ_CAMPAIGNS])
    await expect(page.locator(".facts")).to_contain_text("Users created2")
    # The token may not read users, so nothing leads to them.
    await expect(_bars(page)).to_have_count(0)
    await expect(page.get_by_role("list", name="Users of each group, as bars")).to_contain_text("not set 2")


async def test_a_wrong_filter_is_explained(visit: Visit, guard: Guard, campaigns: Api) -> None:
    guard.expect("status of 400")
    page = await _open(visit, campaigns.application.management_token)
    await page.get_by_label("Only users with").fill("metadata.value ~ 1")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("The filter cannot be read at column 16: expected")
    await expect(page.get_by_label("Only users with")).to_have_attribute("aria-invalid", "true")


async def test_a_slow_report_is_explained_and_a_waiting_one_keeps_its_place(
    visit: Visit, guard: Guard, campaigns: Api
) -> None:
    page = await visit("/console#/campaigns?period=all")
    slow = {
        "code": 9,
        "status": "FAILED_PRECONDITION",
        "message": "The query took longer than 20 seconds.",
        "details": [{"@type": "", "reason": "QUERY_TOO_SLOW"}],
    }
    await page.route("**/v1/campaigns:report", lambda route: route.fulfill(status=400, json=slow))
    guard.expect("status of 400")
    await sign_in(page, campaigns.application.management_token)
    await expect(page.get_by_role("alert")).to_contain_text("QUERY_TOO_SLOW")
    await page.unroute("**/v1/campaigns:report")
    async with held(page, "**/v1/campaigns:report"):
        await page.get_by_role("button", name="Show the last 7 days").click()
        await expect(page.get_by_text("Loading")).to_be_attached()
    await expect(page.locator(".facts")).to_contain_text("Users created2")


async def test_the_report_is_accessible_in_every_look(visit: Visit, acme: Product) -> None:
    page = await _open(visit, acme.tokens.admin, "?value=metadata.sales_info.lifetime_value&interval=week")
    await check_every_look(page)
    await page.get_by_role("button", name="Table").first.click()
    await page.get_by_role("button", name="Table").last.click()
    await check_accessible(page)
    assert await page.evaluate("document.documentElement.scrollWidth") == NARROW
