"""Which ports of a process and those it started are open to other machines: looked at, not believed."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import psutil

from thumbwheel.hosts.loopback import is_loopback


def open_ports(allowed: Collection[int] = (), own: Collection[int] = ()) -> list[str]:
    """Return what listens beyond loopback, `name address:port` each, of this process and all below it.

    Not counted are `allowed`, whoever has them, and `own`, which this process opened itself.
    """
    me = psutil.Process()
    found = {*_open(me, {*allowed, *own})}
    for below in me.children(recursive=True):
        found.update(_open(below, allowed))
    return sorted(found)


def _open(process: psutil.Process, allowed: Collection[int]) -> Iterator[str]:
    try:
        name, connections = process.name(), process.net_connections(kind="tcp")
    except psutil.NoSuchProcess:
        return
    for one in connections:
        if one.status != psutil.CONN_LISTEN or is_loopback(one.laddr.ip) or one.laddr.port in allowed:
            continue
        yield f"{name} {one.laddr.ip}:{one.laddr.port}"
