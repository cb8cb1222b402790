"""The catalogue of metadata: paths with types, users and shapes, type conflicts first, and no value of anybody."""

import re
from typing import Any, Final
from urllib.parse import parse_qs

import pytest
from playwright.async_api import Locator, Page, Route, expect

from server.model import Scope
from tests.console.actions import sign_in
from tests.console.conftest import Visit
from tests.console.data.world import Product
from tests.console.guard import Guard
from tests.console.observing import check_every_look
from tests.support.stack import Api

_SECRET: Final = "Nobody may read this"
_HTML: Final = "<b>bold</b>"

_USERS: Final[list[dict[str, Any]]] = [
    {"plan": "team", "mail": "john@acmeinc.com", "note": _SECRET},
    {"plan": "3", "a.b": {"c": 1}, "note": _SECRET},
    {"plan": 3, "a.b": {"c": 25}},
    {"plan": {"name": "team"}, _HTML: True},
    {"plan": True, "mail": "mary@acmeinc.com"},
]


@pytest.fixture
def metadata(api: Api) -> Api:
    """An application with a user for each metadata in _USERS, and another user without metadata."""
    batch = [{"user_id": str(number), "metadata": each} for number, each in enumerate(_USERS)]
    assert api.batch([*batch, {"user_id": "none"}]).json() == {"saved_count": len(_USERS) + 1}
    return api


async def _open(visit: Visit, token: str, query: str = "") -> Page:
    page = await visit(f"/console#/catalogue{query}")
    await sign_in(page, token)
    await expect(page.get_by_role("table").first).to_be_visible()
    return page


def _row(page: Page, path: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("button", name=f"Copy path {path}", exact=True))


async def test_paths_have_types_users_and_shapes_and_no_values(visit: Visit, metadata: Api) -> None:
    page = await _open(visit, metadata.application.management_token)
    await expect(page).to_have_title("Catalogue · Userfold")
    await expect(page.get_by_text("Computed from all 6 users. The catalogue is at most a minute old.")).to_be_visible()
    conflicts = page.get_by_role("table", name="Paths with a type conflict")
    await expect(conflicts.get_by_role("row")).to_have_count(2)
    plan = _row(page, "metadata.plan")
    await expect(plan).to_contain_text(re.compile("string40 %.*number20 %"))
    await expect(_row(page, "metadata.mail")).to_contain_text("stringemail address233 %")
    await expect(_row(page, 'metadata["a.b"].c')).to_contain_text("numberintegers, 1 to 2 digits233 %")
    await expect(page.get_by_role("table", name="Paths", exact=True)).to_contain_text(f'metadata["{_HTML}"]')
    text = await page.get_by_role("main").inner_text()
    assert [each for each in (_SECRET, "team", "john@", "25") if each in text] == []
    await check_every_look(page)


async def test_the_links_find_the_users_of_a_path_and_of_each_type(visit: Visit, metadata: Api) -> None:
    page = await _open(visit, metadata.application.management_token)
    found = {}
    for path in ("metadata.plan", "metadata.mail", 'metadata["a.b"].c'):
        for link in await _row(page, path).get_by_role("link").all():
            address = await link.get_attribute("href")
            assert address
            [written] = parse_qs(address.partition("?")[2])["filter"]
            answer = metadata.client.post("/v1/users:count", json={"filter": written}, headers=metadata.reader)
            found[path, await link.inner_text()] = answer.json()["count"]
    assert found == {
        ("metadata.plan", "strings"): 2,
        ("metadata.plan", "numbers"): 1,
        ("metadata.plan", "booleans"): 1,
        ("metadata.plan", "objects or arrays"): 1,
        ("metadata.plan", "5"): 5,
        ("metadata.mail", "2"): 2,
        ('metadata["a.b"].c', "2"): 2,
    }


async def test_paths_are_searched_ordered_and_in_the_link(visit: Visit, metadata: Api) -> None:
    page = await _open(visit, metadata.application.management_token)
    await page.get_by_label("Order").select_option("users")
    rows = page.get_by_role("table", name="Paths", exact=True).get_by_role("rowheader")
    await expect(rows.first).to_contain_text('metadata["a.b"]')
    await page.get_by_label("Search the paths").fill("MAIL")
    await expect(rows).to_have_count(1)
    await page.get_by_label("Conflicts only (1)").check()
    await expect(page.get_by_role("heading", name="No conflicts")).to_be_visible()
    await page.get_by_label("Search the paths").fill("plan")
    await expect(page.get_by_role("row")).to_have_count(2)
    again = await _open(visit, metadata.application.management_token, page.url.partition("#/catalogue")[2])
    await expect(again.get_by_role("row")).to_have_count(2)
    await expect(again.get_by_label("Conflicts only (1)")).to_be_checked()
    await expect(again.get_by_label("Search the paths")).to_have_value("plan")
    await again.get_by_role("heading", name="Catalogue").focus()
    await again.keyboard.press("j")
    await expect(again.get_by_role("link", name="5 users with metadata.plan")).to_be_focused()
    await again.get_by_role("button", name="Copy path metadata.plan").click()
    await expect(again.get_by_role("status")).to_contain_text("Copied")


async def test_a_sample_is_said_to_be_one(visit: Visit, metadata: Api) -> None:
    page = await visit("/console#/catalogue")
    sampled = {
        "is_complete": False,
        "sampled_user_count": 2_000,
        "estimated_user_count": 1_040_000,
        "has_more_paths": True,
    }

    async def answer(route: Route) -> None:
        response = await route.fetch()
        await route.fulfill(response=response, json=await response.json() | sampled)

    await page.route("**/v1/metadata:catalogue", answer)
    await sign_in(page, metadata.application.management_token)
    await expect(page.get_by_text("random sample: 2,000 of about 1,040,000 users")).to_be_visible()
    await expect(
        page.get_by_text(re.compile(r"There are more paths: these are the \d that most users have"))
    ).to_be_visible()
    await expect(page.get_by_role("link", name="about 5 users with metadata.plan")).to_be_visible()


async def test_an_application_without_metadata_learns_how_to_begin(visit: Visit, api: Api) -> None:
    page = await visit("/console#/catalogue")
    await sign_in(page, api.application.management_token)
    await expect(page.get_by_role("heading", name="No users yet")).to_be_visible()
    await expect(page.get_by_text('"metadata":{"email":')).to_be_visible()


async def test_a_second_application_has_a_catalogue_of_its_own(visit: Visit, globex: Product) -> None:
    page = await _open(visit, globex.tokens.of[Scope.READ_USERS])
    await expect(page.get_by_role("rowheader")).to_have_text([re.compile("email"), re.compile("name")])


async def test_an_error_is_explained_and_another_token_is_asked_for(visit: Visit, guard: Guard, acme: Product) -> None:
    page = await visit("/console#/catalogue")
    slow = {
        "code": 9,
        "status": "FAILED_PRECONDITION",
        "message": "The query took longer than 5 seconds.",
        "details": [{"@type": "", "reason": "QUERY_TOO_SLOW"}],
    }
    await page.route("**/v1/metadata:catalogue", lambda route: route.fulfill(status=400, json=slow))
    guard.expect("status of 400")
    await sign_in(page, acme.tokens.admin)
    await expect(page.get_by_role("alert")).to_contain_text("QUERY_TOO_SLOW")
    other = await visit("/console#/catalogue")
    await sign_in(other, acme.tokens.of[Scope.READ_CAMPAIGNS])
    await expect(other.get_by_role("heading", name="Catalogue: not allowed")).to_be_visible()
