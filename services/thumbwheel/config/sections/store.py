"""What the store keeps, and how long."""

from __future__ import annotations

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Days


class Store(Section):
    """What the store keeps, and how long."""

    retention_days: Days = Field(
        0,
        ge=0,
        le=36_500,
        description="Days for which answers and the votes on them are kept, in store, embedded log and the "
        "snapshots of runs; 0: for ever. They go by slices of a twelfth of it, so a little later. At least as long as "
        "an answer can be rated, `feedback.token_ttl_s`.",
    )

    @property
    def slice_days(self) -> int:
        """Days of which answers are forgotten at once."""
        return max(1, self.retention_days // 12)
