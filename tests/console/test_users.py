"""The list of users: its pages, its place, its columns, and the filters that it shows, writes and keeps."""

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import pytest
from playwright.async_api import Locator, Page, Request, Route, expect

from server.model import Scope
from tests.console.actions import sign_in
from tests.console.browser import held
from tests.console.conftest import Visit
from tests.console.data.hostile import LONG_ID, SCRIPT
from tests.console.data.world import Product
from tests.console.guard import Guard
from tests.console.observing import check_accessible, check_every_look
from tests.support.stack import Api

ROW_HEIGHT: Final = 36


def table(page: Page) -> Locator:
    """The list, which scrolls."""
    return page.get_by_role("region", name="List of users")


def row(page: Page, user_id: str) -> Locator:
    """The row of a user."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=user_id, exact=True))


def count(page: Page) -> Locator:
    """The line that says how many users match."""
    return page.locator(".page-head p")


async def opened(visit: Visit, token: str, query: str = "", **how: Any) -> Page:
    """The list that a link leads to."""
    page = await visit(f"/console#/users{query}", **how)
    await sign_in(page, token)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    return page


async def scroll_to(page: Page, number: int) -> None:
    """Scroll the list to the row with this number, from 0, as soon as enough of the list is known."""
    place = "([list, top]) => { list.scrollTop = top; return list.scrollTop === top; }"
    await page.wait_for_function(place, arg=[await table(page).element_handle(), number * ROW_HEIGHT])


async def apply(page: Page, text: str) -> None:
    """Write a filter, and apply it."""
    await page.get_by_role("textbox", name="Filter", exact=True).fill(text)
    await page.keyboard.press("Enter")


def searches(page: Page) -> list[dict[str, Any]]:
    """The bodies of the requests for pages of users, as they are sent from now on."""
    bodies: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.url.endswith("/v1/users:search"):
            bodies.append(json.loads(request.post_data or ""))

    page.on("request", note)
    return bodies


@pytest.fixture
def many(api: Api) -> Api:
    """An application with 1,500 users: more than are kept in memory."""
    users = [{"user_id": f"user-{number:04}", "metadata": {"n": number}} for number in range(1_500)]
    assert api.batch(users).status_code == 201
    return api


async def test_users_are_listed_with_their_values(visit: Visit, acme: Product) -> None:
    page = await opened(visit, acme.tokens.of[Scope.READ_USERS], "?order=user_id+desc")
    await expect(count(page)).to_have_text(re.compile(r"^\d\d users$"))
    first = row(page, "usr_1059")
    await expect(first).to_contain_text('"zoe.williams@')
    await expect(first).to_contain_text('"Zoe Williams"')
    member = next(user for user in reversed(acme.users) if "company_id" in user)
    await row(page, member["user_id"]).get_by_role("link", name=member["company_id"]).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"Users of company {member['company_id']}")


async def test_everybody_can_use_the_list(visit: Visit, acme: Product) -> None:
    page = await opened(visit, acme.tokens.admin)
    await page.get_by_role("button", name="Build a filter").click()
    await expect(page.locator("a[data-row]").first).to_be_visible()
    await check_every_look(page)


async def test_a_long_list_draws_and_keeps_only_what_is_near(visit: Visit, many: Api) -> None:
    page = await opened(visit, many.application.management_token, "?order=user_id&columns=metadata.n")
    await expect(count(page)).to_have_text("1,500 users")
    requests = searches(page)
    # As far as is known, until all is.
    while await table(page).get_by_role("table").get_attribute("aria-rowcount") == "-1":
        known = await table(page).evaluate("e => e.scrollTop = e.scrollHeight")
        await expect(table(page)).not_to_have_js_property("scrollHeight", known)
        assert await page.locator("tr").count() < 100
    await table(page).evaluate("e => e.scrollTop = e.scrollHeight")
    await expect(row(page, "user-1499")).to_contain_text("1499")
    assert await table(page).evaluate("e => e.querySelector('table').clientHeight") == ROW_HEIGHT * 1_501
    assert [each["page_token"] for each in requests].count("") == 0
    await table(page).evaluate("e => e.scrollTop = 0")
    await expect(row(page, "user-0000")).to_be_visible()
    assert [each["page_token"] for each in requests].count("") == 1, "the first page has left the memory"


async def test_one_who_comes_back_finds_the_place_again(visit: Visit, many: Api) -> None:
    page = await opened(visit, many.application.management_token, "?order=user_id")
    await expect(row(page, "user-0000")).to_be_visible()
    for _ in range(3):
        await page.keyboard.press("j")
    await page.keyboard.press("k")
    await expect(page.get_by_role("link", name="user-0001")).to_be_focused()
    await scroll_to(page, 80)
    await expect(table(page)).to_be_focused()
    await page.get_by_role("link", name="user-0085").focus()
    await row(page, "user-0085").click()
    await expect(page).to_have_url(re.compile(r"#/user/user-0085$"))
    assert many.update({"user_id": "user-0085", "company_id": "changed"}).status_code == 201
    await page.go_back()
    await expect(page.get_by_role("link", name="user-0085")).to_be_focused()
    assert await table(page).evaluate("e => e.scrollTop") == 80 * ROW_HEIGHT
    await expect(row(page, "user-0085")).to_contain_text("changed")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"#/user/user-0086$"))


async def test_a_user_who_is_gone_leaves_no_gap_and_no_double(visit: Visit, many: Api) -> None:
    page = await opened(visit, many.application.management_token, "?order=user_id")
    await scroll_to(page, 110)
    await expect(row(page, "user-0110")).to_be_visible()
    await page.get_by_role("link", name="Inbox").click()
    token = {"Authorization": f"Bearer {many.application.management_token}"}
    assert many.client.delete("/v1/users/user-0095", headers=token).status_code == 200
    await page.go_back()
    await scroll_to(page, 90)
    # Each page of the list is requested again as soon as the one before it is known to have changed.
    await page.wait_for_function(
        """() => {
          const shown = [...document.querySelectorAll("a[data-row]")].map((each) => Number(each.textContent.slice(5)));
          const follows = (number, index) => index === 0 || number === shown[index - 1] + (number === 96 ? 2 : 1);
          return [94, 96, 101].every((each) => shown.includes(each)) && shown.every(follows);
        }"""
    )


async def test_the_order_is_chosen_in_the_heads_and_beside_the_filter(visit: Visit, acme: Product) -> None:
    page = await opened(visit, acme.tokens.admin, "?filter=" + quote("company_id:* AND metadata.plan:*"))
    await page.get_by_role("button", name="User id").click()
    await expect(page.get_by_role("columnheader", name="User id")).to_have_attribute("aria-sort", "ascending")
    await expect(page.get_by_role("combobox", name="Order")).to_have_value("user_id")
    ids = [user["user_id"] for user in acme.users if "company_id" in user]
    await expect(page.locator("a[data-row]").first).to_have_text(ids[0])
    await page.get_by_role("combobox", name="Order").select_option("By id, backwards")
    await expect(page.locator("a[data-row]").first).to_have_text(ids[-1])
    await expect(page).to_have_url(re.compile(r"order=user_id\+desc"))


async def test_columns_are_chosen_asked_for_alone_and_remembered(visit: Visit, acme: Product) -> None:
    page = await opened(visit, acme.tokens.admin, "?order=user_id+desc")
    await page.get_by_role("button", name="Columns").click()
    await expect(page.get_by_role("checkbox", name="First seen", exact=True)).to_be_checked()
    await check_accessible(page)
    requests = searches(page)
    for name in ("metadata.name", "metadata.email", "company_id", "stored_time"):
        await page.get_by_role("button", name=f"Remove {name}", exact=True).click()
    await page.get_by_role("checkbox", name="Operating system", exact=True).check()
    path = page.get_by_role("textbox", name="Find or type a path")
    await path.fill("days")
    await expect(page.get_by_role("checkbox")).to_have_count(1)
    await expect(page.get_by_text(re.compile("^metadata.product.limits.retention_days"))).to_be_visible()
    await path.fill("product.seats")
    await expect(page.get_by_role("button", name="Add this path")).to_be_disabled()
    await path.fill("metadata.product.seats")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Move metadata.product.seats to the left").click()
    heads = ["User id", "First seen", "metadata.product.seats", "Operating system"]
    await expect(page.get_by_role("columnheader")).to_have_text([re.compile(each) for each in heads])
    await expect(row(page, "usr_1059").locator(".value.number")).to_be_visible()
    assert requests[-1]["fields"] == ["user_id", "created_time", "metadata.product.seats", "user_agent"]
    link = page.url
    stored = await page.evaluate("JSON.stringify({...localStorage})")
    assert "metadata.product.seats" in stored
    assert "usr_" not in stored
    await page.goto("about:blank")
    await page.goto("/console")
    await sign_in(page, acme.tokens.admin)
    await expect(page.get_by_role("columnheader")).to_have_text([re.compile(each) for each in heads])
    other = await opened(visit, acme.tokens.admin, link.partition("#/users")[2])
    await expect(other.get_by_role("columnheader")).to_have_text([re.compile(each) for each in heads])


async def test_a_filter_is_built_from_rows_applied_and_undone(visit: Visit, acme: Product) -> None:
    page = await opened(visit, acme.tokens.admin)
    await page.get_by_role("button", name="Build a filter").click()
    text = page.get_by_role("textbox", name="Filter", exact=True)
    suggested = page.locator("datalist option")
    await expect(suggested.and_(page.locator("[value='metadata.sales_info.lifetime_value']"))).to_be_attached()
    await page.get_by_label("Field").fill("metadata.sales_info.lifetime_value")
    await expect(page.get_by_label("Type of the value")).to_have_value("number")
    await page.get_by_label("Relation").select_option("is at least")
    await page.get_by_label("Value", exact=True).fill("many")
    await expect(page.get_by_text("Type a number.")).to_be_visible()
    await page.get_by_label("Value", exact=True).fill("9600")
    await page.get_by_role("button", name="or …").click()
    await page.get_by_label("Field").nth(1).fill("plan")
    await expect(page.get_by_text("There is no such field.")).to_be_visible()
    await page.get_by_label("Field").nth(1).fill("metadata.product.is_trial")
    await expect(page.get_by_label("Type of the value").nth(1)).to_have_value("boolean")
    await page.get_by_role("button", name="and …").click()
    await page.get_by_label("Field").nth(2).fill("created_time")
    await page.get_by_label("Relation").nth(2).select_option("is at or after")
    await page.get_by_label("Time in UTC").fill("2026-01-31T12:30")
    written = (
        "(metadata.sales_info.lifetime_value >= 9600 OR metadata.product.is_trial = true)"
        ' AND created_time >= "2026-01-31T12:30:00Z"'
    )
    await expect(text).to_have_value(written)
    await page.get_by_role("button", name="Apply").click()
    expected = sum(
        user["metadata"]["sales_info"]["lifetime_value"] >= 9600 or user["metadata"]["product"]["is_trial"]
        for user in acme.users
    )
    await expect(count(page)).to_have_text(f"{expected} users")
    assert quote("lifetime_value >= 9600", safe="").replace("%20", "+") in page.url
    await page.go_back()
    await expect(text).to_have_value("")
    await expect(page.get_by_label("Field")).to_have_value("")
    await page.go_forward()
    await expect(page.get_by_label("Field")).to_have_count(3)
    await page.get_by_role("button", name="Remove the condition created_time").click()
    await expect(text).to_have_value(written[1:].partition(")")[0])


_ROUND_TRIPS: Final[Sequence[tuple[str, Sequence[str], str]]] = (
    ("company_id = acme", ["company_id", "is", "acme"], 'company_id = "acme"'),
    ("metadata.n>=-1.5e3", ["metadata.n", "is at least", "number", "-1.5e3"], "metadata.n >= -1.5e3"),
    ('metadata."a.b"["$set"] != "5 \\* 3"', ['metadata["a.b"]["$set"]', "is not", "text", "5 * 3"], ""),
    ("NOT metadata.x:*", ["metadata.x", "does not exist"], "metadata.x = null"),
    ("-metadata.tags:'v\\'p'", ["metadata.tags", "is not, nor has the element,", "text", "v'p"], ""),
    ("metadata.yes != true", ["metadata.yes", "is not", "yes or no", "true"], "metadata.yes != true"),
    ('stored_time < "2026-01-02T03:04:05Z"', ["stored_time", "is before", "2026-01-02T03:04:05"], ""),
    ('stored_time < "2026-01-02"', ["stored_time", "is before", "2026-01-02"], ""),
    ('user_id = "\\u0000\\ud83e\\udd8a"', ["user_id", "is", "\0🦊"], ""),
)


async def test_the_builder_reads_what_is_written_and_leaves_what_it_cannot_show(visit: Visit, acme: Product) -> None:
    page = await opened(visit, acme.tokens.admin)
    text = page.get_by_role("textbox", name="Filter", exact=True)
    await page.get_by_role("button", name="Build a filter").click()
    for written, shown, again in _ROUND_TRIPS:
        await text.fill("")
        await expect(page.get_by_label("Field")).to_have_count(1)
        await expect(page.get_by_label("Field")).to_have_value("")
        await text.fill(written)
        controls = page.locator(".condition :is(input, select)")
        await expect(controls.first).to_have_value(shown[0])
        values = "es => es.map(e => e.selectedOptions ? e.selectedOptions[0].text : e.value)"
        assert await controls.evaluate_all(values) == shown, written
        if again:
            await page.get_by_role("button", name="and …").click()
            await expect(text).to_have_value(again)
    await text.fill("a = 1 OR metadata.b = 2 metadata.c = 3 AND (metadata.d = 4)")
    await expect(page.get_by_role("group")).to_have_count(3)
    for beyond in ("NOT (metadata.a = 1 OR metadata.b = 2)", "NOT metadata.a < 1", "metadata.a = ", "metadata.a = 5*"):
        await text.fill(beyond)
        await expect(page.get_by_text("The rows cannot show what this filter says.")).to_be_visible()
    await page.get_by_role("button", name="Begin anew with rows").click()
    await expect(text).to_have_value("")


async def test_an_error_of_a_filter_is_marked_at_its_column(visit: Visit, acme: Product, guard: Guard) -> None:
    guard.expect("status of 400")
    page = await opened(visit, acme.tokens.admin)
    await apply(page, 'metadata.name = "🦊" AND company_id ~ acme')
    await expect(page.get_by_role("alert")).to_contain_text("cannot be read at column 36: expected a dot")
    await expect(page.get_by_role("alert").locator("b")).to_have_text("~")
    await check_accessible(page)
    await apply(page, "company_id =")
    await expect(page.get_by_role("alert")).to_contain_text("cannot be read at column 13: expected")
    await apply(page, "company_id = contoso")
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(count(page)).to_have_text(re.compile(r"^\d+ users?$"))


async def test_what_cannot_be_counted_quickly_is_listed_all_the_same(visit: Visit, many: Api, guard: Guard) -> None:
    guard.expect("status of 400")
    page = await visit("/console#/users")

    async def refuse(route: Route) -> None:
        detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "QUERY_TOO_SLOW", "domain": "userfold"}
        await route.fulfill(status=400, json={"code": 9, "message": "too slow", "details": [detail]})

    await page.route("**/v1/users:count", refuse)
    await sign_in(page, many.application.management_token)
    await expect(count(page)).to_have_text("More than can be counted quickly")
    await expect(page.get_by_role("link", name=re.compile("^user-")).first).to_be_visible()


async def test_an_application_without_users_shows_a_first_step_that_works(visit: Visit, api: Api) -> None:
    page = await opened(visit, api.application.management_token)
    await expect(page.get_by_role("heading", name="No users yet")).to_be_visible()
    await check_accessible(page)
    command = await page.locator(".command pre").inner_text()
    assert "COLLECTOR_KEY" in command
    shell = await asyncio.create_subprocess_shell(
        command.replace("COLLECTOR_KEY", api.application.collector_key).replace("curl", "curl --silent --noproxy '*'"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert (await shell.communicate())[0] == b"{}"
    await apply(page, 'company_id = "67890"')
    await expect(row(page, "12345")).to_contain_text("John Doe")
    await apply(page, "company_id = nobody")
    await expect(page.get_by_role("heading", name="No user matches this filter")).to_be_visible()
    await page.get_by_role("link", name="Show all users").click()
    await expect(count(page)).to_have_text("1 user")


async def test_filters_are_saved_followed_and_deleted_in_this_browser_alone(
    visit: Visit, acme: Product, globex: Product
) -> None:
    page = await opened(visit, acme.tokens.admin)
    email = acme.users[0]["metadata"]["email"]
    await apply(page, f'metadata.email = "{email}"')
    await expect(count(page)).to_have_text("1 user")
    await page.get_by_role("button", name="Saved filters").click()
    await page.get_by_role("textbox", name="Name of the filter").fill("Ada")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Clear").click()
    await page.get_by_role("link", name="Ada", exact=True).click()
    await expect(page.get_by_role("textbox", name="Filter", exact=True)).to_have_value(re.compile(email))
    await check_accessible(page)
    await page.get_by_role("button", name="Sign out").click()
    # The link is the same, and what was read of the other application is forgotten.
    async with held(page, "**/v1/users:search"):
        await sign_in(page, globex.tokens.admin)
        await expect(table(page)).to_be_visible()
        await expect(page.locator("a[data-row]")).to_have_count(0)
    await expect(page.get_by_role("heading", name="No user matches this filter")).to_be_visible()
    await page.get_by_role("button", name="Saved filters").click()
    await expect(page.get_by_text("No filter is saved yet.")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await sign_in(page, acme.tokens.admin)
    await page.get_by_role("button", name="Saved filters").click()
    await page.get_by_role("button", name="Delete the saved filter Ada").click()
    await expect(page.get_by_text("No filter is saved yet.")).to_be_visible()
    assert email not in await page.evaluate("JSON.stringify({...localStorage})")


async def test_a_link_lists_the_users_of_a_company(visit: Visit, acme: Product) -> None:
    page = await opened(visit, acme.tokens.admin, "?company=contoso")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Users of company contoso")
    own = [user["user_id"] for user in acme.users if user.get("company_id") == "contoso"]
    await expect(page.locator("a[data-row]")).to_have_count(len(own))
    assert sorted(await page.locator("a[data-row]").all_inner_texts()) == own
    await page.get_by_role("link", name="As a filter").click()
    await expect(page.get_by_role("textbox", name="Filter", exact=True)).to_have_value('company_id = "contoso"')
    await expect(count(page)).to_have_text(f"{len(own)} users")
    await page.goto("/console#/users?company=nobody%20<b>here")
    await expect(page.get_by_role("heading", name="There are no such users")).to_be_visible()


async def test_another_application_sees_its_own_users_alone(visit: Visit, globex: Product) -> None:
    page = await opened(visit, globex.tokens.admin, "?order=user_id")
    await expect(count(page)).to_have_text("2 users")
    await expect(page.locator("a[data-row]")).to_have_text(["globex-only", "usr_1000"])
    await expect(row(page, "usr_1000")).to_contain_text("Hank Scorpio")


async def test_a_token_without_the_scope_sees_no_list(visit: Visit, acme: Product) -> None:
    page = await opened(visit, acme.tokens.without_scopes)
    await expect(count(page)).to_contain_text("The token needs the scope read:users")
    await expect(page.get_by_role("combobox")).to_have_count(0)


async def test_hostile_values_are_text(visit: Visit, acme: Product) -> None:
    columns = 'metadata.name,company_id,metadata.text,metadata.items,metadata["__proto__"],metadata["a.b"],metadata[""]'
    page = await opened(visit, acme.tokens.admin, f"?order=user_id&columns={quote(columns)}")
    await expect(row(page, "hostile-html")).to_contain_text(json.dumps(SCRIPT))
    await expect(row(page, "hostile-long-text")).to_contain_text("1,000,000 characters")
    await expect(row(page, "hostile-names").get_by_role("cell")).to_have_text(["–", "–", "–", "–", *['"own"'] * 3])
    await expect(row(page, SCRIPT)).to_contain_text("An id of HTML")
    await expect(row(page, "hostile-list")).to_contain_text("[0, 1, 2")
    assert {
        await each.evaluate("e => e.offsetHeight") for each in await page.locator("tbody tr:not(.spacer)").all()
    } == {ROW_HEIGHT}
    assert await page.evaluate("window.harmed") is None
    for user_id in ("..", "a/b", "a?b#c", LONG_ID):
        await apply(page, f"user_id = {json.dumps(user_id)}")
        await expect(count(page)).to_have_text("1 user")
        await page.get_by_role("link", name=user_id, exact=True).click()
        await expect(page).to_have_url(re.compile(r"#/user/" + re.escape(quote(user_id, safe=".!~*'()")) + "$"))
        await page.go_back()
