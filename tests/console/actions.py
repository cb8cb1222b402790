"""What people do on every page of the console."""

from playwright.async_api import Page, expect

CONSOLE = "/console"


async def sign_in(page: Page, token: str) -> None:
    """Sign in with a management token, and wait until the console is there."""
    await submit_token(page, token)
    await expect(page.get_by_role("navigation", name="Sections")).to_be_visible()


async def submit_token(page: Page, token: str) -> None:
    """Enter a token and submit it."""
    await page.get_by_label("Management token").fill(token)
    await page.keyboard.press("Enter")
