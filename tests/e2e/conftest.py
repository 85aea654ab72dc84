"""A real headless Chromium before real pages: those of a whole service, or those before a service in memory.

The tests of `test_pages.py` run against a whole service in a process of its own. To run them faster while working on
the pages, set `THUMBWHEEL_PAGES=memory`; or set it to the URL of a service that is running on this machine with a
`classify` and a `generate` policy of two versions each.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from demo_facts import KEYS
from demo_service import DemoService
from demo_world import World
from live_service import live_service
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from prometheus_client import CollectorRegistry
from running_pages import running_pages

from thumbwheel.client import AdminClient, AsyncClient
from thumbwheel.feedback.raters import Raters
from thumbwheel.web.deps import RETRY, Deps, Health, HealthState

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
def memory_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    service = DemoService.start()
    home = tmp_path_factory.mktemp("home")
    with AdminClient(service.target, retry=RETRY) as admin:

        def deps(client: AsyncClient) -> Deps:
            return _deps(service.world, client, admin, home)

        with running_pages(service.target, deps) as url:
            yield Site(url, service.world)
    service.stop()


@pytest.fixture(scope="module")
def live_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with live_service(tmp_path_factory.mktemp("live")) as addresses:
        yield Site(addresses.web, None)


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Site:
    """The pages of a whole service, unless `THUMBWHEEL_PAGES` says otherwise."""
    chosen = os.environ.get("THUMBWHEEL_PAGES", "live")
    if chosen not in ("live", "memory"):
        return Site(chosen.rstrip("/"), None)
    running: Site = request.getfixturevalue(f"{chosen}_site")
    if running.world is not None:
        running.world.reset()
    return running


def _deps(world: World, client: AsyncClient, admin: AdminClient, home: Path) -> Deps:
    report = home / "run-0002" / "report.html"
    report.parent.mkdir()
    report.write_text("<!doctype html><html lang=en><title>Run report</title><h1>Rejected, and why</h1></html>")
    return Deps(
        client=client,
        admin=admin,
        votes=world,
        rater_of=Raters(KEYS.user_key).user_hash,
        health=lambda: Health(HealthState.SERVING),
        metrics=CollectorRegistry(),
        runs_dir=home,
        secret=b"s" * 32,
    )


@pytest.fixture
def world(memory_site: Site) -> World:
    """What stands behind `memory_site`, as new: for tests that make it fail or wait."""
    assert memory_site.world is not None
    memory_site.world.reset()
    return memory_site.world


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
