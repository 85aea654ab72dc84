"""What a snapshot takes."""

from __future__ import annotations

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Fraction, Votes


class Data(Section):
    """What a snapshot takes."""

    held_out: Fraction = Field(0.2, le=0.9, description="Share of users whose votes are only used to judge.")
    max_votes_per_rater: Votes = Field(
        200, ge=1, description="Votes of one rater that count towards training; the newest are kept."
    )
    anonymous_as_one: bool = Field(
        True,
        description="Count all votes without a user id as one rater's: up to `data.max_votes_per_rater` teach, none "
        "judge. Off, each such answer has a rater of its own, and who asks often enough can decide what is learned.",
    )
    min_votes_generate: Votes = Field(
        1_500,
        ge=10,
        description="Votes to learn from below which a `generate` run says no. Held-out users' don't count, nor those "
        "of the newest slice: of 2,000 thumbs about 1,500 are left.",
    )
    min_votes_classify: Votes = Field(
        150, ge=10, description="Thumbs to learn from below which a `classify` run says no, counted likewise."
    )
    min_votes_tag: Votes = Field(
        150,
        ge=10,
        description="Votes to learn from (of each rater on an answer one: edit, thumb or rating) below which a `tag` "
        "run says no, counted likewise.",
    )
