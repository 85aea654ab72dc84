"""The pages before a service in memory, spoken to over HTTP."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from demo_facts import KEYS
from demo_service import DemoService
from demo_world import World
from prometheus_client import CollectorRegistry, Counter
from running_pages import running_pages

from thumbwheel.client import AdminClient
from thumbwheel.feedback.raters import Raters
from thumbwheel.web.deps import RETRY, Deps, Health, HealthState

SECRET = b"s" * 32


@dataclass
class Switch:
    """What a test may change of the running pages."""

    health: Health = field(default_factory=lambda: Health(HealthState.SERVING, {"helpdesk": "champion v2"}))
    settled: bool = True
    kept: dict[str, bytes] = field(default_factory=dict)  # reports of runs that were made elsewhere

    async def is_settled(self) -> bool:
        return self.settled


class Browser:
    """An HTTP client with cookies and the page's CSRF token, like a browser with the page open."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=20)
        self.csrf = ""

    def open(self, path: str = "/") -> httpx.Response:
        response = self.http.get(path, headers={"Accept": "text/html"})
        found = re.search(r'name="csrf-token" content="([^"]+)"', response.text)
        self.csrf = html.unescape(found[1]) if found else self.csrf
        return response

    def post(self, path: str, body: Any, **headers: str | bytes) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        usual = {"Content-Type": "application/json", "X-CSRF-Token": self.csrf, "Origin": self.url}
        sent = usual | {name.replace("_", "-"): value for name, value in headers.items()}
        raw = {
            name.encode(): value.encode() if isinstance(value, str) else value for name, value in sent.items() if value
        }
        return self.http.post(path, content=content, headers=raw)

    def ask(self, text: str = "where is my refund") -> dict[str, Any]:
        """Ask `topics`; return the answer."""
        answer: dict[str, Any] = self.post("/ask/classify", {"policy": "topics", "text": text}).json()["answers"][0]
        return answer

    def vote(self, answer: dict[str, Any], **value: Any) -> httpx.Response:
        return self.post("/votes", {**_right(answer), **value})

    def votes(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.http.get("/votes").json()["votes"]
        return rows


def _raw(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _right(answer: dict[str, Any]) -> dict[str, Any]:
    return {"response_id": answer["response_id"], "feedback_token": answer["feedback_token"]}


@pytest.fixture(scope="session")
def service() -> Iterator[DemoService]:
    running = DemoService.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def switch() -> Switch:
    return Switch()


@pytest.fixture(scope="session")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home") / "runs"


@pytest.fixture(scope="session")
def pages_url(service: DemoService, switch: Switch, runs_dir: Path) -> Iterator[str]:
    registry = CollectorRegistry()
    Counter("thumbwheel_votes", "Votes taken.", registry=registry).inc(3)
    with AdminClient(service.target, retry=RETRY) as admin:

        def deps(client: Any) -> Deps:
            return Deps(
                client=client,
                admin=admin,
                votes=service.world,
                rater_of=Raters(KEYS.user_key).user_hash,
                health=lambda: switch.health,
                metrics=registry,
                runs_dir=runs_dir,
                secret=SECRET,
                settled=switch.is_settled,
                kept_report=lambda run_id: switch.kept.get(run_id),
                body_timeout_s=1.0,
            )

        with running_pages(service.target, deps) as url:
            yield url


@pytest.fixture
def world(service: DemoService) -> World:
    service.world.reset()
    return service.world


@pytest.fixture
def browser(pages_url: str, world: World) -> Iterator[Browser]:
    opened = Browser(pages_url)
    opened.open()
    yield opened
    opened.http.close()
