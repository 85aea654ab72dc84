"""The node of a Ray that was begun here: the processes without which it is none, which Ray does not begin anew."""

from __future__ import annotations

import psutil

_NAMES = ("raylet", "gcs_server")


class Node:
    """The processes of a node."""

    def __init__(self, processes: list[psutil.Process]) -> None:
        """Look at `processes` from now on."""
        self._processes = [(one.name(), one) for one in processes]

    @classmethod
    def begun_here(cls) -> Node:
        """Return the node that this process began."""
        return cls([one for one in psutil.Process().children() if one.name().startswith(_NAMES)])

    def dead(self) -> list[str]:
        """Return the names of the processes that ended."""
        return [name for name, process in self._processes if not _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
