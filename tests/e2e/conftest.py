"""A real headless Chromium before real pages.

`THUMBWHEEL_PAGES_URL` points the tests at a service that is already running (with a `classify` and a `generate`
policy, operated from this machine); without it they start the pages before a service in memory.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from demo_service import KEYS, DemoService, World
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from prometheus_client import CollectorRegistry
from running_pages import running_pages

from thumbwheel.client import AdminClient, AsyncClient
from thumbwheel.feedback.raters import Raters
from thumbwheel.web.deps import RETRY, Deps, Health

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_CURE = "no Chromium here; get it with: apt-get install chromium"
_SIZES = {"desktop": (1440, 900), "phone": (360, 780)}


@dataclass(frozen=True)
class Site:
    """Pages to test. `world` is what stands behind them, None where that is a real service."""

    url: str
    world: World | None


@pytest.fixture(scope="session")
def chromium_path() -> str:
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        if "chromium" in os.environ.get("THUMBWHEEL_REQUIRE", ""):
            pytest.fail(_CURE)
        pytest.skip(_CURE)
    return found


# For a module at most: while the driver runs, its event loop keeps other tests from running theirs.
@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Browser]:
    args = ["--disable-background-networking"]
    if os.geteuid() == 0:
        args.append("--no-sandbox")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium_path, args=args)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    given = os.environ.get("THUMBWHEEL_PAGES_URL", "")
    if given:
        yield Site(given.rstrip("/"), None)
        return
    service = DemoService.start()
    home = tmp_path_factory.mktemp("home")
    with AdminClient(service.target, retry=RETRY) as admin:

        def deps(client: AsyncClient) -> Deps:
            return _deps(service.world, client, admin, home)

        with running_pages(service.target, deps) as url:
            yield Site(url, service.world)
    service.stop()


def _deps(world: World, client: AsyncClient, admin: AdminClient, home: Path) -> Deps:
    report = home / "run-0002" / "report.html"
    report.parent.mkdir()
    report.write_text("<!doctype html><html lang=en><title>Run report</title><h1>Rejected, and why</h1></html>")
    return Deps(
        client=client,
        admin=admin,
        votes=world,
        rater_of=Raters(KEYS.user_key).user_hash,
        health=lambda: Health(True),
        metrics=CollectorRegistry(),
        runs_dir=home,
        secret=b"s" * 32,
    )


@pytest.fixture
def site(running_site: Site) -> Site:
    if running_site.world is not None:
        running_site.world.reset()
    return running_site


@pytest.fixture
def world(site: Site) -> World:
    """What stands behind the pages, for tests that make it fail or wait."""
    if site.world is None:
        pytest.skip("needs the service in memory; unset THUMBWHEEL_PAGES_URL")
    return site.world


@pytest.fixture
def context(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A browser window of its own, as on a desk unless parametrized with "phone"."""
    width, height = _SIZES[getattr(request, "param", "desktop")]
    opened = chromium.new_context(viewport={"width": width, "height": height})
    opened.set_default_timeout(15_000)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that must not break: no uncaught error, nothing that the content security policy had to stop."""
    opened = context.new_page()
    broken: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        # A refused request is a matter of the test; Chromium reports it as an error of loading.
        if message.type == "error" and "Failed to load resource" not in message.text:
            broken.append(message.text)

    opened.on("console", heard)
    opened.on("pageerror", lambda error: broken.append(str(error)))
    yield opened
    assert broken == []
