"""A Ray cluster."""

from __future__ import annotations

from pydantic import Field

from thumbwheel.config.sections.section import Section


class Ray(Section):
    """The Ray cluster for what is set to run on Ray."""

    address: str = Field(
        "",
        description="Address of a Ray cluster to join, `host:port` or `auto`; empty: a Ray of this machine alone is "
        "started, on loopback, and stopped in the end. A cluster is open to whoever reaches its network: see "
        "`ray.trusted_network`.",
    )
    trusted_network: bool = Field(
        False,
        description="Whoever reaches a cluster's ports runs code there. `true`: you know, and the network before it is "
        "closed to others. Without it a `ray.address` is refused.",
    )
