"""Processes of their own: what they need to come up, and what they say where it is missing."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from answered import answer_and_vote

from thumbwheel.app import outboxes
from thumbwheel.app.home import Addresses, Home, trains_here
from thumbwheel.app.outboxes import outbox_of, replicas_dir, unshipped
from thumbwheel.app.processes import ingest, retrain, serve, up, web
from thumbwheel.app.storage import ingest_group, open_outbox
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import REQUESTS, NewRecord
from thumbwheel.client import AdminClient
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.config.settings import Settings
from thumbwheel.errors import HomeInUse, InvalidConfig, Unavailable
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.records import FeedbackKind
from thumbwheel.store.sql import open_store

# kafka-python leaves sockets behind where no broker answers
pytestmark = [
    pytest.mark.usefixtures("mask_kept"),
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

PORTS = {"port": 0, "admin_port": 0, "web_port": 0, "drain_s": 0}
PROBES = {"serve_port": 0, "ingest_port": 0, "retrain_port": 0, "web_port": 0}


def settings(home: Path, kind: str = "kafka", **sections: object) -> Settings:
    """A configuration whose broker is nowhere."""
    given = {"kafka": {"bootstrap_servers": "127.0.0.1:1", "request_timeout_s": 1.0}, "log": {"kind": kind}}
    return Settings.model_validate({"home": home, "serve": PORTS, "probes": PROBES, **given, **sections})


async def test_beside_the_embedded_log_they_say_what_to_start_instead(tmp_path: Path) -> None:
    embedded = settings(tmp_path / "home", "embedded")
    with pytest.raises(InvalidConfig, match=r"^log\.kind: `thumbwheel serve` works with Kafka.*`thumbwheel up`"):
        await serve.run(embedded, lambda _: None)
    with pytest.raises(InvalidConfig, match=r"^log\.kind: `thumbwheel ingest` works"):
        await ingest.run(embedded, lambda _: None)
    with pytest.raises(InvalidConfig, match=r"^log\.kind: `thumbwheel web` works"):
        await web.run(embedded, "127.0.0.1:1", "127.0.0.1:1", lambda _: None)
    assert not (tmp_path / "home").exists()


async def test_keys_are_not_made_by_the_way(tmp_path: Path) -> None:
    shared = settings(tmp_path / "home", feedback={"keys_file": tmp_path / "keys.json"})
    with pytest.raises(
        InvalidConfig, match=r"keys\.json: there is no key file; restore it, or copy the service's there"
    ):
        await serve.run(shared, lambda _: None)
    with pytest.raises(InvalidConfig, match=r"keys\.json: there is no key file"):
        await web.run(shared, "127.0.0.1:1", "127.0.0.1:1", lambda _: None)
    with pytest.raises(InvalidConfig, match=r"keys\.json: there is no key file"):
        await ingest.run(shared, lambda _: None)
    assert not (tmp_path / "keys.json").exists()


async def test_an_outbox_has_one_owner_and_a_folder_of_runs_one_trainer(tmp_path: Path) -> None:
    with Home(tmp_path):
        with pytest.raises(HomeInUse, match="choose another folder with --home"):
            await serve.run(settings(tmp_path), lambda _: None)
        with trains_here(tmp_path), pytest.raises(HomeInUse, match="another process trains in"):
            await retrain.watch(settings(tmp_path), lambda _: None)
    with trains_here(tmp_path):
        with pytest.raises(HomeInUse, match="another process trains in"):
            await up.run(settings(tmp_path, "embedded"), lambda _: None)
        with pytest.raises(HomeInUse, match="another process trains in"):
            await retrain.once(settings(tmp_path), lambda _: None)
    with trains_here(tmp_path):
        pass


async def test_a_user_is_not_erased_while_an_outbox_that_replicas_left_has_events_to_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits there would come into log and store after the user was erased in both."""
    stop = asyncio.Event()
    monkeypatch.setattr(serve, "on_signals", lambda: stop)
    wanted, refused = settings(tmp_path), list[Unavailable]()
    load_or_make_keys(wanted.keys_path, 1)
    (replica := replicas_dir(wanted) / "0").mkdir(parents=True)
    with closing(open_outbox(wanted, outbox_of(replica))) as outbox:
        outbox.append([NewRecord(REQUESTS, "r1", b"event")])
    started: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(serve.run(wanted, started.set_result))

    def erase(address: str) -> int:
        with AdminClient(address, timeout_s=30, retry=RetryPolicy(attempts=1)) as admin:
            try:
                admin.erase_user("ann", actor="op", reason="asked for")
            except Unavailable as error:
                refused.append(error)
            return admin.status().log_backlog_events

    assert await asyncio.to_thread(erase, (await started).admin) == 1
    assert [str(one) for one in refused] == ["earlier events are still on their way to the store; try again"]
    stop.set()
    await running


async def test_what_replicas_left_comes_into_the_embedded_log_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = asyncio.Event()
    monkeypatch.setattr(up, "on_signals", lambda: stop)
    monkeypatch.setattr(outboxes, "_LOOK_S", 0.1)
    wanted = settings(tmp_path, "embedded")
    (replica := replicas_dir(wanted) / "0").mkdir(parents=True)
    with closing(open_outbox(wanted, outbox_of(replica))) as outbox:
        outbox.append([to_log(record) for record in answer_and_vote(7)])
    started: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(up.run(wanted, started.set_result))
    await started
    with closing(open_store(wanted.database_url)) as store:
        while store.current_vote("r7", "u", FeedbackKind.THUMB) is None:
            await asyncio.sleep(0.05)
    assert unshipped(replicas_dir(wanted)) == 0
    stop.set()
    await running


@pytest.mark.parametrize("command", ["ingest", "retrain"])
async def test_a_taken_port_is_named(tmp_path: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        probes = {**PROBES, f"{command}_port": taken.getsockname()[1]}
        wanted = settings(tmp_path, probes=probes)
        load_or_make_keys(wanted.keys_path, 1)
        with pytest.raises(InvalidConfig, match=rf"^probes\.{command}_port: port \d+ on 127.0.0.1 is in use"):
            if command == "ingest":
                await ingest.run(wanted, lambda _: None)
            else:
                await retrain.watch(wanted, lambda _: None)


def test_workers_share_only_with_those_that_write_into_the_same_store(tmp_path: Path) -> None:
    one = settings(tmp_path / "a", database={"url": "postgresql+psycopg://me@db/votes"})
    elsewhere = settings(tmp_path / "b", database={"url": "postgresql+psycopg://me@db/votes"})
    other = settings(tmp_path / "a", database={"url": "postgresql+psycopg://me@db/rebuilt"})
    assert ingest_group(one).name == ingest_group(elsewhere).name != ingest_group(other).name
    assert ingest_group(settings(tmp_path / "a")).name != ingest_group(settings(tmp_path / "b")).name
    prefixed = settings(tmp_path, kafka={"topic_prefix": "blue."}, ingest={"instance": "w-1", "session_timeout_s": 9})
    group = ingest_group(prefixed)
    assert group.name.startswith("blue.thumbwheel.ingest.") and (group.instance, group.session_s) == ("w-1", 9)


@pytest.mark.parametrize("name", ["ingest", "web", "retrain"])
def test_what_neither_serves_nor_trains_itself_loads_no_heavy_library(name: str) -> None:
    heavy = {"torch", "transformers", "ray", "scipy.stats", "sklearn"}
    code = f"import sys, thumbwheel.app.processes.{name}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


async def health_of(url: str) -> tuple[int, Any]:
    async with httpx.AsyncClient(verify=False) as client:
        answer = await client.get(f"{url}/healthz")
        return answer.status_code, answer.json()


async def test_pages_whose_door_is_away_say_so_and_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = asyncio.Event()
    monkeypatch.setattr(web, "on_signals", lambda: stop)
    wanted = settings(tmp_path / "home", feedback={"keys_file": tmp_path / "keys.json"}, web={"look_s": 0.05})
    load_or_make_keys(tmp_path / "keys.json", 1)
    started: asyncio.Future[web.Started] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(web.run(wanted, "127.0.0.1:1", "127.0.0.1:1", started.set_result))
    told = await started
    told_of = {"serve": "does not answer at 127.0.0.1:1"}
    while (found := await health_of(told.probes))[1]["parts"] != told_of:
        await asyncio.sleep(0.05)
    assert found == (200, {"status": "degraded", "parts": told_of})
    assert await health_of(told.pages) == found
    stop.set()
    await running


async def test_ingest_waits_for_a_broker_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = asyncio.Event()
    monkeypatch.setattr(ingest, "on_signals", lambda: stop)
    started: asyncio.Future[ingest.Started] = asyncio.get_running_loop().create_future()
    wanted = settings(tmp_path / "home")
    load_or_make_keys(wanted.keys_path, 1)
    running = asyncio.create_task(ingest.run(wanted, started.set_result))
    told = await started
    while (found := await health_of(told.probes))[1]["status"] != "degraded":
        await asyncio.sleep(0.05)
    assert found[0] == 200 and "Kafka is unavailable" in found[1]["parts"]["ingest"]
    stop.set()
    await running
