"""How far this machine's clock may be from others'."""

from __future__ import annotations

import time

from sqlalchemy import Engine, text

from thumbwheel.app.finding import Finding
from thumbwheel.database.transactions import reading

_MOST_SKEW_S = 5.0


def judge_clock(check: str, ahead_s: float | None) -> Finding:
    """Judge by how many seconds this machine's clock is ahead of another's; None: that could not be seen."""
    if ahead_s is None:
        return Finding(check, True, "not known: it is told to those who may describe the cluster")
    found = f"this machine's clock is {abs(ahead_s):.1f} s {'ahead' if ahead_s > 0 else 'behind'}"
    level = abs(ahead_s) <= _MOST_SKEW_S
    return Finding(check, level, found, "" if level else "set the clocks (NTP): of two votes the later one counts")


def ahead_of_postgres_s(engine: Engine) -> float:
    """Return by how many seconds this machine's clock is ahead of the database server's. Raises Unavailable."""
    with reading(engine) as connection:
        before = time.time()
        server_s = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
        return (before + time.time()) / 2 - server_s
