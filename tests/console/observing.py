"""What a page tells of itself: layout shifts, the times of its start, and what axe-core finds in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from playwright.async_api import Page

AXE_LOCK: Final = Path(__file__).parent / "node" / "package-lock.json"
_AXE: Final = AXE_LOCK.parent / "node_modules" / "axe-core" / "axe.min.js"

_GRAVE: Final = frozenset({"serious", "critical"})

OBSERVE: Final = """
(() => {
  const pathOf = (node) => {
    const element = node instanceof Element ? node : node?.parentElement;
    if (!element) return "?";
    const name = element.localName + (element.id ? "#" + element.id : "");
    return name + [...element.classList].map((each) => "." + each).join("");
  };
  const shifts = [];
  const noteShifts = (entries) => entries.forEach((entry) => shifts.push({
    time: entry.startTime, value: entry.value, isOfInput: entry.hadRecentInput,
    moved: entry.sources.map(({node, previousRect, currentRect}) => {
      const [from, to] = [previousRect, currentRect].map((each) =>
        `${Math.round(each.x)},${Math.round(each.y)} ${Math.round(each.width)}x${Math.round(each.height)}`);
      return `${pathOf(node)} from ${from} to ${to}`;
    }),
  }));
  const tasks = [];
  const noteTasks = (entries) => entries.forEach((entry) => tasks.push(entry.startTime + entry.duration));
  const observed = (type, note) => {
    const observer = new PerformanceObserver((list) => note(list.getEntries()));
    observer.observe({type, buffered: true});
    return () => note(observer.takeRecords());
  };
  const flushes = [observed("layout-shift", noteShifts), observed("longtask", noteTasks)];
  const flush = () => flushes.forEach((each) => each());
  Object.defineProperty(window, "__observed", {value: {shifts, tasks, flush}});
})();
"""
"""Runs in each page before its own scripts."""

_TWO_FRAMES: Final = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"

_SHIFTS: Final = """
() => {
  __observed.flush();
  const first = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Infinity;
  return __observed.shifts.filter((each) => each.time > first && !each.isOfInput);
}
"""

_TIMES: Final = """
() => {
  __observed.flush();
  const paint = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null;
  const [navigation] = performance.getEntriesByType("navigation");
  const marks = Object.fromEntries(performance.getEntriesByType("mark").map((each) => [each.name, each.startTime]));
  return {
    "first content": paint,
    "loaded": navigation.loadEventEnd,
    "end of long tasks": Math.max(0, ...__observed.tasks),
    ...marks,
  };
}
"""

_RUN_AXE: Final = """
async () => {
  // A colour on its way to another one has no contrast that anybody would measure.
  document.getAnimations().forEach((each) => {
    if (each.effect?.getComputedTiming().endTime < Infinity) each.finish();
  });
  const {violations} = await axe.run(document, {resultTypes: ["violations"]});
  return violations.map(({id, impact, help, nodes}) => ({
    id, impact, help,
    nodes: nodes.slice(0, 5).map(({target, failureSummary}) => ({target: target.join(" "), why: failureSummary})),
    count: nodes.length,
  }));
}
"""


async def check_accessible(page: Page) -> None:
    """Fail with what axe-core finds serious or critical on a page."""
    if found := await axe(page):
        raise AssertionError("\n".join([f"{page.url} is not accessible:", *found]))


async def check_every_look(page: Page) -> None:
    """Fail with what axe-core finds serious or critical on a page, wide in the light theme and narrow in the dark one.

    Fail, too, where the page is wider than its window.
    """
    looks: Sequence[tuple[int, int, Literal["light", "dark"]]] = ((1440, 900, "light"), (390, 844, "dark"))
    for width, height, theme in looks:
        await page.set_viewport_size({"width": width, "height": height})
        await page.emulate_media(color_scheme=theme)
        await check_accessible(page)
        content = await page.evaluate("document.documentElement.scrollWidth")
        assert content <= width, f"{page.url} is {content} pixels wide in a window of {width}"


async def after_input(page: Page) -> None:
    """Wait until what moves counts again: the browser excuses what follows an input within 500 ms."""
    await page.evaluate("() => new Promise((done) => setTimeout(done, 600))")


async def check_nothing_moves(page: Page) -> None:
    """Fail with what has moved on a page since its first content."""
    if found := await layout_shifts(page):
        raise AssertionError("\n".join([f"{page.url} has moved:", *found]))


async def layout_shifts(page: Page) -> Sequence[str]:
    """What has moved on a page since its first content, without what followed an input of the user within 500 ms."""
    await page.evaluate(_TWO_FRAMES)
    shifts: Sequence[Mapping[str, Any]] = await page.evaluate(_SHIFTS)
    return [f"{each['value']:.4f} after {each['time']:.0f} ms: {'; '.join(each['moved'])}" for each in shifts]


async def start_times(page: Page) -> Mapping[str, float]:
    """The milliseconds from the start of the navigation to `first content`, to `loaded`, to the `end of long tasks`,
    which keep the page from reacting for 50 ms or more, and to each mark that the page has set."""
    await page.evaluate(_TWO_FRAMES)
    times: Mapping[str, float] = await page.evaluate(_TIMES)
    return times


async def axe(page: Page) -> Sequence[str]:
    """What axe-core finds serious or critical on a page, each kind with its places."""
    if await page.evaluate("typeof axe === 'undefined'"):
        await page.evaluate(_AXE.read_text())
    violations: Sequence[Mapping[str, Any]] = await page.evaluate(_RUN_AXE)
    return [_line(each) for each in violations if each["impact"] in _GRAVE]


def _line(violation: Mapping[str, Any]) -> str:
    nodes = "".join(f"\n  {node['target']}: {' '.join(node['why'].split())}" for node in violation["nodes"])
    count = f"{violation['count']} elements"
    return f"{violation['id']} ({violation['impact']}, {count}): {violation['help']}{nodes}"
