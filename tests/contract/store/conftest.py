"""Adapters of the feedback store. A new adapter is one more entry of `ADAPTERS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

OpenStore = Callable[[], FeedbackStore]


def _sqlite(folder: Path) -> OpenStore:
    return lambda: open_store(f"sqlite:///{folder / 'store.sqlite'}")


ADAPTERS = {"sqlite": _sqlite}


@pytest.fixture(params=sorted(ADAPTERS))
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Open the same store again each time, as a restarted process would; all are closed in the end."""
    opened: list[FeedbackStore] = []
    adapter = ADAPTERS[request.param](tmp_path)

    def open_one() -> FeedbackStore:
        opened.append(adapter())
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(reopen: OpenStore) -> FeedbackStore:
    return reopen()
