"""The event log, and where an event is durable."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Bytes, Count


class Log(Section):
    """The event log: the file `log.sqlite` in the home, or Kafka with that file as the outbox before it."""

    kind: Literal["embedded", "kafka"] = Field(
        "embedded",
        description="`embedded`: the log is a file in the home. `kafka`: the file is an outbox, shipped to the cluster "
        "of section `kafka`, which ingest reads. A home that changes over ships what its log still holds.",
    )
    max_bytes: Bytes = Field(
        2 << 30,
        ge=1 << 20,
        description="Size of the file at which feedback is refused and requests go unlogged, bytes.",
    )
    feedback_durability: Literal["auto", "outbox", "broker"] = Field(
        "auto",
        description="What OK means for a vote where `log.kind` is `kafka`. `outbox`: it is synced to this machine's "
        "disk, and lost if that disk dies before the vote is shipped. `broker`: all in-step copies in Kafka have it, "
        "and the answer it is about; with the broker away votes are refused as UNAVAILABLE with a retry hint, and one "
        "that is sent again under its `feedback_id` counts once. `auto`: `broker` where the outbox lies on a file "
        "system that goes with the machine or the container (tmpfs, ramfs, overlay), else `outbox`; which it is, each "
        "process says at its start, and `config show` and `doctor` tell.",
    )
    answer_durability: Literal["outbox", "broker"] = Field(
        "outbox",
        description="Where an answer is when it is given, with `log.kind` `kafka`. `outbox`: on this machine's disk, "
        "so that nobody waits for the broker. `broker`: all in-step copies in Kafka have it, so that no vote outlives "
        "its answer, whichever machine's disk is lost; every answer waits for the broker's acknowledgement, and while "
        "the broker is away answers take up to `kafka.ack_timeout_s` longer, are not logged and can not be rated.",
    )
    max_batch: Count = Field(512, ge=1, le=10_000, description="Records written by one fsync at most.")

    @property
    def is_shared(self) -> bool:
        """Whether processes and machines share the log, each with an outbox of its own: else it is this home's file."""
        return self.kind != "embedded"

    @model_validator(mode="after")
    def _broker_only_with_kafka(self) -> Self:
        if self.feedback_durability == "broker" and not self.is_shared:
            raise ValueError('feedback_durability "broker" needs kind "kafka": the embedded log has no broker')
        if self.answer_durability == "broker" and not self.is_shared:
            raise ValueError('answer_durability "broker" needs kind "kafka": the embedded log has no broker')
        return self
