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


async def test_a_visitor_who_signs_in_is_a_user_with_the_campaign_of_the_visit(shopper: Shopper, api: Api) -> None:
    campaign = {"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "adwords", "utm_term": "api+tooling"}
    clicked = "/?utm_source=google&utm_medium=cpc&utm_campaign=adwords&utm_term=api%2Btooling"
    visit = await shopper.first_visit(clicked)
    anonymous_id = visit["anonymous_id"]
    assert visit == {"anonymous_id": anonymous_id, "campaign": campaign}
    sign_in = {"user_id": "12345", "anonymous_id": anonymous_id, "metadata": _METADATA}
    assert await shopper.identify("User", "12345", _METADATA) == sign_in | {"campaign": campaign}
    await shopper.call("identifySession", _TOKEN)
    await shopper.visit("/basket")
    later = await shopper.identify("User", "12345", _METADATA)
    assert later == sign_in | {"campaign": {}, "session_token": _TOKEN}
    assert profiles.returned_profile(api, "12345") == profiles.profile(
        "12345", anonymous_id=anonymous_id, campaign=campaign, metadata=_METADATA, alias_count=1
    )
