"""Adapters of the feedback store. A new adapter is one more entry of `ADAPTERS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer

from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

OpenStore = Callable[[], FeedbackStore]


def _sqlite(request: pytest.FixtureRequest) -> str:
    folder: Path = request.getfixturevalue("tmp_path")
    return f"sqlite:///{folder / 'store.sqlite'}"


def _postgresql(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue("postgres_url")
    return url


ADAPTERS = {"sqlite": _sqlite, "postgresql": _postgresql}


@pytest.fixture(params=sorted(ADAPTERS))
def url(request: pytest.FixtureRequest) -> str:
    """Where a store is kept."""
    return ADAPTERS[request.param](request)


@pytest.fixture
def reopen(url: str) -> Iterator[OpenStore]:
    """Open the same store again each time, as a restarted process would; all are closed in the end."""
    opened: list[FeedbackStore] = []

    def open_one() -> FeedbackStore:
        opened.append(open_store(url))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(reopen: OpenStore) -> FeedbackStore:
    return reopen()


@pytest.fixture
def files(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> Callable[[], list[Path]]:
    """Return all files that a store's rows are in, once all is written to them."""
    if url.startswith("sqlite"):
        return lambda: list(tmp_path.iterdir())
    server: PostgresServer = request.getfixturevalue("postgres")
    return lambda: server.files(url)
