"""The port of Ray's metrics, which the Ray of a killed service holds for a while."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from time import monotonic

import pytest

from thumbwheel.config.settings import Ray, Settings
from thumbwheel.errors import InvalidConfig
from thumbwheel.hosts.ray import cluster
from thumbwheel.hosts.ray.cluster import free_metrics_port

LISTENING = "import socket, time; one = socket.create_server(('127.0.0.1', 0)); print(one.getsockname()[1], flush=True)"


@contextmanager
def orphan() -> Iterator[tuple[subprocess.Popen[str], Settings]]:
    """A process that listens, and settings that want its port."""
    with subprocess.Popen(
        [sys.executable, "-c", f"{LISTENING}; time.sleep(600)"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, Settings(ray=Ray(metrics_port=int(process.stdout.readline())))
        finally:
            process.kill()


def test_it_is_waited_for_until_the_orphan_is_gone() -> None:
    with orphan() as (process, settings):
        began, end = monotonic(), Timer(1.0, process.kill)
        end.start()
        assert free_metrics_port(settings) == settings.ray.metrics_port
        assert monotonic() - began > 0.9
        with socket.create_server(("127.0.0.1", settings.ray.metrics_port)):
            pass


def test_one_that_stays_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_ORPHANS_S", 0.3)
    with (
        orphan() as (_, settings),
        pytest.raises(InvalidConfig, match=rf"^ray\.metrics_port: port {settings.ray.metrics_port} on 127"),
    ):
        free_metrics_port(settings)


def test_any_is_taken_where_none_is_named() -> None:
    assert free_metrics_port(Settings(ray=Ray(metrics_port=0))) > 0
