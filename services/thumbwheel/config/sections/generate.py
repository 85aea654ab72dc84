"""Serving of `generate` policies."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Characters, Count, Milliseconds, Tokens


class Generate(Section):
    """Serving of `generate` policies."""

    max_input_chars: Characters = Field(
        16_000, ge=1, le=1_000_000, description="Longest prompt or conversation, characters."
    )
    default_new_tokens: Tokens = Field(64, ge=1, le=4096, description="New tokens when a request does not say.")
    max_new_tokens: Tokens = Field(256, ge=1, le=4096, description="Most new tokens a request may ask for.")
    max_candidates: Count = Field(8, ge=1, le=8, description="Most candidates (n) a request may ask for.")
    concurrent: Count = Field(32, ge=1, le=1024, description="Sequences decoded at the same time.")
    queue_limit: Count = Field(
        128, ge=1, le=100_000, description="Sequences in decoding and waiting; more are refused with a retry hint."
    )
    kv_blocks: Count = Field(256, ge=16, le=1_000_000, description="Blocks of the key-value cache.")
    stream_interval_ms: Milliseconds = Field(
        50.0,
        ge=0,
        le=1_000,
        description="Least milliseconds between two pieces of a stream, save the first and the last; 0: every token. "
        "In proportion longer when more than 8 answers are computed.",
    )

    @model_validator(mode="after")
    def _default_within_limit(self) -> Self:
        if self.default_new_tokens > self.max_new_tokens:
            raise ValueError(f"default_new_tokens must be at most max_new_tokens, {self.max_new_tokens}")
        return self
