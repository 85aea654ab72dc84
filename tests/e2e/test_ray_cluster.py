"""A cluster that others started with `ray start` is joined, and left as it was."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from kafka_server import KafkaBroker
from loopback import answers, free_port
from scaled_service import make_home, new_topics, serving, settings_of
from service_ledger import wait_until_serving

from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("ray_serve")]

_TOLD = 1_500  # characters of each of Ray's logs, where the test fails

# Loopback, and a token that both sides know.
CLUSTER = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
}


@contextmanager
def ray_head() -> Iterator[int]:
    """Run a cluster of one node; yield its port."""
    folder, port = Path(tempfile.mkdtemp(prefix="ray-")), free_port()
    options = {"port": port, "num-cpus": 4, "temp-dir": folder, "object-store-memory": 100 << 20}
    flags = [f"--{name}={value}" for name, value in options.items()]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", *flags]
    whole = [*command, "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(whole, stdout=output, stderr=output, start_new_session=True)
    try:
        yield port
    except BaseException:
        for log in sorted((folder / "session_latest" / "logs" / "serve").glob("*.log")):
            print(f"{log.name}: {log.read_text()[-_TOLD:]}")  # noqa: T201
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def _cluster_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CLUSTER.items():
        monkeypatch.setenv(name, value)


async def classified(target: str) -> str:
    await wait_until_serving(target)
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = InferenceServiceStub(channel)
        answer = await stub.Classify(pb.ClassifyRequest(policy="topics", text="x"), timeout=30)
    return str(answer.stamp.policy_version)


def on(cluster: int, home: Path, settings: Mapping[str, object]) -> Any:
    more = {
        "ray.address": f"127.0.0.1:{cluster}",
        "ray.trusted_network": "true",
        "log.feedback_durability": "broker",
        "ray.min_replicas": 1,
    }
    return serving(home, {**settings, **more}, "ray")


@pytest.mark.usefixtures("_cluster_kind")
def test_a_cluster_is_joined_served_on_and_left(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_home(home)
    settings, doors = settings_of(new_topics(kafka_broker)), list[int]()
    with ray_head() as cluster:
        for _ in range(2):  # it can be joined again
            with on(cluster, home, settings) as service:
                assert asyncio.run(classified(service.addresses["grpc"])) == "v1"
                doors.append(int(service.addresses["grpc"].rpartition(":")[2]))
            assert answers(cluster)
    assert [door for door in doors if answers(door)] == []
