"""The built site as a reader sees it: every page in a browser, from the disk, with no network."""

from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from playwright.sync_api import Browser, Page

SCREENSHOTS = Path(__file__).resolve().parents[3] / "build" / "screenshots"
SHOWN = (
    "docs/index",
    "docs/start",
    "docs/choosing",
    "docs/dqn",
    "docs/scenes/Basic",
    "docs/troubleshooting",
    "docs/compatibility",
)
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 400, "height": 800}
LINKS = "() => [...document.querySelectorAll('a[href],link[href],[src]')].map(e => e.href || e.src)"
IDS = "() => [...document.querySelectorAll('[id],[name]')].map(e => e.id || e.getAttribute('name'))"
BROKEN = "() => [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
# What is wider than the page and not in something that scrolls by itself.
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def page(browser: Browser):
    """A page that notes what goes wrong in it, and may ask for nothing that is not on the disk."""
    context = browser.new_context(viewport=WIDE)
    opened = context.new_page()
    opened.problems = []
    opened.on("console", lambda said: said.type == "error" and opened.problems.append(said.text))
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.on("request", lambda asked: asked.url.startswith("http") and opened.problems.append(f"asks for {asked.url}"))
    yield opened
    context.close()


def test_every_page_opens_without_an_error(page: Page, pages: list[Path]) -> None:
    """Nothing in the console, nothing from the network, no picture that is missing."""
    for file in pages:
        page.goto(file.as_uri())
        assert page.evaluate(BROKEN) == [], file
        assert page.problems == [], file


def test_every_internal_link_leads_somewhere(page: Page, pages: list[Path]) -> None:
    """To a file of the site, and to a place that is on the page."""
    links: dict[str, set[str]] = {}
    ids: dict[Path, set[str]] = {}
    for file in pages:
        page.goto(file.as_uri())
        ids[file] = set(page.evaluate(IDS))
        for link in page.evaluate(LINKS):
            links.setdefault(link, set()).add(file.name)
    internal = {link: where for link, where in links.items() if link.startswith("file:")}
    assert len(internal) > 500
    missing = {}
    for link, where in internal.items():
        address, anchor = urldefrag(link)
        target = Path(unquote(urlsplit(address).path))
        if not target.is_file() or (anchor and target in ids and unquote(anchor) not in ids[target]):
            missing[link] = where
    assert missing == {}


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "400"])
def test_page_is_as_wide_as_the_screen(page: Page, pages: list[Path], size: dict) -> None:
    """Tables and code scroll by themselves; pictures shrink. The pictures of some pages lie in build/screenshots."""
    page.set_viewport_size(size)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    too_wide = []
    for file in pages:
        page.goto(file.as_uri())
        if page.evaluate(TOO_WIDE) > 0:
            too_wide.append(file.name)
        name = next((shown for shown in SHOWN if file.as_posix().endswith(f"/{shown}.html")), None)
        if name:
            page.screenshot(path=SCREENSHOTS / f"{name.replace('/', '-')}-{size['width']}.png")
    assert too_wide == []


def test_first_page_leads_to_the_front_page(page: Page, site: Path) -> None:
    """Whoever opens index.html sees the site."""
    page.goto((site / "index.html").as_uri())
    page.wait_for_url("**/docs/index.html")


def test_search_finds_an_error_message(page: Page, site: Path) -> None:
    """A line that a user copies out of a terminal leads to the page that explains it."""
    page.goto(f"{(site / 'search.html').as_uri()}?q=Invalid+trainer+type+dqn+was+found")
    page.wait_for_selector("#search-results li a")
    found = page.eval_on_selector_all("#search-results li a", "links => links.map(link => link.href)")
    assert any("troubleshooting.html" in link for link in found)


def test_front_page_says_how_long_it_takes(page: Page, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, not judged: machines differ."""
    page.goto((site / "docs" / "index.html").as_uri())
    took = page.evaluate("() => performance.getEntriesByType('navigation')[0].duration")
    with capsys.disabled():
        print(f"\nthe front page was loaded in {took:.0f} ms")
    assert took > 0
