"""Kinds of numbers among the settings, each with its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts; shown by `thumbwheel config show`."""

    name: str


Port = Annotated[int, Unit("port"), Field(ge=0, le=65535)]
Fraction = Annotated[float, Unit("fraction"), Field(ge=0.0, le=1.0)]
Ratio = Annotated[float, Unit("ratio")]
Seconds = Annotated[float, Unit("seconds")]
Days = Annotated[int, Unit("days")]
Milliseconds = Annotated[float, Unit("milliseconds")]
Bytes = Annotated[int, Unit("bytes")]
Characters = Annotated[int, Unit("characters")]
Tokens = Annotated[int, Unit("tokens")]
Votes = Annotated[int, Unit("votes")]
Nats = Annotated[float, Unit("nats")]
Count = Annotated[int, Unit("count")]
Hours = Annotated[float, Unit("hours")]
