"""Processes that start before their database: they wait, say so, are not ready, and go on when it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
from loopback import free_port
from postgres_server import PASSWORD, PostgresServer

from thumbwheel.app.processes import ingest, retrain, serve, up, web
from thumbwheel.config.settings import Settings
from thumbwheel.feedback.keys import load_or_make_keys

# kafka-python leaves sockets behind where no broker answers
pytestmark = [
    pytest.mark.usefixtures("mask_kept"),
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

PROCESSES = {"serve": serve, "ingest": ingest, "retrain": retrain, "web": web, "up": up}
PATIENCE_S = 120
Run = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """What the processes take for a signal to end."""
    event = asyncio.Event()
    for process in PROCESSES.values():
        monkeypatch.setattr(process, "on_signals", lambda: event)
    return event


def settings(home: Path, url: str) -> Settings:
    """A configuration whose broker is nowhere."""
    home.mkdir(exist_ok=True)
    load_or_make_keys(home / "keys.json", 1)
    (home / "password").write_text(PASSWORD)
    given = {
        "database": {"url": url.replace(f":{PASSWORD}", ""), "password_file": home / "password"},
        "serve": {"port": 0, "admin_port": 0, "web_port": free_port(), "drain_s": 0},
        "probes": {f"{name}_port": free_port() for name in PROCESSES if name != "up"},
        "kafka": {"bootstrap_servers": "127.0.0.1:1", "request_timeout_s": 1.0},
        "log": {"kind": "kafka"},
    }
    return Settings.model_validate({"home": home, **given})


def all_of(given: Settings, whole: Settings, ready: Callable[[str], None]) -> dict[str, Run]:
    """Return what runs each process: `up` by the settings `whole`, a home of its own, the others by `given`."""
    return {
        "serve": lambda: serve.run(given, lambda _: ready("serve")),
        "ingest": lambda: ingest.run(given, lambda _: ready("ingest")),
        "retrain": lambda: retrain.watch(given, lambda _: ready("retrain")),
        "web": lambda: web.run(given, "127.0.0.1:1", "127.0.0.1:1", lambda _: ready("web")),
        "up": lambda: up.run(whole, lambda _: ready("up")),
    }


def probes_of(name: str, given: Settings, whole: Settings) -> int:
    return whole.serve.web_port if name == "up" else int(getattr(given.probes, f"{name}_port"))


async def not_ready(port: int) -> dict[str, Any]:
    """Return what /healthz says with 503, once it does."""
    async with httpx.AsyncClient() as client:
        while True:
            try:
                answer = await client.get(f"http://127.0.0.1:{port}/healthz")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            assert answer.status_code == 503
            return dict(answer.json())


async def test_all_of_them_wait_for_it(
    tmp_path: Path, postgres: PostgresServer, postgres_url: str, stopped: asyncio.Event
) -> None:
    given, whole = (settings(tmp_path / name, postgres_url) for name in ("apart", "whole"))
    ready, all_ready = set[str](), asyncio.Event()

    def began(name: str) -> None:
        ready.add(name)
        if len(ready) == len(PROCESSES):
            all_ready.set()

    postgres.stop("immediate")
    running = [asyncio.create_task(run()) for run in all_of(given, whole, began).values()]
    try:
        async with asyncio.timeout(PATIENCE_S):
            for name in PROCESSES:
                said = await not_ready(probes_of(name, given, whole))
                assert said == {"status": "not serving", "parts": {"database": "away; it is waited for"}}
            assert ready == set()
    finally:
        await asyncio.to_thread(postgres.start)
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.wait([*running, asyncio.create_task(all_ready.wait())], return_when=asyncio.FIRST_COMPLETED)
        assert ready == set(PROCESSES)
        stopped.set()
        assert await asyncio.gather(*running) == [None] * len(PROCESSES)


async def test_asked_to_end_they_wait_no_longer(tmp_path: Path, stopped: asyncio.Event) -> None:
    nowhere = f"postgresql+psycopg://thumbwheel@127.0.0.1:{free_port()}/thumbwheel"
    given, whole = (settings(tmp_path / name, nowhere) for name in ("apart", "whole"))
    ready = set[str]()
    async with asyncio.timeout(PATIENCE_S):
        running = [asyncio.create_task(run()) for run in all_of(given, whole, ready.add).values()]
        for name in PROCESSES:
            await not_ready(probes_of(name, given, whole))
        stopped.set()
        await asyncio.gather(*running)
    assert ready == set()
