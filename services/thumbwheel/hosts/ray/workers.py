"""What is changed in each process that Ray starts, before its work: Ray has no settings for it.

Ray binds the servers of replicas, its own proxy and parts of HAProxy to every address of the machine. Where Ray is this
machine's alone they are bound to loopback, but for the one door that is asked for. `open_ports.py` looks whether that
was all: another release of Ray may have more.

For a replica that died HAProxy answers by an HTTP status. Ray makes 500 of all of them, in which gRPC's clients see
UNKNOWN, and give up; left alone, 502 to 504 are UNAVAILABLE, and they try again.

Ray means a replica's gRPC port to be that replica's alone, but says so in a way that gRPC does not read: a second
server on the same port, of another Ray or of a replica that is about to end, would get a part of the calls.

When the process that keeps Ray is killed, Ray's own processes notice and end; HAProxy would stay, and keep the port.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable
from typing import Any

HOOK = f"{__name__}.prepare"
DOOR_HOST = "RAY_THUMBWHEEL_DOOR_HOST"
"""Address of the door, where Ray is this machine's alone. Empty or absent: Ray binds as it does."""

_LOOPBACK = "127.0.0.1"
_SHARED_PORT = "grpc.so_reuseport"
_BINDS = {
    "bind :{{ config.metrics_port }}": f"bind {_LOOPBACK}:{{{{ config.metrics_port }}}}",
    "bind *:{{ config.stats_port }}": f"bind {_LOOPBACK}:{{{{ config.stats_port }}}}",
    "bind {{ config.frontend_host }}:": f"bind {_LOOPBACK}:",
}
_DOOR = "bind {{ config.grpc_frontend_host }}:"
_ERROR_FILES = re.compile(r"^    errorfile .*$\n", re.MULTILINE)


def prepare() -> None:
    """Change this process. Ray calls it in each of its workers."""
    # Imported where it is used: this module is also read by processes that have no need of it.
    from ray.serve._private import haproxy, haproxy_templates

    template = _ERROR_FILES.sub("", haproxy_templates.HAPROXY_CONFIG_TEMPLATE)
    if door := os.environ.get(DOOR_HOST, ""):
        _bind_to_loopback()
        template = closed(template, door)
    for module in (haproxy_templates, haproxy):
        setattr(module, "HAPROXY_CONFIG_TEMPLATE", template)  # noqa: B010
    haproxy.asyncio = _FatefulAsyncio()
    demand_own_ports()


def demand_own_ports() -> None:
    """Let no gRPC server of Ray's share its port unless it is to: gRPC reads a number there, Ray gives it a text."""
    from ray.serve._private.grpc_util import gRPCGenericServer

    begin = gRPCGenericServer.__init__

    def begin_with_numbers(server: Any, *arguments: Any, extra_options: Any = None, **more: Any) -> None:
        options = [(name, int(value) if name == _SHARED_PORT else value) for name, value in extra_options or []]
        begin(server, *arguments, extra_options=options, **more)

    gRPCGenericServer.__init__ = begin_with_numbers


class _FatefulAsyncio:
    """`asyncio` as Ray's keeper of HAProxy sees it: what it starts dies with it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def create_subprocess_exec(self, *arguments: str, **options: Any) -> asyncio.subprocess.Process:
        from ray._private.utils import set_kill_on_parent_death_linux

        if sys.platform == "linux":
            options["preexec_fn"] = set_kill_on_parent_death_linux
        return await asyncio.create_subprocess_exec(*arguments, **options)


def closed(template: str, door_host: str) -> str:
    """Return HAProxy's configuration with everything on loopback but the gRPC door, which is on `door_host`."""
    for open_bind, closed_bind in _BINDS.items():
        template = template.replace(open_bind, closed_bind)
    return template.replace(_DOOR, f"bind {door_host}:")


def _bind_to_loopback() -> None:
    from ray._common import tls_utils
    from ray.serve._private import default_impl, replica

    internal = _on_loopback(tls_utils.add_port_to_grpc_server)
    for module in (tls_utils, replica):
        setattr(module, "add_port_to_grpc_server", internal)  # noqa: B010
    default_impl.add_grpc_address = _on_loopback(default_impl.add_grpc_address)


def _on_loopback(bind: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    def bound(server: Any, address: str) -> Any:
        return bind(server, f"{_LOOPBACK}:{address.rpartition(':')[2]}")

    return bound
