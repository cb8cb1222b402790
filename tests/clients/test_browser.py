"""The package `moesif-browser-js` of npm in a real browser, on a site of another origin than the gateway."""

import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from playwright.async_api import Page, Request, Response

from tests.clients import profiles
from tests.clients.conftest import Node
from tests.clients.shop import open_shop
from tests.console.browser import WAIT_SECONDS, running_browser
from tests.support.stack import Api, Stack

_CALLS: Final = re.compile(r"/v1/(users|companies)$")
_CLICK: Final = "/?utm_source=google&utm_medium=cpc&utm_campaign=adwords&utm_term=api%2Btooling&utm_content=landing"
_CAMPAIGN: Final = profiles.CAMPAIGN
_LATER_CAMPAIGN: Final = {"utm_source": "newsletter"}
_METADATA: Final = {"email": "john@acmeinc.com", "firstName": "John", "salesInfo": {"lifetimeValue": 24000}}
_TOKEN: Final = "d23xdefc3ijhcv93hf4h38f90h43f"


class Shopper:
    """A person whose browser opens pages of the site, and what the library there sends."""

    def __init__(self, page: Page, shop: str) -> None:
        self._page = page
        self._shop = shop
        self._complaints: list[str] = []
        page.set_default_timeout(1000 * WAIT_SECONDS)
        page.on("pageerror", lambda error: self._complaints.append(str(error)))

    async def visit(self, path: str) -> None:
        """Open a page of the site, on which the library sends nothing by itself."""
        await self._page.goto(self._shop + path)

    async def first_visit(self, path: str) -> Any:
        """Open a page of the site, and return what the library sends by itself, which must be stored."""
        async with self._page.expect_response(_CALLS) as response:
            await self.visit(path)
        return await _stored(await response.value)

    async def identify(self, kind: str, *arguments: object) -> Any:
        """Call `identifyUser` or `identifyCompany`, and return what it sends, which must be stored."""
        async with self._page.expect_response(_CALLS) as response:
            await self.call(f"identify{kind}", *arguments)
        return await _stored(await response.value)

    async def identify_in_vain(self, kind: str, *arguments: object) -> Any:
        """Call `identifyUser` or `identifyCompany`, and return what it sends, which is aborted on its way."""
        await self._page.route(_CALLS, lambda route: route.abort())
        async with self._page.expect_event("requestfailed") as request:
            await self.call(f"identify{kind}", *arguments)
        await self._page.unroute(_CALLS)
        failed: Request = await request.value
        return failed.post_data_json

    async def call(self, function: str, *arguments: object) -> None:
        """Call a function of the library."""
        await self._page.evaluate("([name, ...values]) => { moesif[name](...values); }", [function, *arguments])

    def check_no_page_failed(self) -> None:
        """Check that no page had an uncaught error."""
        assert self._complaints == []


async def _stored(response: Response) -> Any:
    """What the request of this response sent."""
    assert (response.status, await response.json()) == (201, {})
    return response.request.post_data_json


@pytest.fixture
async def shopper(stack: Stack, api: Api, node: Node) -> AsyncIterator[Shopper]:
    """A person with a new browser. The library sends to the application of `api`."""
    with open_shop(stack.http, api.application.collector_key) as shop:
        async with running_browser() as browser:
            shopper = Shopper(await browser.new_page(), shop)
            yield shopper
            shopper.check_no_page_failed()


async def test_a_visitor_becomes_one_user_who_keeps_the_first_campaign(shopper: Shopper, api: Api) -> None:
    visit = await shopper.first_visit(_CLICK)
    anonymous_id = visit["anonymous_id"]
    assert visit == {"anonymous_id": anonymous_id, "campaign": _CAMPAIGN}
    sign_in = {"user_id": "12345", "anonymous_id": anonymous_id, "metadata": _METADATA}
    # The library now forgets the campaign, although this never arrives.
    assert await shopper.identify_in_vain("User", "12345", _METADATA) == sign_in | {"campaign": _CAMPAIGN}

    await shopper.visit("/basket")
    assert await shopper.identify("User", "12345", _METADATA) == sign_in | {"campaign": {}}
    sent = await shopper.identify("Company", "67890", {"plan": "free"}, "acmeinc.com")
    company = {"company_domain": "acmeinc.com", "metadata": {"plan": "free"}, "campaign": _CAMPAIGN}
    assert sent == {"company_id": "67890"} | company
    await shopper.call("identifySession", _TOKEN)

    # What the library has learned is in the next identification.
    await shopper.visit("/?utm_source=newsletter")
    learned = {"company_id": "67890", "session_token": _TOKEN, "campaign": _LATER_CAMPAIGN}
    assert await shopper.identify("User", "12345", _METADATA) == sign_in | learned

    known = {"company_id": "67890", "anonymous_id": anonymous_id, "anonymous_ids": [anonymous_id]}
    campaigns = {
        "campaign": _CAMPAIGN | _LATER_CAMPAIGN,
        "initial_campaign": _CAMPAIGN,
        "latest_campaign": _LATER_CAMPAIGN,
    }
    first = profiles.profile("12345", metadata=_METADATA, alias_count=1, **known, **campaigns)
    assert profiles.returned_profile(api, "12345") == first
    assert profiles.returned_company(api, "67890") == profiles.company("67890", **company)
    visitor = api.client.get(f"/v1/visitors/{anonymous_id}", headers=api.reader)
    assert (visitor.status_code, visitor.json()["details"][0]["reason"]) == (404, "VISITOR_IDENTIFIED")
    assert _ids(api, "users", "user_id") == {"12345"}
    assert _ids(api, "visitors", "anonymous_id") == set()

    # Another person signs in to the same browser, and gets nothing of the first one.
    other = {"email": "mary@acmeinc.com"}
    assert await shopper.identify("User", "54321", other) == sign_in | learned | {"user_id": "54321", "metadata": other}
    assert profiles.returned_profile(api, "54321") == profiles.profile(
        "54321", metadata=other, alias_count=1, campaign=_LATER_CAMPAIGN, **known
    )
    assert profiles.returned_profile(api, "12345") == first


def _ids(api: Api, kind: str, name: str) -> set[str]:
    """The ids of all profiles of a kind."""
    listed = api.client.get(f"/v1/{kind}", headers=api.reader)
    return {each[name] for each in listed.json()[kind]}
