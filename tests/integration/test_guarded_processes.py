"""Processes that run apart, behind certificates and keys: pages reach another's doors by a key of their own."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from certificates import authority

from thumbwheel.access.api_keys import new_key
from thumbwheel.app.admission import open_api_keys
from thumbwheel.app.home import Addresses
from thumbwheel.app.processes import serve, web
from thumbwheel.config.settings import Settings
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.records import ApiKey, Scope

# kafka-python leaves sockets behind where no broker answers
pytestmark = [
    pytest.mark.usefixtures("mask_kept"),
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]


def settings(folder: Path) -> Settings:
    """Certificates, keys, and a broker that is nowhere."""
    known = authority(folder)
    pair = known.sign(folder, "127.0.0.1")
    given: dict[str, Any] = {
        "home": folder / "home",
        "serve": {"port": 0, "admin_port": 0, "web_port": 0, "drain_s": 0},
        "probes": {"serve_port": 0, "web_port": 0},
        "kafka": {"bootstrap_servers": "127.0.0.1:1", "request_timeout_s": 1.0},
        "log": {"kind": "kafka"},
        "web": {"look_s": 0.05},
        "tls": {"certificate_file": pair[0], "key_file": pair[1], "ca_file": known.file},
        "auth": {"mode": "keys", "api_key_file": folder / "pages.key"},
    }
    return Settings.model_validate(given)


def make_key(settings: Settings, file: Path) -> None:
    shown, key_id, verifier = new_key()
    file.write_text(f"{shown}\n")
    with closing(open_api_keys(settings)) as table:
        made = ApiKey(key_id, "pages", (Scope.INFER, Scope.FEEDBACK), verifier, time.time_ns() // 1_000, "test")
        table.add(made, "test")


async def test_pages_reach_the_doors_of_another_process_by_their_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = asyncio.Event()
    for process in (serve, web):
        monkeypatch.setattr(process, "on_signals", lambda: stop)
    monkeypatch.delenv("THUMBWHEEL_API_KEY", raising=False)
    wanted = settings(tmp_path)
    load_or_make_keys(wanted.keys_path, 1)
    key_file = tmp_path / "pages.key"
    key_file.write_text("")
    serving: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    showing: asyncio.Future[web.Started] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve.run(wanted, serving.set_result))
        doors = await serving
        group.create_task(web.run(wanted, doors.grpc, doors.admin, showing.set_result))
        refused = (await showing).probes
        context = ssl.create_default_context(cafile=str(wanted.tls.ca_file))
        assert refused.startswith("https://") and doors.probes.startswith("https://")
        async with httpx.AsyncClient(verify=context, timeout=20) as client:
            while (await parts(client, refused)) != {"serve": f"does not answer at {doors.grpc}"}:
                await asyncio.sleep(0.05)
            assert (await client.get(f"{doors.probes}/metrics")).status_code == 200  # a port for operators alone
        stop.set()
    stop.clear()
    await asyncio.to_thread(make_key, wanted, key_file)
    serving, showing = (asyncio.get_running_loop().create_future() for _ in range(2))
    async with asyncio.TaskGroup() as group:
        group.create_task(serve.run(wanted, serving.set_result))
        doors = await serving
        group.create_task(web.run(wanted, doors.grpc, doors.admin, showing.set_result))
        admitted = (await showing).probes
        async with httpx.AsyncClient(verify=context, timeout=20) as client:
            while (await parts(client, admitted)) != {"serve": f"answers at {doors.grpc}"}:
                await asyncio.sleep(0.05)
        stop.set()


async def parts(client: httpx.AsyncClient, probes: str) -> dict[str, str]:
    found: dict[str, str] = (await client.get(f"{probes}/healthz")).json()["parts"]
    return found
