"""What is refused before Ray is begun, and that one worker does without it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from thumbwheel.config.settings import Artifacts, Learn, Ray, Settings
from thumbwheel.errors import InvalidConfig
from thumbwheel.retrain.ray_cluster import ray_cluster

TWO = Learn(workers=2)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the code sets for Ray is taken back."""
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_DISABLE_FAILURE_SIGNAL_HANDLER"):
        monkeypatch.setenv(name, "0")


def test_a_cluster_that_is_not_trusted_is_not_joined() -> None:
    settings = Settings(learn=TWO, ray=Ray(address="127.0.0.1:1"), artifacts=Artifacts(url="file:///shared"))
    with pytest.raises(InvalidConfig, match="ray.trusted_network: must be true"), ray_cluster(settings):
        pytest.fail("joined")


def test_a_cluster_needs_a_store_for_checkpoints() -> None:
    settings = Settings(learn=TWO, ray=Ray(address="127.0.0.1:1", trusted_network=True))
    with pytest.raises(InvalidConfig, match="artifacts.url: must name a store"), ray_cluster(settings):
        pytest.fail("joined")


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.train.torch", None)
    settings = Settings(
        learn=TWO, ray=Ray(address="127.0.0.1:1", trusted_network=True), artifacts=Artifacts(url="file:///shared")
    )
    with (
        pytest.raises(InvalidConfig, match=r"learn.workers: .*pip install 'thumbwheel\[train\]'"),
        ray_cluster(settings),
    ):
        pytest.fail("joined")


def test_one_worker_learns_without_ray() -> None:
    names = ("worker", "crew", "learn_classify", "learn_generate")
    code = f"import sys, {', '.join(f'thumbwheel.retrain.{name}' for name in names)}; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
