"""The page Health: how Userfold is, what to do, and the numbers of a server. While it is away: test_outages.py."""

from typing import Any

from playwright.async_api import Route, expect

from tests.console.actions import sign_in
from tests.console.conftest import Visit
from tests.console.data.world import Product
from tests.console.observing import check_every_look

_FULL = {"used": 6_000, "limit": 10_000}


async def test_all_is_well_and_every_token_may_see_it(visit: Visit, acme: Product) -> None:
    page = await visit("/console#/health")
    await sign_in(page, acme.tokens.without_scopes)
    await expect(page).to_have_title("Health · Userfold")
    await expect(page.get_by_role("status").filter(has_text="All is well.")).to_be_visible()
    await expect(page.get_by_text("server and gateway 0.")).to_be_visible()
    await expect(page.get_by_text("of 10,000 places taken")).to_be_visible()
    await expect(page.get_by_role("row", name="number 1 primary")).to_be_visible()
    await expect(page.get_by_text("which is the latest: no migration is pending")).to_be_visible()
    await expect(page.get_by_text("These are the numbers of one server process")).to_be_visible()
    await check_every_look(page)


async def test_what_is_wrong_is_said_with_what_to_do(visit: Visit, acme: Product) -> None:
    page = await visit("/console#/health")
    await page.clock.install()
    real: dict[str, Any] = {}
    shown: dict[str, Any] = {}

    async def answer(route: Route) -> None:
        if not shown:
            response = await route.fetch()
            real.update(await response.json())
            await route.fulfill(response=response)
        else:
            await route.fulfill(json=shown)

    await page.route("**/v1/status", answer)
    await sign_in(page, acme.tokens.admin)
    says = page.get_by_role("status").filter(has_text="All is well.")
    await expect(says).to_be_visible()
    database, updates = real["database"], real["updates"]
    secondaries = [
        {"name": "db-1", "state": "primary"},
        {"name": "db-2", "state": "secondary", "lag_seconds": 95.2},
        {"name": "", "state": "unreachable"},
    ]
    unwell: list[tuple[dict[str, Any], list[str]]] = [
        (
            {"is_ready": False, "not_ready_reason": "MongoDB does not answer"},
            ["The server cannot work: MongoDB does not"],
        ),
        ({"gateway_version": "0.1.9"}, ["The gateway has version 0.1.9, and the server"]),
        (
            {"database": database | {"members": [{"name": "db-1", "state": "secondary"}]}},
            ["MongoDB has no primary, so nothing can be written."],
        ),
        (
            {"database": database | {"members": secondaries}},
            ["The member db-2 of MongoDB is 95 seconds behind.", "The member number 3 of MongoDB does not answer."],
        ),
        ({"database": database | {"is_migrating": True, "schema_version": 1}}, ["Stored data are being migrated"]),
        (
            {"updates": updates | {"p95_seconds": 1.26, "median_seconds": 0.4}},
            ["one in twenty takes longer than 1.3 s"],
        ),
        ({"updates": updates | {"pending": _FULL}}, ["The queue of updates is 60 % full.", "6,000 of 10,000 places"]),
        ({"calls": _FULL}, ["The room for calls is 60 % full."]),
    ]
    main = page.get_by_role("main")
    for change, texts in unwell:
        shown.clear()
        shown.update(real | change)
        await page.clock.fast_forward(3_000)
        for text in texts:
            await expect(main).to_contain_text(text)
        await expect(says).to_have_count(0)
    shown.clear()
    await page.clock.fast_forward(3_000)
    await expect(says).to_be_visible()
