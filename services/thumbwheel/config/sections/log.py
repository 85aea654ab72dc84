"""The embedded event log."""

from __future__ import annotations

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Bytes, Count


class Log(Section):
    """The embedded event log."""

    max_bytes: Bytes = Field(
        2 << 30, ge=1 << 20, description="Size at which the log refuses feedback and requests go unlogged, bytes."
    )
    max_batch: Count = Field(512, ge=1, le=10_000, description="Records written by one fsync at most.")
