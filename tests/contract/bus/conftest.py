"""Adapters of the event log. A new adapter is one more entry of `ADAPTERS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from thumbwheel.bus.port import EventLog
from thumbwheel.bus.sqlite_log import open_log

OpenLog = Callable[[], EventLog]
PARTITIONS = 4


def _sqlite(folder: Path) -> OpenLog:
    return lambda: open_log(folder / "log.sqlite", max_bytes=16 << 20, partitions=PARTITIONS)


ADAPTERS = {"sqlite": _sqlite}


@pytest.fixture(params=sorted(ADAPTERS))
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenLog]:
    """Open the same log again each time, as a restarted process would; all are closed in the end."""
    opened: list[EventLog] = []
    adapter = ADAPTERS[request.param](tmp_path)

    def open_one() -> EventLog:
        opened.append(adapter())
        return opened[-1]

    yield open_one
    for log in opened:
        log.close()


@pytest.fixture
def log(reopen: OpenLog) -> EventLog:
    return reopen()
