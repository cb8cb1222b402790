"""Editing a profile: types are kept, the update and what it changes are shown first, and nothing is overwritten."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.console.actions import CONSOLE, sign_in
from tests.console.browser import NARROW, THEMES, WIDE, Theme
from tests.console.conftest import Visit
from tests.console.data.hostile import DEEPEST, LONG_TEXT
from tests.console.guard import Guard
from tests.console.observing import check_accessible
from tests.support.stack import Api

_USER: Final = f"{CONSOLE}#/user/u"


def _row(page: Page, name: str) -> Locator:
    """The row of the tree whose label begins with this text."""
    return page.get_by_role("treeitem", name=name)


def _field(page: Page) -> Locator:
    """The field of the value that is edited."""
    return page.locator(".value-editor").get_by_label("Value")


async def _opened(visit: Visit, api: Api, theme: Theme = "light", width: int = WIDE) -> Page:
    page = await visit(_USER, theme=theme, width=width)
    await sign_in(page, api.application.management_token)
    await expect(page.get_by_role("tree")).to_be_visible()
    return page


async def _change(page: Page, name: str, text: str) -> None:
    """Change the value of a row, by keyboard."""
    await _row(page, name).press("e")
    await _field(page).fill(text)
    await page.keyboard.press("Control+Enter")


async def _add(page: Page, key: str, kind: str, text: str) -> None:
    """Add a key at the top."""
    await page.get_by_role("button", name="Add a key", exact=True).click()
    form = page.get_by_role("form", name="New key")
    await form.get_by_label("Key").fill(key)
    await form.get_by_label("Type").select_option(kind)
    await form.get_by_label("Value").fill(text)
    await form.get_by_role("button", name="Add").click()


async def _reviewed(page: Page) -> Mapping[str, Any]:
    """The update that is shown, once what it changes is."""
    await page.get_by_role("button", name="Review…").click()
    await expect(page.get_by_role("button", name="Send the update")).to_be_enabled()
    update: Mapping[str, Any] = json.loads(await page.get_by_role("region", name="The update").inner_text())
    return update


async def _sent(page: Page) -> None:
    await page.get_by_role("button", name="Send the update").click()
    await expect(page.locator(".note", has_text="Stored:")).to_be_visible()


def _changes(page: Page) -> Locator:
    return page.get_by_role("table", name="What changes").get_by_role("row")


async def test_values_keep_their_types(visit: Visit, api: Api) -> None:
    metadata = {
        "number": 24000,
        "digits": "42",
        "flag": True,
        "list": [1, "1", None, {"a": 1}],
        "inner": {"deep": {"x": 1, "y": 2}},
        "swap": 7,
    }
    before = api.stored({"metadata": metadata})
    page = await _opened(visit, api)
    await _change(page, "number:", "25000.5")
    await _change(page, "digits:", "43")
    await _row(page, "flag:").press("e")
    await _field(page).select_option("false")
    await page.keyboard.press("Control+Enter")
    await _row(page, "list:").press("ArrowRight")
    await _change(page, "1: ", "2")
    await _row(page, "deep:").press("e")
    await _field(page).fill('{"y": 2, "z": {"new": [1.0, null]}, "e": {}}')
    await page.keyboard.press("Control+Enter")
    await _row(page, "swap:").press("e")
    await page.locator(".value-editor").get_by_label("Type").select_option("string")
    await expect(page.get_by_text("The type changes from number to string.")).to_be_visible()
    await _field(page).press("Control+Enter")
    await _add(page, "since", "number", "2026")
    update = await _reviewed(page)
    assert update == {
        "user_id": "u",
        "etag": before["etag"],
        "metadata": {
            "number": 25000.5,
            "digits": "43",
            "flag": False,
            "list": [1, "2", None, {"a": 1}],
            "inner": {"deep": {"x": None, "z": {"new": [1, None]}, "e": {}}},
            "swap": "7",
            "since": 2026,
        },
    }
    await expect(_changes(page).filter(has_text="metadata.number")).to_contain_text("24000")
    await expect(_changes(page).filter(has_text="metadata.inner.deep.x")).to_contain_text("not there")
    assert api.get("u").json()["metadata"] == metadata
    await _sent(page)
    assert api.get("u").json()["metadata"] == {
        **{
            "number": 25000.5,
            "digits": "43",
            "flag": False,
            "list": [1, "2", None, {"a": 1}],
            "swap": "7",
            "since": 2026,
        },
        "inner": {"deep": {"y": 2, "z": {"new": [1, None]}, "e": {}}},
    }
    await expect(_row(page, "number: 25000.5, number")).to_be_visible()


async def test_keys_and_fields_are_removed(visit: Visit, api: Api) -> None:
    api.stored(
        {"company_id": "old", "campaign": {"utm_source": "x"}, "metadata": {"a": {"b": 1, "c": 2}, "d": [1, 2], "z": 1}}
    )
    page = await _opened(visit, api)
    await page.get_by_role("button", name="Edit", exact=True).first.click()
    await _row(page, "b:").press("Delete")
    # The focus stays where the row was.
    await expect(page.locator(":focus")).to_have_accessible_name("c: 2, number")
    await _row(page, "d:").press("ArrowRight")
    await _row(page, "0: 1").press("Delete")
    await _row(page, "z:").press("Delete")
    await page.get_by_role("textbox", name="Company id").fill("new")
    await page.get_by_label("the merged campaign").check()
    update = await _reviewed(page)
    await page.get_by_role("button", name="Undo metadata.z").click()
    await expect(_changes(page).filter(has_text="metadata.z")).to_have_count(0)
    assert update["metadata"] == {"a": {"b": None}, "d": [2], "z": None}
    assert update["clear_fields"] == ["campaign"]
    await _sent(page)
    stored = api.get("u").json()
    assert stored["metadata"] == {"a": {"c": 2}, "d": [2], "z": 1}
    assert stored["company_id"] == "new"
    assert "campaign" not in stored
    assert stored["initial_campaign"] == {"utm_source": "x"}


async def test_hostile_keys_are_edited_like_any_other(visit: Visit, api: Api) -> None:
    keys = ("__proto__", "constructor", "", "a.b", "$set", "0", "<b>")
    api.stored({"metadata": {"inner": dict.fromkeys(keys, 1), "__proto__": {"x": 1}}})
    page = await _opened(visit, api)
    for key in keys:
        label = key or '""'
        await _change(page, f"{label}: 1, number", "2")
    await _change(page, "x:", "2")
    await _add(page, "toString", "object", '{"__proto__": {"": []}}')
    await _reviewed(page)
    await _sent(page)
    assert api.get("u").json()["metadata"] == {
        "inner": dict.fromkeys(keys, 2),
        "__proto__": {"x": 2},
        "toString": {"__proto__": {"": []}},
    }


async def test_what_another_writes_meanwhile_is_not_overwritten(visit: Visit, guard: Guard, api: Api) -> None:
    guard.expect("status of 409")
    api.stored({"metadata": {"stage": "Lead", "seats": 1, "title": "CTO"}})
    page = await _opened(visit, api)
    await _change(page, "stage:", "Customer")
    await _change(page, "seats:", "2")
    api.stored({"company_id": "acme", "metadata": {"stage": "Churned"}})
    await page.get_by_role("button", name="Review…").click()
    rows = page.get_by_role("table", name="Conflict").get_by_role("row")
    await expect(rows.filter(has_text="metadata.stage").get_by_role("cell")).to_have_text(
        ['"Lead"', '"Churned"', '"Customer"', "Drop mine"]
    )
    await expect(rows.filter(has_text="company_id").get_by_role("cell")).to_have_text(
        ["not there", '"acme"', "no change", ""]
    )
    await check_accessible(page)
    await rows.filter(has_text="metadata.stage").get_by_role("button", name="Drop mine").click()
    await page.get_by_role("button", name="Apply my 1 change to what is stored now").click()
    await expect(page.get_by_role("button", name="Send the update")).to_be_enabled()
    # Another one, between the review and the update itself.
    api.stored({"metadata": {"title": "CEO"}})
    await page.get_by_role("button", name="Send the update").click()
    await expect(rows.filter(has_text="metadata.title")).to_be_visible()
    await page.get_by_role("button", name="Apply my 1 change to what is stored now").click()
    await _sent(page)
    stored = api.get("u").json()
    assert stored["company_id"] == "acme"
    assert stored["metadata"] == {"stage": "Churned", "seats": 2, "title": "CEO"}


async def test_an_update_whose_response_is_lost_is_looked_for(visit: Visit, guard: Guard, api: Api) -> None:
    guard.expect("net::ERR_FAILED")
    api.stored({"metadata": {"stage": "Lead"}})
    page = await _opened(visit, api)
    await _change(page, "stage:", "Customer")
    await _reviewed(page)
    attempts: list[str] = []

    async def lose(route: Route) -> None:
        attempts.append(route.request.url)
        # The first one does not arrive at all.
        if len(attempts) > 1:
            await route.fetch()
        await route.abort()

    await page.route("**/v1/users", lose)
    await page.get_by_role("button", name="Send the update").click()
    await expect(page.get_by_text("the update is not stored, and nothing else has changed")).to_be_visible()
    await page.get_by_role("button", name="Send it again").click()
    await page.get_by_role("button", name="Send the update").click()
    await expect(page.get_by_text("the update is stored")).to_be_visible()
    await page.get_by_role("button", name="Go on").click()
    await expect(_row(page, 'stage: "Customer"')).to_be_visible()
    assert len(attempts) == 2


async def test_texts_that_are_no_values_are_explained(visit: Visit, api: Api) -> None:
    api.stored({"metadata": {"email": "ada@contoso.com", "object": {}, "number": 1}})
    page = await _opened(visit, api)
    await _row(page, "object:").press("e")
    field = _field(page)
    for text, complaint in (
        ('{\n  "a": 1,\n  "a": 2}', 'Line 3, column 3: The key "a" is there twice'),
        ('{"n": [9007199254740993]}', "Line 1, column 8: No number in Userfold holds this integer exactly."),
        ('{"n": null}', "column 7: A null removes its key"),
        ('{"n": 1,}', "column 9: A key in double quotes is expected here."),
        ('{"n": 1e999}', "column 7: This number is too large."),
        ('{"n": "a\n"}', "column 7: This string does not end"),
        ("[" * 21, "column 21: Metadata has at most 20 levels."),
        ("{} {}", "column 4: Something follows"),
        ("7", "This is no object, but number."),
    ):
        await field.fill(text)
        await expect(page.get_by_role("status").filter(has_text=complaint)).to_be_visible()
        await expect(page.get_by_role("button", name="Change")).to_be_disabled()
    await page.keyboard.press("Escape")
    await _row(page, "number:").press("e")
    await _field(page).fill("9007199254740993")
    await expect(page.get_by_text("Choose the type string: it is stored so anyway.")).to_be_visible()
    await page.keyboard.press("Escape")
    await _row(page, "email:").press("e")
    await expect(page.locator(".value-editor").get_by_label("Type")).to_be_disabled()
    await _field(page).fill("no address")
    await page.keyboard.press("Control+Enter")
    await _reviewed(page)
    await expect(page.locator(".note.warn", has_text="NOT_AN_EMAIL_ADDRESS")).to_be_visible()
    # What is derived from the address would be gone as well.
    await expect(_changes(page).filter(has_text="email_domain")).to_contain_text("follows from others")


async def test_large_and_deep_values(visit: Visit, api: Api) -> None:
    nested: dict[str, Any] = {"deepest": 1}
    for level in range(DEEPEST - 1, 0, -1):
        nested = {f"level_{level}": nested}
    api.stored({"metadata": {"text": LONG_TEXT, **nested}})
    page = await _opened(visit, api)
    await _change(page, "deepest:", "2")
    await page.get_by_role("treeitem").filter(has_text="1,000,000 characters").press("e")
    await expect(page.get_by_text("It has 1,000,000 characters: too many to edit here.")).to_be_visible()
    await page.get_by_role("button", name="Replace it").click()
    # What is being typed when the review begins is part of it.
    await _field(page).fill("short")
    await _reviewed(page)
    await _sent(page)
    stored = api.get("u").json()["metadata"]
    assert stored["text"] == "short"
    for level in range(1, DEEPEST):
        stored = stored[f"level_{level}"]
    assert stored == {"deepest": 2}


async def test_leaving_asks_once_where_changes_are_not_sent(visit: Visit, api: Api) -> None:
    api.stored({"metadata": {"stage": "Lead"}})
    page = await _opened(visit, api)
    await _change(page, "stage:", "Customer")
    sections = page.get_by_role("navigation", name="Sections")
    await sections.get_by_role("link", name="Health").click()
    question = page.get_by_role("alertdialog")
    await expect(question.get_by_role("button", name="Stay")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(question).to_be_hidden()
    assert page.url.endswith("#/user/u")
    await expect(_row(page, 'stage: "Customer"')).to_be_visible()
    # The parts of the page can be seen meanwhile.
    await page.get_by_role("link", name="Raw JSON").click()
    await page.get_by_role("link", name="Profile", exact=True).click()
    await expect(_row(page, 'stage: "Customer"')).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await page.keyboard.press("Escape")
    await sections.get_by_role("link", name="Health").click()
    await question.get_by_role("button", name="Forget it").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Health")
    assert api.get("u").json()["metadata"] == {"stage": "Lead"}


async def test_a_session_token_is_removed(visit: Visit, api: Api) -> None:
    api.stored({"session_token": "of-a-lost-phone", "metadata": {"a": 1}}, {"session_token": "kept"})
    page = await _opened(visit, api)
    await page.keyboard.press("e")
    field = page.get_by_label("Remove a session token")
    await field.fill("of-a-lost-phone")
    await field.press("Enter")
    await expect(
        page.get_by_role("main").get_by_text("Removed: a look-up of the token does not find this user any more.")
    ).to_be_visible()
    await field.fill("of-a-lost-phone")
    await field.press("Enter")
    await expect(page.get_by_role("main").get_by_text("This user does not have that token.")).to_be_visible()
    assert api.get("u").json()["alias_count"] == 1


async def test_a_profile_is_edited_by_keyboard_alone(visit: Visit, api: Api) -> None:
    api.stored({"metadata": {"plan": {"seats": 1}}}, {"clear_fields": ["observed_ip_address"]})
    page = await _opened(visit, api)
    keyboard = page.keyboard
    focused = page.locator(":focus")
    await keyboard.press("e")
    await expect(page.get_by_role("region", name="Your changes")).to_be_visible()

    async def tab_to(name: str) -> None:
        for _ in range(60):
            await keyboard.press("Tab")
            if await page.evaluate(
                "name => (document.activeElement.ariaLabel ?? document.activeElement.textContent).startsWith(name)",
                name,
            ):
                return
        raise AssertionError(name)

    await tab_to("plan:")
    await keyboard.press("ArrowDown")
    await keyboard.press("e")
    await keyboard.press("Control+a")
    await keyboard.type("3")
    await keyboard.press("Enter")
    await expect(focused).to_have_accessible_name("seats: 3, edited")
    await tab_to("Review…")
    await keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Send the update")).to_be_enabled()
    await tab_to("Send the update")
    await keyboard.press("Enter")
    await expect(focused).to_have_text("Stored: 1 change.")
    stored = api.get("u").json()
    assert stored["metadata"] == {"plan": {"seats": 3}}
    # The address of the person who edits is not the user's.
    assert "observed_ip_address" not in stored
    await keyboard.press("e")
    await keyboard.press("Escape")
    await expect(page.get_by_role("region", name="Your changes")).to_be_hidden()


@pytest.mark.parametrize("theme", THEMES)
async def test_editing_is_accessible(visit: Visit, api: Api, theme: Theme) -> None:
    api.stored({"company_id": "acme", "metadata": {"plan": {"seats": 1}, "name": "Ada"}})
    page = await _opened(visit, api, theme)
    await _change(page, "seats:", "2")
    await _row(page, "plan:").press("e")
    for width in (WIDE, NARROW):
        await page.set_viewport_size({"width": width, "height": 900})
        await check_accessible(page)
        assert await page.evaluate("document.documentElement.scrollWidth") == width
    await page.keyboard.press("Escape")
    await _reviewed(page)
    for width in (NARROW, WIDE):
        await page.set_viewport_size({"width": width, "height": 900})
        await check_accessible(page)
        assert await page.evaluate("document.documentElement.scrollWidth") == width
