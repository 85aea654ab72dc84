"""The service's doors."""

from __future__ import annotations

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Bytes, Count, Port, Seconds


class Serve(Section):
    """Addresses and limits of the service's doors."""

    host: str = Field(
        "127.0.0.1",
        description="Address the doors for clients and the pages listen on. Loopback unless you say otherwise.",
    )
    admin_host: str = Field(
        "127.0.0.1",
        description="Address the door for operators listens on. It does not follow `serve.host`: who reaches it "
        "promotes and erases without a key. Name it where `thumbwheel web` or a command line on another machine has to "
        "reach it, and close that network to others.",
    )
    port: Port = Field(7070, description="gRPC port for clients; 0 takes a free one.")
    admin_port: Port = Field(7071, description="gRPC port for operators; 0 takes a free one.")
    web_port: Port = Field(7072, description="HTTP port of the pages, /metrics and /healthz; 0 takes a free one.")
    web_hosts: str = Field(
        "127.0.0.1,localhost,[::1]",
        description="Host names the pages answer to, joined by commas; `*` for any. Stops other sites' scripts.",
    )
    max_message_bytes: Bytes = Field(
        4 << 20, ge=1 << 16, le=64 << 20, description="Largest gRPC message taken, in bytes."
    )
    drain_s: Seconds = Field(
        20.0, ge=0, le=600, description="Seconds given to requests in flight after SIGTERM before they are cut off."
    )
    reconcile_s: Seconds = Field(
        1.0, gt=0, le=60, description="Seconds between looks at the registry for a moved channel."
    )
    torch_threads: Count = Field(
        0, ge=0, le=256, description="Threads for torch; 0: cores available minus one, at least one."
    )
