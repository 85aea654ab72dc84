"""From the log into the store."""

from __future__ import annotations

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Count, Seconds


class Ingest(Section):
    """From the log into the store."""

    batch: Count = Field(500, ge=1, le=10_000, description="Records a transaction at most.")
    orphan_max_age_s: Seconds = Field(
        86_400.0, ge=1, description="Seconds a vote waits for its response before it becomes a dead letter."
    )
