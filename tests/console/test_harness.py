"""What the other tests here rely on: that bad pages are noticed, and that the applications hold what was sent."""

from collections.abc import Sequence
from typing import Any

import pytest
from playwright.async_api import Error, Page, expect

from server.model import Scope
from tests.console.browser import NARROW, Visitor, held
from tests.console.conftest import Visit
from tests.console.data.hostile import LONG_TEXT, hostile_users
from tests.console.data.world import Product, World
from tests.console.guard import Guard
from tests.console.observing import axe, layout_shifts, start_times
from tests.support.expected_profile import merged
from tests.support.stack import Api, Stack

_BAD: dict[str, tuple[str, Sequence[str]]] = {
    "an error on the console": ("console.error('a mistake')", ["console error: a mistake"]),
    "a warning on the console": ("console.warn('a doubt')", ["console warning: a doubt"]),
    "an uncaught error": ("setTimeout(() => { throw new Error('a bug') })", ["uncaught error: a bug"]),
    "a rejection that nothing handles": ("void Promise.reject(new Error('a bug'))", ["uncaught error: a bug"]),
    "a response from 400 on": ("fetch('/nowhere')", ["status of 404"]),
    "an inline script": (
        "document.head.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))",
        ["content security policy directive 'script-src"],
    ),
    "an inline style": ("document.body.innerHTML = '<p style=\"color: red\">'", ["directive 'style-src"]),
    "a picture from elsewhere": (
        "await new Promise((onerror) => Object.assign(new Image(), {src: 'https://userfold.example/x.png', onerror}))",
        ["userfold.example/x.png' violates", "img-src"],
    ),
}


# Without polling: a page's content security policy refuses what a poll evaluates.
_FIRST_CONTENT = """
() => new Promise((done) => new PerformanceObserver((list) => {
  if (list.getEntriesByName("first-contentful-paint").length) done();
}).observe({ type: "paint", buffered: true }))
"""


@pytest.mark.parametrize("name", _BAD)
async def test_what_a_page_must_not_do_is_found(visit: Visit, guard: Guard, name: str) -> None:
    script, expected = _BAD[name]
    page = await visit("/")
    await page.evaluate(f"async () => {{ {script} }}")
    # What the page does later has been done by then: a promise, a timer of no delay, a response of the listener.
    await page.evaluate("() => fetch('healthz').then((response) => response.text())")
    found = "\n".join(guard.complaints()).lower()
    assert [each for each in expected if each.lower() not in found] == []
    guard.expect(".")


async def test_a_request_to_another_origin_is_found_and_reaches_nothing(visit: Visit, guard: Guard) -> None:
    page = await visit("/")
    with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        await page.goto("http://userfold.example/")
    await page.close()
    guard.expect("^request to another origin: GET http://userfold.example/$")
    guard.expect("^failed request: GET http://userfold.example/: net::ERR_NAME_NOT_RESOLVED$")


async def test_what_is_expected_must_happen(visitor: Visitor) -> None:
    guard = Guard(visitor.site)
    guard.expect("status of 401")
    assert guard.complaints() == ["expected, and not found: status of 401"]


async def test_what_moves_after_the_first_content_is_found(visit: Visit) -> None:
    page = await visit("/")
    assert await layout_shifts(page) == []
    await page.evaluate("document.querySelector('h1').insertAdjacentHTML('beforebegin', '<p>late</p>')")
    found = await layout_shifts(page)
    assert found
    assert "main" in found[0] or "h1" in found[0]


async def test_what_axe_finds_is_named_with_its_place(visit: Visit) -> None:
    page = await visit("/")
    await page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    [found] = await axe(page)
    assert found.startswith("button-name (critical, 1 elements): ")
    assert "\n  button: " in found


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_page_has_the_theme_and_the_size_that_it_is_opened_with(visit: Visit, theme: Any) -> None:
    page = await visit("/", theme=theme, width=NARROW, reduced_motion=True)
    queries = [f"(prefers-color-scheme: {theme})", f"(width: {NARROW}px)", "(prefers-reduced-motion: reduce)"]
    assert await page.evaluate("(queries) => queries.map((each) => matchMedia(each).matches)", queries) == [True] * 3


async def test_the_times_of_a_start_are_reported(visit: Visit) -> None:
    page = await visit("/")
    await page.evaluate(_FIRST_CONTENT)
    await page.evaluate("performance.mark('interactive')")
    times = await start_times(page)
    assert 0 < times["first content"] < times["interactive"]
    assert set(times) == {"first content", "loaded", "end of long tasks", "interactive"}


async def test_a_response_is_held_back(visit: Visit) -> None:
    page = await visit("/")
    async with held(page, "**/readyz"):
        await page.evaluate(
            "() => { fetch('readyz').then((each) => each.json()).then(({status}) => { document.title = status }) }"
        )
        await expect(page).to_have_title("Userfold")
        assert await page.evaluate("performance.getEntriesByName(new URL('readyz', location)).length") == 0
    await expect(page).to_have_title("ready")


def _stored(stack: Stack, product: Product) -> dict[str, Any]:
    api = Api(stack.http, product.application)
    with api.client:
        answer = api.client.get("/v1/users", params={"page_size": 1000}, headers=api.reader)
        assert answer.status_code == 200, answer.text
        return {user["user_id"]: user for user in answer.json()["users"]}


def test_the_applications_hold_what_products_sent(stack: Stack, world: World) -> None:
    acme, globex = (_stored(stack, each) for each in (world.acme, world.globex))
    sent = {user["user_id"]: user for user in [*world.acme.users, *hostile_users()]}
    assert len(world.acme.users) == 60
    assert acme.keys() == sent.keys()
    assert globex.keys() == {"usr_1000", "globex-only"}
    assert acme["usr_1001"]["metadata"] == merged({}, sent["usr_1001"]["metadata"])
    assert acme["hostile-long-text"]["metadata"]["text"] == LONG_TEXT
    assert any(user["campaign"] != user["initial_campaign"] for user in acme.values() if "campaign" in user)
    devices = {user.get("user_agent", {}).get("device", {}).get("name") for user in acme.values()}
    assert devices >= {"iPhone", "Pixel 9"}


def test_the_refusals_name_several_libraries(stack: Stack, acme: Product, refusals: None) -> None:
    api = Api(stack.http, acme.application)
    with api.client:
        listed = api.client.get("/v1/refusals", headers=api.reader).json()["refusals"]
    libraries = {each["client_library"].partition("/")[0] for each in listed}
    assert libraries >= {"moesifapi-python", "moesifapi-java", "moesif-browser-js", "Go-http-client", "curl"}
    assert {each["is_warning"] for each in listed} == {True, False}
    assert len(listed) >= 16, listed


@pytest.mark.parametrize("name", ["admin", "read:users", "without scopes", "expired", "revoked", "collector key"])
def test_the_tokens_are_what_their_names_say(stack: Stack, acme: Product, name: str) -> None:
    tokens = acme.tokens
    secret, status = {
        "admin": (tokens.admin, 200),
        "read:users": (tokens.of[Scope.READ_USERS], 200),
        "without scopes": (tokens.without_scopes, 403),
        "expired": (tokens.expired, 401),
        "revoked": (tokens.revoked, 401),
        "collector key": (acme.key, 401),
    }[name]
    api = Api(stack.http, acme.application)
    with api.client:
        answer = api.client.get("/v1/users/usr_1001", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == status, answer.text


async def test_pages_share_nothing(visit: Visit) -> None:
    first: Page = await visit("/")
    await first.evaluate("localStorage.setItem('kept', 'yes')")
    second = await visit("/")
    assert await second.evaluate("localStorage.getItem('kept')") is None
