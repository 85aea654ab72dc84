"""The event log, and where an event is durable."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Bytes, Count


class Log(Section):
    """The event log: the file `log.sqlite` in the home, or Kafka with that file as the outbox before it."""

    kind: Literal["embedded", "kafka"] = Field(
        "embedded",
        description="`embedded`: the log is a file in the home. `kafka`: the file is an outbox, shipped to the cluster "
        "of section `kafka`, which ingest reads. A home that changes over ships what its log still holds. `erase` is "
        "refused with `kafka`.",
    )
    max_bytes: Bytes = Field(
        2 << 30,
        ge=1 << 20,
        description="Size of the file at which feedback is refused and requests go unlogged, bytes.",
    )
    max_batch: Count = Field(512, ge=1, le=10_000, description="Records written by one fsync at most.")
