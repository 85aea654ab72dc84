"""Who may call."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from thumbwheel.config.paths import OptionalPath
from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Count, Seconds


class Auth(Section):
    """Who may call the doors: anybody who reaches them, or who has an API key (`thumbwheel keys create`)."""

    mode: Literal["off", "keys"] = Field(
        "off",
        description="`keys`: every call needs an API key with the scope for it: `infer`, `feedback`, `admin`. gRPC's "
        "health and reflection need none, nor does /healthz. `off`: whoever reaches a door may call it.",
    )
    open_beyond_loopback: bool = Field(
        False,
        description="`true`: doors may listen beyond loopback with `auth.mode` `off`; you know that whoever reaches "
        "them asks and votes, and at the operators' door promotes and erases, and that network is closed to others. "
        "Without it such a door is not opened.",
    )
    api_key_file: OptionalPath = Field(
        None,
        description="File with the API key that this process's own calls bring (command line, `thumbwheel web`), and "
        "nothing else, mode 600. THUMBWHEEL_API_KEY in the environment wins over it.",
    )
    calls_per_key_per_minute: Count = Field(
        60_000, ge=0, le=10_000_000, description="Calls a minute by one key; more get a retry hint. 0: no limit."
    )
    asks_per_user_per_minute: Count = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Requests a minute of one user id (`user.id`), whichever key brings them; more get a retry hint. "
        "0: no limit. Holds with `auth.mode` `off`, too. Votes have `feedback.max_per_rater_per_minute`.",
    )
    database_away_s: Seconds = Field(
        3_600.0,
        ge=1,
        le=7 * 86_400.0,
        description="Seconds for which keys that are known go on being good while the database can't be read. Nobody "
        "can revoke one in a database that is away, but this process alone may be cut off from it.",
    )
