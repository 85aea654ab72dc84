"""Where processes that stand alone tell of themselves."""

from __future__ import annotations

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Port


class Probes(Section):
    """/healthz and /metrics of `serve`, `ingest`, `retrain --watch` and `web`; `up` has both beside its pages."""

    host: str = Field("127.0.0.1", description="Address to listen on. They hold no secret, but are for operators.")
    serve_port: Port = Field(7073, description="HTTP port of `thumbwheel serve`; 0 takes a free one.")
    ingest_port: Port = Field(
        7074, description="HTTP port of `thumbwheel ingest`; 0 takes a free one. Each on a machine needs its own."
    )
    retrain_port: Port = Field(7075, description="HTTP port of `thumbwheel retrain --watch`; 0 takes a free one.")
    web_port: Port = Field(7076, description="HTTP port of `thumbwheel web`; 0 takes a free one.")
