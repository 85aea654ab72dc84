"""The pages in a process of their own."""

from __future__ import annotations

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Seconds


class Web(Section):
    """The doors that `thumbwheel web` shows pages of. Its own address is `serve.host` and `serve.web_port`."""

    address: str = Field("", description="gRPC door for clients, `host:port`; empty: `serve.port` on `serve.host`.")
    admin_address: str = Field(
        "", description="gRPC door for operators, `host:port`; empty: `serve.admin_port` on `serve.admin_host`."
    )
    look_s: Seconds = Field(5.0, gt=0, le=300, description="Seconds between looks whether the door can be reached.")
