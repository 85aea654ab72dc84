"""A Ray cluster."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Count, Port, Ratio, Seconds


class Ray(Section):
    """Ray: replicas on Ray Serve, where `thumbwheel serve` runs with `--on ray`; training, with `learn.workers`."""

    address: str = Field(
        "",
        description="Address of a Ray cluster to join, `host:port` or `auto`; empty: a Ray of this machine alone is "
        "started, on loopback, and stopped in the end. A cluster is open to whoever reaches its network: see "
        "`ray.trusted_network`.",
    )
    trusted_network: bool = Field(
        False,
        description="Ray's door has no TLS and asks for no key, and on a cluster whoever reaches Ray's ports runs code "
        "there. `true`: you know, and the network before it is closed to others. Without it `--on ray` refuses a "
        "`serve.host` other than loopback, and a `ray.address` is refused.",
    )
    min_replicas: Count = Field(1, ge=1, le=1_000, description="Replicas there are at least.")
    max_replicas: Count = Field(2, ge=1, le=1_000, description="Replicas there are at most.")
    target_ongoing: Ratio = Field(
        16.0, gt=0, le=10_000, description="Requests in hand of each replica that the number of replicas is kept to."
    )
    upscale_delay_s: Seconds = Field(
        10.0, ge=0, le=3_600, description="Seconds for which more replicas are wanted before there are more."
    )
    downscale_delay_s: Seconds = Field(
        300.0, ge=0, le=86_400, description="Seconds for which fewer replicas are wanted before there are fewer."
    )
    cpus: Ratio = Field(1.0, gt=0, le=256, description="Cores that Ray keeps for each replica.")
    lease_s: Seconds = Field(
        10.0,
        ge=1,
        le=3_600,
        description="Seconds for which a replica goes on serving what it read of the registry. One that can not read "
        "it any more asks whether others can, and stops when a channel has moved, or when nobody answers.",
    )
    metrics_port: Port = Field(
        7077,
        description="HTTP port of the replicas' metrics, `ray_` before their names, where Ray is this machine's alone; "
        "0 takes a free one. A cluster has its own.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas must be at least min_replicas, {self.min_replicas}")
        return self
