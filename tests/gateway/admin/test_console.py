"""The page of the console and its files: what they may load, and how they are cached."""

import re
from pathlib import Path
from typing import Final

import pytest

from gateway import admin as admin_package
from gateway.admin.console import GRAVATAR
from tests.gateway.admin.conftest import Admin, running_admin
from tests.gateway.running import Backend

_FOLDER: Final = Path(admin_package.__file__).parent / "console-files"
_FILES: Final = [f"/console/{file.name}" for file in sorted(_FOLDER.iterdir()) if file.name != "index.html"]


async def test_the_page_loads_its_own_files_alone_and_runs_no_inline_script(admin: Admin) -> None:
    page = await admin.client.get("/console")
    assert page.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["img-src"] == policy["connect-src"] == "'self'"
    # No text becomes a part of the page as HTML, whatever the script does.
    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["trusted-types"] == "'none'"
    assert re.findall(r"<script[^>]*>", page.text) == ['<script type="module" src="console/console.js">']
    assert "<style" not in page.text
    assert "{" not in page.text
    assert "set-cookie" not in page.headers


async def test_pictures_of_users_are_loaded_only_if_the_operator_allows_it(admin: Admin, backend: Backend) -> None:
    assert GRAVATAR not in (await admin.client.get("/console")).headers["content-security-policy"]
    async with running_admin(backend.address, gravatar=True) as allowing:
        page = await allowing.client.get("/console")
        assert f"img-src 'self' {GRAVATAR};" in page.headers["content-security-policy"]
        assert '<meta name="userfold-gravatar" content="yes">' in page.text


@pytest.mark.parametrize("path", _FILES)
async def test_a_file_is_sent_again_only_when_it_has_changed(admin: Admin, path: str) -> None:
    first = await admin.client.get(path)
    assert first.status_code == 200
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["cache-control"] == "no-cache"
    again = await admin.client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = await admin.client.get(path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == first.content


async def _size(admin: Admin, path: str) -> int:
    response = await admin.client.head(path)
    assert response.headers["content-encoding"] == "gzip"
    return int(response.headers["content-length"])


async def test_all_that_a_browser_loads_is_within_its_budget(admin: Admin) -> None:
    page = (await admin.client.get("/console")).text
    at_once = {f"/{path}" for path in re.findall(r'(?:src|href)="(console/[^"]+)"', page)}
    scripts = {path for path in _FILES if path.endswith(".js")}
    # What the first script imports is requested with it, and nothing else is needed to show the first page.
    imported = set(re.findall(r'from"\./([^"]+)"', (_FOLDER / "console.js").read_text()))
    assert {f"/console/{name}" for name in imported} | {"/console/console.js"} == at_once & scripts
    assert sum([await _size(admin, path) for path in at_once & scripts]) <= 60_000
    assert await _size(admin, "/console/console.css") <= 10_000
    (on_demand,) = scripts - at_once
    assert await _size(admin, on_demand) <= 12_000


async def test_the_page_is_found_with_a_slash_as_well(admin: Admin) -> None:
    # The addresses in the page are relative, so it has one address only.
    response = await admin.client.get("/console/")
    assert (response.status_code, response.headers["location"]) == (308, "../console")


async def test_there_is_nothing_else_below_the_console(admin: Admin) -> None:
    for path in ("/console/index.html", "/console/src/main.tsx", "/consoles"):
        assert (await admin.client.get(path)).status_code == 404
