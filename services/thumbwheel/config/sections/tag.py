"""Serving of `tag` policies."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Characters, Count, Milliseconds, Ratio


class Tag(Section):
    """Serving of `tag` policies."""

    max_input_chars: Characters = Field(8_000, ge=1, le=1_000_000, description="Longest text, characters.")
    max_words: Count = Field(
        512,
        ge=1,
        le=4_096,
        description="Most words of a text, and no more than 200,000 words times tags, whose probabilities are logged.",
    )
    probability_floor: Ratio = Field(
        0.02,
        ge=0.0,
        le=0.5,
        description="Share of probability of each word spread evenly over all tags, so that every tag can be learned "
        "about.",
    )
    mode: Literal["sample", "argmax"] = Field(
        "sample",
        description="`argmax` serves the likeliest tags; their votes teach nothing, since nothing was sampled.",
    )
    max_batch: Count = Field(16, ge=1, le=1024, description="Texts computed together at most.")
    max_wait_ms: Milliseconds = Field(1.0, ge=0, le=100, description="Milliseconds a text waits for others to join it.")
    queue_limit: Count = Field(512, ge=1, le=100_000, description="Texts waiting; more are refused with a retry hint.")
