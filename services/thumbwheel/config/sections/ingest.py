"""From the log into the store."""

from __future__ import annotations

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Count, Seconds


class Ingest(Section):
    """From the log into the store."""

    instance: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$|^$",
        description="Name of a `thumbwheel ingest` among those that share the partitions in Kafka, for example its "
        "pod's. With one, a restart within `session_timeout_s` keeps its partitions; no two may have the same, and all "
        "should have one or none. Empty: its partitions go to others when it stops.",
    )
    session_timeout_s: Seconds = Field(
        30.0,
        ge=6,
        le=1_800,
        description="Seconds without a sign of life after which the partitions of a `thumbwheel ingest` go to others.",
    )
    batch: Count = Field(2_000, ge=1, le=10_000, description="Records a transaction at most.")
    orphan_max_age_s: Seconds = Field(
        86_400.0, ge=1, description="Seconds a vote waits for its response before it becomes a dead letter."
    )
