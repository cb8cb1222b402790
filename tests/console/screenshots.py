"""`python -m tests.console.screenshots`: pictures of the console, wide and narrow, light and dark.

`make screenshots` runs it. Each page is one of `pictures.py`, in front of a real stack that holds what
products have sent.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient

from server.local.mongod import EmbeddedMongod
from server.mongo.replica_set import initiate
from tests.clients.conftest import NODE, Node
from tests.console.browser import THEMES, Visitor, running_browser
from tests.console.data.world import Product, create, refusals_are_stored, spread_over_time
from tests.console.pictures import PICTURES, WIDTHS, Published
from tests.support.stack import DATABASE, running_stack
from tests.support.waiting import wait_until

_ROOT: Final = Path(__file__).parents[2]
_BUILD: Final = _ROOT / "build" / "screenshots"
_PUBLISHED: Final = _ROOT / "docs" / "images"

_SCALE: Final = 2
"""The pixels of a published picture for one of CSS, for the screens of laptops and telephones."""


def main() -> int:
    """Take the pictures. Returns 1 where a page does what none may do."""
    parser = argparse.ArgumentParser(prog="python -m tests.console.screenshots", description=__doc__)
    parser.add_argument("--only", help="names of pictures, separated by commas")
    parser.add_argument("--publish", action="store_true", help="also write those of the documentation to docs/images/")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else [picture.name for picture in PICTURES]
    if unknown := sorted(set(names) - {picture.name for picture in PICTURES}):
        parser.error(f"no pictures: {', '.join(unknown)}")
    for directory in (_BUILD, _PUBLISHED) if options.publish else (_BUILD,):
        directory.mkdir(parents=True, exist_ok=True)
    node = Node.of_machine()
    node.install(NODE / "package-lock.json")
    with ExitStack() as stack:
        mongod = stack.enter_context(EmbeddedMongod(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        initiate(mongod.uri)
        database = stack.enter_context(MongoClient[dict[str, Any]](mongod.uri, tz_aware=True))[DATABASE]
        running = stack.enter_context(running_stack(mongod.uri))
        acme = create(database, running.http, node).acme
        spread_over_time(database, acme)
        wait_until(lambda: refusals_are_stored(database, acme))
        complaints = asyncio.run(_take(running.admin, acme, names, publish=options.publish))
    print("\n".join(complaints), file=sys.stderr, end="\n" if complaints else "")
    print(f"{len(names) * len(THEMES) * len(WIDTHS)} pictures are in {_BUILD.relative_to(_ROOT)}/")
    return 1 if complaints else 0


async def _take(site: str, product: Product, names: Collection[str], *, publish: bool) -> Sequence[str]:
    """Take all pictures of these names. Returns what no page may do."""
    complaints: list[str] = []
    async with running_browser() as browser:
        for picture in [each for each in PICTURES if each.name in names]:
            for theme in THEMES:
                for label, width in WIDTHS.items():
                    visitor = Visitor(browser, site)
                    is_kept = publish and picture.published == Published(theme, width)
                    page = await visitor.open(picture.path, theme=theme, width=width, scale=_SCALE if is_kept else 1)
                    await picture.prepare(page, product)
                    await page.evaluate("document.fonts.ready.then(() => null)")
                    name = f"{picture.name}-{label}-{theme}"
                    await page.screenshot(
                        path=_BUILD / f"{name}.png", animations="disabled", full_page=width != WIDTHS["wide"]
                    )
                    if is_kept:
                        await page.screenshot(path=_PUBLISHED / f"{picture.name}.png", animations="disabled")
                    await visitor.close()
                    complaints += [f"{name}: {each}" for each in visitor.guard.complaints()]
    return complaints


if __name__ == "__main__":
    sys.exit(main())
