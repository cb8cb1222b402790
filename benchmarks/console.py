"""`python -m benchmarks.console`: how quick the console is among 1,000,000 users. `make console-speed` runs it.

Chromium, the programs and MongoDB share the machine. All times are taken within the page, from what a person does to
the frame that shows what it brings.
"""

import argparse
import asyncio
import json
import math
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page
from playwright.async_api import Error as PlaywrightError

from benchmarks.environment.machine import machine
from benchmarks.environment.paths import BUILD, PUBLISHED
from benchmarks.environment.processes import BenchmarkFailed
from benchmarks.environment.versions import commit
from benchmarks.importing import rows
from benchmarks.stack import Stack
from tests.console.actions import CONSOLE
from tests.console.browser import Visitor, running_browser
from tests.console.observing import start_times

USERS: Final = 1_000_000

_STARTS: Final = 15
_TEXTS: Final = 200
"""How many texts are typed: half the beginning of an id, half that of an email address."""

_NAMES: Final = {
    "first content": "the page is opened, until its first content",
    "interactive": "the page is opened, until a token can be typed",
    "list": "a token is submitted, until the first users are shown",
    "id": "the beginning of a user id is typed, until users with it are shown",
    "email": "the beginning of an email address is typed, until users with it are shown",
    "request": "of these two, the request",
    "catalogue": "the catalogue is opened, which the server does not have yet, until its paths are shown",
}

_FRAME: Final = """
const ends = performance.now() + 30_000;
const frame = () => new Promise((shown, failed) => {
  if (performance.now() > ends) failed(new Error("nothing is shown within 30 seconds"));
  else requestAnimationFrame(shown);
});
"""

_TYPE: Final = f"""
async (typed) => {{
  {_FRAME}
  const isFound = ({{textContent}}) => textContent.includes(typed) && !textContent.endsWith(typed);
  const field = document.querySelector("[role=search] input");
  field.focus();
  field.select();
  document.execCommand("delete");
  while (document.querySelector("[role=option]")) await frame();
  performance.clearResourceTimings();
  const started = performance.now();
  document.execCommand("insertText", false, typed);
  while (![...document.querySelectorAll("[role=option]")].some(isFound)) await frame();
  await frame();
  const whole = performance.now() - started;
  const [request] = performance.getEntriesByType("resource").filter(({{name}}) => name.includes("users:suggest"));
  return [whole, request.responseEnd - request.startTime];
}}
"""

_OPEN: Final = f"""
async ([link, shown]) => {{
  {_FRAME}
  const started = performance.now();
  document.querySelector(link).click();
  while (!document.querySelector(shown)) await frame();
  await frame();
  return performance.now() - started;
}}
"""

_INTERACTIVE: Final = """
(() => {
  const look = () => {
    if (document.activeElement?.id === "token") performance.mark("interactive");
    else requestAnimationFrame(look);
  };
  look();
})();
"""

_SIGN_IN: Final = "form button"
_A_USER: Final = 'main a[href^="#/user/"]'
_CATALOGUE: Final = 'nav a[href^="#/catalogue"]'
_A_PATH: Final = "table.paths td"


def main() -> int:
    """Measure, print the table, and write the results to build/, or with --publish to benchmarks/results/."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--users", type=int, default=USERS, help=f"users that are imported before (default: {USERS})")
    parser.add_argument("--publish", action="store_true", help="write the results to benchmarks/results/")
    options = parser.parse_args()
    if options.publish and options.users != USERS:
        parser.error(f"only results of {USERS:,} users can be published")
    BUILD.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="console-", dir=BUILD))
    checkout = commit()
    try:
        with Stack(directory, peers=False) as stack:
            token = stack.userfold.reading["Authorization"].removeprefix("Bearer ")
            _import(stack, token, options.users)
            site = stack.userfold.services[1].ready_field("admin")
            measured = asyncio.run(_measure(site, token, options.users))
    except (BenchmarkFailed, PlaywrightError) as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory)
    results = {"users": options.users, "milliseconds": measured, "machine": machine()}
    results |= {"date": time.strftime("%Y-%m-%d"), **checkout}
    output = PUBLISHED if options.publish else BUILD
    (output / "console.json").write_text(json.dumps(results, indent=1) + "\n")
    (output / "console.md").write_text(markdown(results))
    print(markdown(results))
    return 0


def markdown(results: Mapping[str, Any]) -> str:
    """The results as a table, with where they were measured."""
    lines = [
        f"| among {results['users']:,} users | best | median | 95 of 100 | runs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, times in results["milliseconds"].items():
        shown = (min(times), statistics.median(times), _percentile(times, 95))
        lines.append(f"| {_NAMES[name]} | {' | '.join(f'{each:.0f} ms' for each in shown)} | {len(times)} |")
    where = results["machine"]
    lines += ["", f"{where['cpu']}, {where['cores']} cores, {where['memory_gib']} GiB, {results['date']}.", ""]
    return "\n".join(lines)


def _import(stack: Stack, token: str, users: int) -> None:
    path = stack.directory / "users.csv"
    with path.open("w") as file:
        file.writelines(rows("csv", users))
    run = subprocess.run(
        [Path(sys.executable).with_name("userfold"), "import", path, "--json"],
        env={"PATH": "", "USERFOLD_GRPC_ADDRESS": stack.grpc, "USERFOLD_TOKEN": token},
        stdout=subprocess.PIPE,
        check=False,
    )
    if run.returncode:
        raise BenchmarkFailed(f"the import ended with exit status {run.returncode}")


async def _measure(site: str, token: str, users: int) -> Mapping[str, Sequence[float]]:
    """The milliseconds of each run."""
    times: dict[str, list[float]] = {name: [] for name in _NAMES}
    async with running_browser() as browser:
        # The first visit also waits for what Chromium itself loads.
        for run in range(_STARTS + 1):
            visitor, start = await _start(browser, site, token)
            await visitor.close()
            _check(visitor)
            if run:
                for name, milliseconds in start.items():
                    times[name].append(milliseconds)
        visitor = Visitor(browser, site)
        page = await _signed_in(visitor, token)
        for name, text in _texts(users):
            whole, request = await page.evaluate(_TYPE, text)
            times[name].append(whole)
            times["request"].append(request)
        times["catalogue"].append(await page.evaluate(_OPEN, [_CATALOGUE, _A_PATH]))
        await visitor.close()
        _check(visitor)
    return times


async def _start(browser: Browser, site: str, token: str) -> tuple[Visitor, Mapping[str, float]]:
    """Open the console with nothing cached, and sign in."""
    visitor = Visitor(browser, site)
    page = await visitor.open(CONSOLE, script=_INTERACTIVE)
    await page.wait_for_selector("#token:focus")
    begun = await start_times(page)
    await page.get_by_label("Management token").fill(token)
    shown = await page.evaluate(_OPEN, [_SIGN_IN, _A_USER])
    interactive = max(begun["interactive"], begun["end of long tasks"])
    return visitor, {"first content": begun["first content"], "interactive": interactive, "list": shown}


async def _signed_in(visitor: Visitor, token: str) -> Page:
    page = await visitor.open(CONSOLE)
    await page.get_by_label("Management token").fill(token)
    await page.evaluate(_OPEN, [_SIGN_IN, _A_USER])
    return page


def _texts(users: int) -> Sequence[tuple[str, str]]:
    """Beginnings of ids and of email addresses, of several lengths, each with at least one user."""
    draw = random.Random(0)  # noqa: S311 - Not a secret: each run types the same.
    ids = [f"csv-{draw.randrange(users)}" for _ in range(_TEXTS)]
    texts = []
    for number, user_id in enumerate(ids):
        if number % 2:
            texts.append(("email", f"{user_id}@{'acmeinc.com'[: draw.randrange(1, 8)]}"))
        else:
            texts.append(("id", user_id[: draw.randrange(4, len(user_id))]))
    return texts


def _percentile(times: Sequence[float], percent: int) -> float:
    return sorted(times)[math.ceil(len(times) * percent / 100) - 1]


def _check(visitor: Visitor) -> None:
    if complaints := visitor.guard.complaints():
        raise BenchmarkFailed("\n".join(complaints))


if __name__ == "__main__":
    sys.exit(main())
