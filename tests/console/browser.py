"""Debian's Chromium, and the pages that tests and commands open in it."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal, TypeAlias

from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect

from tests.console.guard import Guard
from tests.console.observing import OBSERVE

Theme: TypeAlias = Literal["light", "dark"]
THEMES: Final[Sequence[Theme]] = ("light", "dark")

WIDE: Final = 1440
NARROW: Final = 390
_HEIGHTS: Final = {WIDE: 900, NARROW: 844}

_NAMES: Final = ("chromium", "google-chrome")

_ARGUMENTS: Final = (
    # No page reaches another machine, whatever it names, and no proxy of the environment is asked.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
    # /dev/shm of a container has 64 MB, of which a page takes more. Files in /tmp do.
    "--disable-dev-shm-usage",
)

_FONTS: Final = Path(__file__).parent / "fonts.conf"

WAIT_SECONDS: Final = 30
"""How long Playwright waits for an element. A busy machine needs long, and a test that passes never waits as long."""


class BrowserMissing(Exception):
    """No Chromium is installed."""

    def __init__(self) -> None:
        super().__init__(
            "The tests of the console need Chromium: sudo apt-get install chromium fonts-inter fonts-noto-color-emoji"
        )


def executable() -> str:
    """The path of the machine's Chromium. Raises BrowserMissing."""
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    raise BrowserMissing


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """A headless Chromium until the end of the block. Raises BrowserMissing."""
    path = executable()
    expect.set_options(timeout=1000 * WAIT_SECONDS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path,
            args=_ARGUMENTS,
            # Chromium refuses to run as root with its sandbox. All pages in it are ours.
            chromium_sandbox=os.geteuid() != 0,
            env={**os.environ, "FONTCONFIG_FILE": str(_FONTS)},
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def held(page: Page, pattern: str | re.Pattern[str]) -> AsyncIterator[None]:
    """Hold back the responses to the page's requests that match a pattern of URLs until the end of the block."""
    released = asyncio.Event()

    async def hold(route: Route) -> None:
        await released.wait()
        await route.continue_()

    await page.route(pattern, hold)
    try:
        yield
    finally:
        released.set()


class Visitor:
    """Opens pages of one site. Each has a context of its own: no storage and no cache of another page."""

    def __init__(self, browser: Browser, site: str) -> None:
        self.site: Final = site
        self.guard: Final = Guard(site)
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    async def open(
        self,
        path: str,
        *,
        theme: Theme = "light",
        width: int = WIDE,
        reduced_motion: bool = False,
        scale: float = 1,
        script: str = "",
    ) -> Page:
        """Open a page of the site, and return it once it has loaded.

        `scale` is how many pixels of a picture are one of CSS. `script` runs before those of the page.
        """
        context = await self._browser.new_context(
            base_url=self.site,
            color_scheme=theme,
            viewport={"width": width, "height": _HEIGHTS.get(width, 900)},
            reduced_motion="reduce" if reduced_motion else "no-preference",
            device_scale_factor=scale,
            locale="en-GB",
            timezone_id="UTC",
        )
        context.set_default_timeout(1000 * WAIT_SECONDS)
        self._contexts.append(context)
        self.guard.watch(context)
        await context.add_init_script(OBSERVE + script)
        page = await context.new_page()
        await page.goto(path)
        return page

    async def save_pictures(self, directory: Path, name: str) -> None:
        """Write a picture of each open page into a directory."""
        pages = [page for context in self._contexts for page in context.pages]
        for number, page in enumerate(pages, 1):
            await page.screenshot(path=directory / f"{name}-{number}.png")

    async def close(self) -> None:
        """Close all pages, after what they have reported has arrived."""
        for context in self._contexts:
            for page in context.pages:
                await page.evaluate("0")
            await context.close()
        self._contexts.clear()
