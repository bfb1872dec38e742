"""The built site and a browser to look at it with."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

SITE = Path(__file__).resolve().parents[3] / "build" / "site"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PROGRAMS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
NO_BROWSER = (
    "no Chromium was found: install one (apt-get install chromium, or {python} -m playwright install chromium), "
    "name one in the variable CHROMIUM, or build the site alone by nox -s site -- --no-browser"
)


def chromium(playwright: Playwright) -> str:
    """The program: that in the variable CHROMIUM, playwright's own, or what is installed."""
    candidates = [os.environ.get("CHROMIUM"), playwright.chromium.executable_path]
    candidates += [*map(shutil.which, NAMES), *PROGRAMS]
    found = next((path for path in candidates if path and Path(path).is_file()), None)
    if found is None:
        pytest.exit(NO_BROWSER.format(python=sys.executable), returncode=1)
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Containers run as root, where Chromium has no sandbox, and often with a small /dev/shm.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        running = playwright.chromium.launch(executable_path=chromium(playwright), args=arguments)
        yield running
        running.close()


@pytest.fixture(scope="session")
def site() -> Path:
    if not (SITE / "index.html").is_file():
        pytest.exit(f"there is no site in {SITE}; nox -s site builds it", returncode=1)
    return SITE


@pytest.fixture(scope="session")
def pages(site: Path) -> list[Path]:
    """All but the first, which leads to the front page at once."""
    return sorted(set(site.rglob("*.html")) - {site / "index.html"})
