"""Votes and the right to give them."""

from __future__ import annotations

from pydantic import Field

from thumbwheel.config.paths import OptionalPath
from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Seconds, Votes


class Feedback(Section):
    """Votes and the right to give them."""

    keys_file: OptionalPath = Field(
        None,
        description="File of the secret keys, mode 600; empty: `keys.json` in the home. Processes that make one "
        "service need the same keys: with others, a vote is refused where its answer was not given, and a user's "
        "votes are not found.",
    )
    token_ttl_s: Seconds = Field(
        30 * 86_400.0, ge=60, le=366 * 86_400, description="Seconds for which an answer can be rated."
    )
    max_per_rater_per_minute: Votes = Field(
        120,
        ge=1,
        le=100_000,
        description="Votes a minute of one rater (without a user id: on one answer); more get a retry hint.",
    )
