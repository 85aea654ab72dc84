"""The process that keeps replicas on Ray, with something that is no Ray behind it: its own doors, and its end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from thumbwheel.app.home import Addresses
from thumbwheel.app.outboxes import outbox_of, replicas_dir
from thumbwheel.app.processes import serve_on_ray
from thumbwheel.app.replicas import Standing
from thumbwheel.app.storage import open_outbox
from thumbwheel.bus.port import REQUESTS, NewRecord
from thumbwheel.client import AdminClient
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.config.settings import Settings
from thumbwheel.errors import Unavailable
from thumbwheel.feedback.keys import Keys, load_or_make_keys
from thumbwheel.hosts.loopback import is_loopback
from thumbwheel.hosts.ray.cluster import Cluster
from thumbwheel.hosts.ray.node import Node

# kafka-python leaves sockets behind where no broker answers
pytestmark = [
    pytest.mark.usefixtures("mask_kept"),
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

PUBLIC: Mapping[str, Any] = {
    "serve": {"host": "0.0.0.0", "admin_host": "0.0.0.0", "port": 0, "admin_port": 0, "web_port": 0, "drain_s": 0},
    "probes": {"host": "0.0.0.0", "serve_port": 0},
    "ray": {"trusted_network": True},
}


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """What the process takes for a signal to end."""
    event = asyncio.Event()
    monkeypatch.setattr(serve_on_ray, "on_signals", lambda: event)
    return event


class NoRay:
    """Keeps no replicas, and says that one serves."""

    def standings(self) -> Mapping[str, Standing]:
        return {"a": Standing(True, {"desk": "v1"})}


def stand_in(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    """Run the process on `cluster`, whatever that is."""

    @asynccontextmanager
    async def on_ray(settings: Settings, keys: Keys) -> AsyncIterator[Any]:
        with ThreadPoolExecutor(1) as thread:
            ray = serve_on_ray._OnRay(settings, thread)
            ray.cluster = cluster
            ray.keeping = NoRay()  # type: ignore[assignment]
            yield ray

    monkeypatch.setattr(serve_on_ray, "_on_ray", on_ray)


def settings(home: Path, **sections: Any) -> Settings:
    """A configuration whose broker is nowhere."""
    load_or_make_keys(home / "keys.json", 1)
    away = {"kafka": {"bootstrap_servers": "127.0.0.1:1", "request_timeout_s": 1.0}, "log": {"kind": "kafka"}}
    return Settings.model_validate({"home": home, **away, **PUBLIC, **sections})


async def run(given: Settings, then: Callable[[Addresses], None]) -> None:
    async with asyncio.timeout(60):
        await serve_on_ray.run(given, then)


async def test_its_own_doors_are_not_taken_for_holes_of_ray(
    tmp_path: Path, stopped: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All hosts public, as it is told: it looks at the ports, finds its own, and goes on."""
    stand_in(monkeypatch, Cluster("0.0.0.0:1"))
    looks: list[list[str]] = []
    look, told = Cluster.exposed, list[Addresses]()

    def exposed(cluster: Cluster, *given: Any) -> list[str]:
        looks.append(look(cluster, *given))
        asyncio.run_coroutine_threadsafe(_set(stopped), loop)
        return looks[-1]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(Cluster, "exposed", exposed)
    listening: list[tuple[str, int]] = []

    def ready(addresses: Addresses) -> None:
        told.append(addresses)
        found = psutil.Process().net_connections("tcp")
        listening.extend((one.laddr.ip, one.laddr.port) for one in found if one.status == psutil.CONN_LISTEN)

    await run(settings(tmp_path), ready)
    ours = {int(url.rpartition(":")[2]) for url in (told[0].admin, told[0].probes)}
    assert ours <= {port for host, port in listening if not is_loopback(host)}
    assert [one for look in looks for one in look if int(one.rpartition(":")[2]) in ours] == []


async def test_with_rays_node_dead_it_ends_with_an_error(
    tmp_path: Path, stopped: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as raylet:
        stand_in(monkeypatch, Cluster("127.0.0.1:1", node=Node([psutil.Process(raylet.pid)])))
        with pytest.raises(Unavailable, match=r"Ray ended \(.+ is dead\)"):
            await run(settings(tmp_path), lambda _: raylet.kill())
    assert not stopped.is_set()


async def test_a_user_is_not_erased_while_replicas_have_events_to_ship(
    tmp_path: Path, stopped: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits there would come into log and store after the user was erased in both."""
    stand_in(monkeypatch, Cluster("127.0.0.1:1"))
    given, refused = settings(tmp_path), list[Unavailable]()
    (replica := replicas_dir(given) / "0").mkdir(parents=True)
    with closing(open_outbox(given, outbox_of(replica))) as outbox:
        outbox.append([NewRecord(REQUESTS, "r1", b"event")])
    started: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run(given, started.set_result))

    def erase(address: str) -> None:
        with AdminClient(address, timeout_s=30, retry=RetryPolicy(attempts=1)) as admin:
            try:
                admin.erase_user("ann", actor="op", reason="asked for")
            except Unavailable as error:
                refused.append(error)

    await asyncio.to_thread(erase, (await started).admin)
    assert [str(one) for one in refused] == ["earlier events are still on their way to the store; try again"]
    stopped.set()
    await running


async def _set(event: asyncio.Event) -> None:
    event.set()
