"""A gateway, or the server behind it, that goes away and comes back while somebody uses the console."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.async_api import expect
from pymongo.database import Database

from server.local.mongod import EmbeddedMongod
from tests.console.actions import CONSOLE, sign_in
from tests.console.browser import Visitor
from tests.console.observing import check_accessible
from tests.support.applications import Application
from tests.support.programs import Program, free_port
from tests.support.stack import start_gateway, start_server

_AWAY = "Userfold does not answer at the moment"


class Programs:
    """A server and a gateway, which keep their addresses."""

    def __init__(self, mongodb_uri: str) -> None:
        self._mongodb_uri = mongodb_uri
        self._grpc = f"127.0.0.1:{free_port()}"
        self._admin = f"127.0.0.1:{free_port()}"
        self.site = f"http://{self._admin}"
        self._running: dict[str, Program] = {}

    def start(self, *names: str) -> None:
        for name in names:
            start: dict[str, Callable[[], Program]] = {"server": self._start_server, "gateway": self._start_gateway}
            self._running[name] = start[name]()

    def stop(self, *names: str) -> None:
        for name in names:
            assert self._running.pop(name).stop() == 0

    def stop_all(self) -> None:
        self.stop(*reversed(self._running))

    def _start_server(self) -> Program:
        return start_server(self._mongodb_uri, variables={"USERFOLD_GRPC_ADDRESS": self._grpc})

    def _start_gateway(self) -> Program:
        return start_gateway(self._grpc, {"USERFOLD_ADMIN_ADDRESS": self._admin})


@pytest.fixture(scope="module")
def programs(mongod: EmbeddedMongod) -> Iterator[Programs]:
    """A server and a gateway of this module alone."""
    programs = Programs(mongod.uri)
    programs.start("server", "gateway")
    yield programs
    programs.stop_all()


@pytest.fixture
def site(programs: Programs) -> str:
    """The admin listener of this module's own gateway."""
    return programs.site


@pytest.mark.parametrize(("away", "noted"), [(("server",), "status of 503"), (("gateway",), "ERR_CONNECTION_REFUSED")])
async def test_the_console_says_that_userfold_is_away_and_goes_on_when_it_is_back(
    visitor: Visitor, programs: Programs, application: Application, away: tuple[str, ...], noted: str
) -> None:
    visitor.guard.expect(noted)
    visitor.guard.expect("failed request|status of 503")
    page = await visitor.open(CONSOLE)
    await sign_in(page, application.management_token)
    await page.get_by_role("link", name="Health").click()
    programs.stop(*away)
    await page.get_by_role("link", name="Privacy").click()
    await expect(page.get_by_role("alert").filter(has_text=_AWAY)).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text("The console tries again by itself")
    await check_accessible(page)
    programs.start(*away)
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.get_by_role("main")).to_contain_text("Nobody is suppressed")


async def test_a_token_that_was_revoked_meanwhile_ends_the_session(
    visitor: Visitor, programs: Programs, application: Application, database: Database[dict[str, Any]]
) -> None:
    visitor.guard.expect("status of 401")
    # The page Health asks meanwhile.
    visitor.guard.allow("failed request|ERR_CONNECTION_REFUSED|status of 503")
    page = await visitor.open(CONSOLE)
    await sign_in(page, application.management_token)
    await page.get_by_role("link", name="Health").click()
    # Both keep credentials for a while; new ones have none.
    programs.stop("gateway", "server")
    database.credentials.delete_many({"application_id": application.application_id})
    programs.start("server", "gateway")
    await expect(page.get_by_role("alert")).to_contain_text("not valid any more")
    await expect(page.get_by_label("Management token")).to_be_focused()


async def test_health_says_since_when_nothing_answers_and_goes_on(
    visitor: Visitor, programs: Programs, application: Application
) -> None:
    visitor.guard.expect("ERR_CONNECTION_REFUSED")
    visitor.guard.expect("failed request|status of 503")
    page = await visitor.open(f"{CONSOLE}#/health")
    await sign_in(page, application.management_token)
    says = page.get_by_role("main").get_by_role("status")
    await expect(says).to_contain_text("All is well.")
    programs.stop("gateway")
    await expect(says).to_contain_text("The gateway does not answer.")
    await expect(page.get_by_text("The numbers below are the last that are known.")).to_be_visible()
    await expect(page.get_by_text("Since just now")).to_be_visible()
    await expect(page.get_by_role("row", name="Queue of updates")).to_be_visible()
    programs.start("gateway")
    await expect(says).to_contain_text("All is well.")
