"""A group of workers that share the partitions of a log. Without the client, which only its members load."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """Which group to join, and as whom.

    A member with an `instance` keeps its partitions over a restart that takes less than `session_s`; without one they
    go to others as soon as it leaves. Of two members with one instance the earlier is put out.
    """

    name: str
    instance: str
    session_s: float
