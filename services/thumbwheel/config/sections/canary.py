"""How a version that passed the gates is tried among users."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Count, Days, Fraction, Hours, Ratio, Seconds


class Canary(Section):
    """How a version that passed the gates is tried among users."""

    mode: Literal["off", "on"] = Field(
        "off",
        description="What becomes of a version that passed the gates. `on`: it answers a share of the users first and "
        "is promoted when their thumbs say so; `off`: it is promoted at once, and watched.",
    )
    watch: bool = Field(
        True,
        description="With `off`: roll a new champion back by itself when users' thumbs say that it is worse than the "
        "one before.",
    )
    share: Fraction = Field(
        0.1, gt=0, le=0.5, description="Share of users whom a canary answers. Those without a user id stay out."
    )
    confidence: Ratio = Field(
        0.95,
        gt=0.5,
        lt=1.0,
        description="At most the rest to 1 is the chance that a version is called worse, or good, that is not, however "
        "often one looks.",
    )
    margin: Fraction = Field(
        0.05,
        le=0.5,
        description="A share of thumbs up lower by less than this is no reason to roll back, and none not to promote.",
    )
    min_voices: Count = Field(20, ge=1, description="Users who must have voted on each version before users decide.")
    enough_voices: Count = Field(
        1_000,
        ge=1,
        description="Users who voted on a new champion after whom it is kept, if nothing speaks against it.",
    )
    watch_hours: Hours = Field(72.0, gt=0, le=8760, description="Hours for which a new champion is watched.")
    baseline_days: Days = Field(
        7, ge=1, le=365, description="Days of thumbs on the champion before that a new one is held against."
    )
    max_hours: Hours = Field(168.0, gt=0, le=8760, description="Hours after which an undecided canary is given up.")
    max_failure_rise: Fraction = Field(
        0.02, description="Most that a canary's share of failed requests may lie above the champion's."
    )
    max_latency_ratio: Ratio = Field(
        2.0, ge=1.0, le=100, description="Most that the 99th percentile of a canary's times may be of the champion's."
    )
    max_empty_rise: Fraction = Field(
        0.05, description="Most that the share of empty or refusing replies may lie above the champion's."
    )
    max_length_ratio: Ratio = Field(
        2.0, ge=1.0, le=100, description="Most that replies may be longer, or shorter, than the champion's, on average."
    )
    shadow_limit: Count = Field(
        2, ge=1, le=1_000, description="Requests that a shadow answers at once; further ones it leaves out."
    )
    check_s: Seconds = Field(5.0, gt=0, le=3600, description="Seconds between looks at what users said.")
