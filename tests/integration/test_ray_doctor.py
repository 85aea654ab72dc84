"""What `doctor` says of Ray, with a cluster and without one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback import free_port

from thumbwheel.app import ray_check
from thumbwheel.app.finding import Finding
from thumbwheel.app.ray_check import examine_ray
from thumbwheel.config.settings import Ray, Settings

pytestmark = pytest.mark.usefixtures("ray_serve")
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "c0ffee" * 8}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a cluster of one node of its own, which asks for `TOKEN`."""
    port, folder = free_port(), tempfile.mkdtemp(prefix="tw", dir="/tmp")
    head = [*RAY, "start", "--head", "--block", "--port", str(port), "--temp-dir", folder]
    options = ["--num-cpus", "1", "--include-dashboard", "false", "--disable-usage-stats"]
    with (tmp_path / "ray.txt").open("w") as said:
        running = subprocess.Popen([*head, *options], env=os.environ | TOKEN, stdout=said, stderr=said)
    try:
        while "runtime started" not in (tmp_path / "ray.txt").read_text():
            assert running.poll() is None, (tmp_path / "ray.txt").read_text()
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def found(home: Path, address: str = "") -> dict[str, Finding]:
    section = Ray(address=address, trusted_network=bool(address))
    return {one.check: one for one in examine_ray(Settings(home=home, ray=section))}


def test_without_a_cluster_only_what_replicas_here_need_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {name: one.ok for name, one in found(tmp_path).items()} == {"ray haproxy": True}
    monkeypatch.setattr(ray_check, "find_spec", lambda name: None)
    assert "pip install 'ray[serve]'" in found(tmp_path)["ray haproxy"].cure


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_told_with_its_cure(tmp_path: Path) -> None:
    told = found(tmp_path, address := f"127.0.0.1:{free_port()}")["ray cluster"]
    assert not told.ok
    assert told.found == f"no Ray cluster answers at {address}"
    assert "ray start --head" in told.cure


@pytest.mark.slow
def test_a_cluster_passes_for_whoever_has_its_token(
    tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # whoever runs this may have a token of Ray's there
    told = found(tmp_path, cluster)["ray cluster"]
    assert not told.ok
    assert told.found == f"the Ray cluster at {cluster} asks for its token"
    assert "RAY_AUTH_TOKEN" in told.cure
    for name, value in TOKEN.items():
        monkeypatch.setenv(name, value)
    assert found(tmp_path, cluster)["ray cluster"] == Finding("ray cluster", True, f"a cluster answers at {cluster}")
