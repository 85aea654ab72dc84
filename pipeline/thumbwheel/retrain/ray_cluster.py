"""The Ray that a step's workers run on: the cluster of the settings, or one of our own for as long as the step takes.

Our own is this machine's alone: it listens on the loopback, and knows its own by a token. Ray keeps log files of its
own; nothing of them comes to ours. Ray reads its environment when it is imported, so nothing imports it before this.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psutil

from thumbwheel.config.settings import Learn, Settings
from thumbwheel.errors import InvalidConfig, Unavailable

_START_S: Final = 600
_AWAY_S: Final = 15.0
_LOOPBACK: Final = "127.0.0.1"

# Nothing is told to Ray's makers, and a SIGTERM is no failure that would need a stack trace.
_SILENT: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1"}
_QUIET: Final[dict[str, Any]] = {"log_to_driver": False, "logging_level": logging.ERROR}


@contextmanager
def ray_cluster(settings: Settings) -> Iterator[None]:
    """Join or start Ray until the block ends; whatever the block started there ends with it.

    Raises:
        InvalidConfig: `ray[train]` is missing; a cluster is not trusted, or its workers have no place for a checkpoint.
        Unavailable: the cluster can not be reached, or our own does not start.
    """
    os.environ.update(_SILENT)
    with tempfile.TemporaryDirectory(prefix="thumbwheel-ray-", ignore_cleanup_errors=True) as scratch:
        if settings.ray.address:
            _demand_shared(settings)
        else:
            os.environ.update(_ours_alone(settings.learn))
        ray = _ray_with_train()
        try:
            with _own_sigterm():
                if settings.ray.address:
                    _join(ray, settings)
                else:
                    _start(ray, settings.learn, scratch)
            yield
        finally:
            ray.shutdown()


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray puts a handler of its own in the place of ours: put ours back."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _demand_shared(settings: Settings) -> None:
    if not settings.ray.trusted_network:
        problem = "must be true where ray.address is set: whoever reaches a cluster's ports runs code there"
        raise InvalidConfig("ray.trusted_network", problem)
    if not settings.artifacts.url:
        problem = "must name a store where ray.address is set: workers on other machines keep their checkpoint there"
        raise InvalidConfig("artifacts.url", problem)


def _ours_alone(learn: Learn) -> dict[str, str]:
    """The environment of a Ray of our own.

    Its processes listen on the loopback only where a cluster can't be: on machines of these kinds. What watches over a
    cluster is left out. The processes inherit it all: were it sent along with the work, Ray would start each twice.
    """
    token = os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)
    closed = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    spared = {"RAY_TRAIN_METRICS_ENABLED": "0", "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
    calm = {"RAY_worker_niceness": "0"}  # we have stepped back as far as `learn.niceness` says
    return {**closed, **spared, **calm, **_environment(learn.threads), "GLOO_SOCKET_IFNAME": _loopback_interface()}


def _ray_with_train() -> Any:
    try:
        import ray
        import ray.train.torch
    except ImportError as error:
        problem = "more than 1 worker needs Ray Train: pip install 'thumbwheel[train]'"
        raise InvalidConfig("learn.workers", problem) from error
    return ray


def _join(ray: Any, settings: Settings) -> None:
    address = settings.ray.address
    try:
        ray.init(address, runtime_env={"env_vars": _environment(settings.learn.threads)}, **_QUIET)
    except ConnectionError as error:
        problem = f"the Ray cluster at {address} can not be reached; start it, or mend ray.address"
        raise Unavailable(problem, _AWAY_S) from error


def _start(ray: Any, learn: Learn, scratch: str) -> None:
    try:
        ray.init(
            "local",
            num_cpus=learn.workers * learn.threads,
            include_dashboard=False,
            _temp_dir=scratch,
            **_QUIET,
        )
    except Exception as error:
        if type(error) is not Exception:
            raise
        # The bare class is what Ray raises where its processes are not up within half a minute.
        raise Unavailable("Ray did not start within half a minute: the machine is busy", _AWAY_S) from error


def _environment(threads: int) -> dict[str, str]:
    """Of all processes of the step: numeric libraries held to their threads, and time for workers to start."""
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    quiet = {"KMP_BLOCKTIME": "0", "OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false"}
    patience = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(_START_S)}
    return {**counts, **quiet, **patience}


def _loopback_interface() -> str:
    named = psutil.net_if_addrs()
    return next(name for name, addresses in named.items() if any(one.address == _LOOPBACK for one in addresses))
