"""Serving of `classify` policies."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Characters, Count, Milliseconds, Ratio


class Classify(Section):
    """Serving of `classify` policies."""

    max_input_chars: Characters = Field(8_000, ge=1, le=1_000_000, description="Longest text, characters.")
    probability_floor: Ratio = Field(
        0.02,
        ge=0.0,
        le=0.5,
        description="Share of probability spread evenly over all labels, so that every label can be learned about.",
    )
    mode: Literal["sample", "argmax"] = Field(
        "sample", description="`argmax` serves the likeliest label; its votes teach nothing, since nothing was sampled."
    )
    max_batch: Count = Field(32, ge=1, le=1024, description="Texts computed together at most.")
    max_wait_ms: Milliseconds = Field(1.0, ge=0, le=100, description="Milliseconds a text waits for others to join it.")
    queue_limit: Count = Field(512, ge=1, le=100_000, description="Texts waiting; more are refused with a retry hint.")
