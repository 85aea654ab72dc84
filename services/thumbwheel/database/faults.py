"""What a database's error means to a caller; one file a database says it of its codes."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """A condition of the disk, the file or the server, not of the program."""

    problem: str
    retry_after_s: float
