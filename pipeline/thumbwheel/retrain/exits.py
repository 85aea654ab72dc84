"""How a worker's process ends: a contract between `worker.py` and `runner.py`."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses. Any other one: the worker died, and the run can be resumed."""

    FINISHED = 0
    BUSY = 75
    FENCED = 76
    AWAY = 77  # the database or the artifact store is: the run goes on when it is back
    STOPPED = 143
