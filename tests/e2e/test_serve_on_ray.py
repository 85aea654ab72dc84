"""Replicas on a real Ray: killed in bursts of votes, swapped under load, drained; closed to other machines."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import grpc
import httpx
import psutil
import pytest
from chat_swaps import CLIENTS, replayed, swap_under_load
from kafka_server import KafkaBroker
from scaled_service import (
    ingest_all,
    logged_chats,
    make_home,
    new_topics,
    replica_pids,
    serving,
    settings_of,
)
from service_ledger import Acknowledged, ask_and_vote, demand_home_balance, wait_until_serving

from thumbwheel.app.outboxes import unshipped
from thumbwheel.client import AdminClient
from thumbwheel.hosts.loopback import is_loopback
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub
from thumbwheel.simulate.service import ServiceProcess
from thumbwheel.telemetry.metrics import Metrics

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("ray_serve"),
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

KILLS = 4
SWAPS = 6


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ray") / "home"
    make_home(made)
    return made


@pytest.fixture(scope="module")
def settings(kafka_session: KafkaBroker) -> Mapping[str, object]:
    kafka_session.start()
    return settings_of(new_topics(kafka_session), generate__max_new_tokens=2000)


@pytest.fixture(scope="module")
def service(home: Path, settings: Mapping[str, object]) -> Iterator[ServiceProcess]:
    with serving(home, settings, "ray") as running:
        yield running


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "thumbwheel.cli", "--home", str(home), *arguments]
    return subprocess.run(whole, capture_output=True, text=True, timeout=120)


def until(condition: Any, seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        pytest.param(["serve.host=0.0.0.0", "log.kind=kafka"], "ray.trusted_network=true", id="a door open to others"),
        pytest.param(["ray.address=auto", "log.kind=kafka"], "ray.trusted_network=true", id="a cluster"),
        pytest.param(
            ["ray.address=auto", "ray.trusted_network=true", "log.kind=kafka"], "set it to broker", id="votes on nodes"
        ),
        pytest.param([], "log.kind", id="the embedded log"),
    ],
)
def test_what_it_does_not_start_with_is_said_in_a_line(home: Path, sections: list[str], told: str) -> None:
    flags = [flag for one in sections for flag in ("--set", one)]
    done = command(home, *flags, "serve", "--on", "ray")
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def listening(process: psutil.Process) -> list[Any]:
    """Where a process listens; Ray has some that are gone again by now."""
    try:
        return [one.laddr for one in process.net_connections(kind="tcp") if one.status == psutil.CONN_LISTEN]
    except psutil.NoSuchProcess:
        return []


def test_nothing_of_it_listens_beyond_loopback(service: ServiceProcess) -> None:
    asyncio.run(wait_until_serving(service.addresses["grpc"]))
    me = psutil.Process(service.pid)
    found = [address for process in (me, *me.children(recursive=True)) for address in listening(process)]
    assert len(found) > 10
    assert [one for one in found if not is_loopback(one.ip)] == []
    # Replicas of two kinds of calls each, not where another Ray of this machine has its own.
    assert len([one for one in found if 20_000 <= one.port < 32_000]) == 4


def test_its_terminal_is_not_filled_by_ray(service: ServiceProcess) -> None:
    told = service.log.read_text().splitlines()
    assert [line for line in told if "[info" not in line and not line.startswith("serving: gRPC")] == []


def test_health_and_status_are_of_all_replicas(service: ServiceProcess) -> None:
    until(lambda: len(httpx.get(f"{service.addresses['probes']}/healthz").json()["parts"]) == 2)
    found = httpx.get(f"{service.addresses['probes']}/healthz").json()
    assert found["status"] == "serving"
    assert all("chat v1" in part for part in found["parts"].values())
    with AdminClient(service.addresses["admin"]) as admin:
        assert {one.policy for one in admin.status().policies} == {"chat", "endless", "topics"}


def test_metrics_are_where_rays_are_under_the_catalogues_names(service: ServiceProcess) -> None:
    with grpc.insecure_channel(service.addresses["grpc"]) as channel:
        stub: Any = InferenceServiceStub(channel)
        for _ in range(8):
            stub.Classify(pb.ClassifyRequest(text="x"), timeout=20)
    told = next(line for line in service.log.read_text().splitlines() if "metrics=" in line)
    url = told.split("metrics=")[1].split()[0]
    wanted = "ray_thumbwheel_rpcs_total{"

    def counted() -> bool:
        return any(
            line.startswith(wanted) and 'code="OK"' in line and 'policy_version="v1"' in line and 'replica="' in line
            for line in httpx.get(url).text.splitlines()
        )

    until(counted)
    text = httpx.get(url).text
    ours = {line.split("{")[0] for line in text.splitlines() if line.startswith("ray_thumbwheel_")}
    names = {f"ray_{spec.name}" for spec in Metrics().catalogue}
    suffixes = ("_total", "_bucket", "_sum", "_count")
    bare = {next((one.removesuffix(end) for end in suffixes if one.endswith(end)), one) for one in ours}
    assert {"ray_thumbwheel_rpc_duration_seconds", "ray_thumbwheel_version_serving"} <= bare <= names


def test_swaps_under_load_drop_nothing_and_every_answer_replays_on_its_version(
    service: ServiceProcess, settings: Mapping[str, object]
) -> None:
    seen = asyncio.run(swap_under_load(service, SWAPS))
    assert seen.errors == []
    assert seen.mixed == 0
    until(lambda: unshipped(service.home / "replicas") == 0)
    logged = logged_chats(service.home, settings)
    assert len(logged) == seen.answers > SWAPS * CLIENTS
    replays = replayed(service.home, logged)
    assert sum(replays.values()) == len(logged)
    assert min(replays.values()) > 0


def left_of(processes: list[psutil.Process], seconds: float) -> list[str]:
    """Return which of them are still there after so long; Ray's agents look only now and then for whom they serve."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return [f"{one.pid} {' '.join(one.cmdline())[:80]}" for one in alive]


def test_acknowledged_votes_survive_kills_of_replicas_and_of_the_whole(
    home: Path, settings: Mapping[str, object], service: ServiceProcess
) -> None:
    """First replicas, each in the middle of a burst, then all of it; their successors ship what the dead left."""
    told, rng, target = Acknowledged(), Random(7), service.addresses["grpc"]
    for _ in range(KILLS):
        until(lambda: len(replica_pids(service)) == 2, 120)
        asyncio.run(wait_until_serving(target))

        def kill_one() -> None:
            os.kill(rng.choice(replica_pids(service)), signal.SIGKILL)

        asyncio.run(ask_and_vote(target, told, rng.randint(20, 80), kill_one))
    assert {str(one) for one in told.refusals if "INTERNAL" in repr(one)} == set()
    below = psutil.Process(service.pid).children(recursive=True)
    asyncio.run(wait_until_serving(target))
    asyncio.run(ask_and_vote(target, told, 30, service.kill))
    assert left_of(below, 180) == []
    with serving(home, settings, "ray") as last:
        asyncio.run(wait_until_serving(last.addresses["grpc"]))
        until(lambda: unshipped(home / "replicas") == 0)
    ingest_all(home, settings)
    assert len(told.votes) > KILLS * 20
    demand_home_balance(home, told)


def test_ended_it_finishes_what_it_has_in_hand_and_leaves_nothing_behind(
    home: Path, settings: Mapping[str, object]
) -> None:
    with serving(home, settings, "ray") as service:
        asyncio.run(wait_until_serving(service.addresses["grpc"]))
        below = psutil.Process(service.pid).children(recursive=True)
        with grpc.insecure_channel(service.addresses["grpc"]) as channel:
            stub: Any = InferenceServiceStub(channel)
            request = pb.GenerateRequest(policy="endless", prompt="x", sampling=pb.Sampling(max_new_tokens=400))
            call = stub.StreamGenerate(request, timeout=120)
            first = next(call)
            os.kill(service.pid, signal.SIGTERM)
            rest = list(call)
        assert first.HasField("stamp")
        assert rest[-1].completion_tokens == 400
        assert rest[-1].stamp.logged
        assert psutil.Process(service.pid).wait(120) == 0
    assert left_of(below, 10) == []
    assert list(home.glob("service.json")) == []


def test_open_to_others_as_told_it_serves_until_rays_node_dies_and_ends_with_an_error(
    home: Path, settings: Mapping[str, object]
) -> None:
    hosts = dict.fromkeys(("serve.host", "serve.admin_host", "probes.host"), "0.0.0.0")
    with serving(home, {**settings, **hosts, "ray.trusted_network": True}, "ray") as service:
        asyncio.run(wait_until_serving(service.addresses["grpc"]))
        until(lambda: len(httpx.get(f"{service.addresses['probes']}/healthz").json()["parts"]) == 2)
        with AdminClient(service.addresses["admin"]) as admin:
            assert {one.policy for one in admin.status().policies} == {"chat", "endless", "topics"}
        below = psutil.Process(service.pid).children(recursive=True)
        [raylet] = [one for one in below if one.name().startswith("raylet")]
        raylet.kill()
        until(lambda: service.status is not None, 120)
        assert service.status == 69
    assert left_of(below, 180) == []
    told = service.log.read_text().splitlines()
    assert len([line for line in told if "Ray ended (raylet is dead)" in line]) == 1
