"""Coming up, from the inside out."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from thumbwheel.app.inference import Inference
from thumbwheel.app.pages import Behind
from thumbwheel.app.processes import up
from thumbwheel.config.settings import Serve, Settings
from thumbwheel.errors import AlreadyMoved, InvalidConfig
from thumbwheel.feedback.keys import Keys
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.retrain.schedule import Scheduler
from thumbwheel.web.deps import Health


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Scheduler]]:
    """The schedules that were started; the mask of new files, which the service narrows, is put back."""
    mask, schedules = os.umask(0o022), list[Scheduler]()
    monkeypatch.setattr(Scheduler, "start", lambda scheduler: schedules.append(scheduler))
    yield schedules
    os.umask(mask)


class _Up(Exception):
    pass


def _end(_: object) -> None:
    raise _Up


async def test_the_schedule_starts_once_all_doors_are_open(tmp_path: Path, started: list[Scheduler]) -> None:
    class Seen(Exception):
        pass

    def ready(_: object) -> None:
        assert len(started) == 1
        raise Seen

    with pytest.raises(Seen):
        await up.run(Settings(home=tmp_path, serve=Serve(port=0, admin_port=0, web_port=0, drain_s=0)), ready)


async def test_what_ingest_waits_for_is_said_by_the_whole_service(
    tmp_path: Path, started: list[Scheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Callable[[], Health]] = []

    @asynccontextmanager
    async def pages(_settings: Settings, _keys: Keys, behind: Behind) -> AsyncIterator[str]:
        told.append(behind.health)
        yield "nowhere"

    monkeypatch.setattr(up, "pages", pages)
    monkeypatch.setattr(IngestWorker, "problem", "the log is away")

    def ready(_: object) -> None:
        assert told[0]().parts[up.INGEST_PART] == "the log is away"
        raise _Up

    with pytest.raises(_Up):
        await up.run(Settings(home=tmp_path, serve=Serve(port=0, admin_port=0, web_port=0, drain_s=0)), ready)
    assert len(started) == 1


async def test_a_home_whose_database_was_moved_is_not_begun_anew(tmp_path: Path, started: list[Scheduler]) -> None:
    (tmp_path / "store.sqlite.moved").touch()
    doors = Serve(port=0, admin_port=0, web_port=0, drain_s=0)
    with pytest.raises(AlreadyMoved, match=r"moved to another database.*go on with the configuration"):
        await up.run(Settings(home=tmp_path, serve=doors), _end)
    assert not (tmp_path / "store.sqlite").exists() and started == []
    (tmp_path / "store.sqlite.moved").rename(tmp_path / "store.sqlite")
    with pytest.raises(_Up):
        await up.run(Settings(home=tmp_path, serve=doors), _end)


async def test_a_service_that_can_not_come_up_starts_no_run(tmp_path: Path, started: list[Scheduler]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        doors = Serve(port=0, admin_port=0, web_port=taken.getsockname()[1], drain_s=0)
        with pytest.raises(InvalidConfig, match="web_port"):
            await up.run(Settings(home=tmp_path, serve=doors), lambda _: None)
    assert started == []


async def test_it_is_ready_once_loading_the_first_versions_was_tried(
    tmp_path: Path, started: list[Scheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    async def tried(_: Inference) -> None:
        assert not is_announced()
        await asyncio.sleep(0.1)
        told.append("loaded")

    def is_announced() -> bool:
        return (tmp_path / "service.json").exists()

    def ready(_: object) -> None:
        assert told == ["loaded"] and is_announced()
        raise _Up

    monkeypatch.setattr(Inference, "tried", tried)
    with pytest.raises(_Up):
        await up.run(Settings(home=tmp_path, serve=Serve(port=0, admin_port=0, web_port=0, drain_s=0)), ready)


async def test_a_service_that_is_stopped_while_it_loads_ends(
    tmp_path: Path, started: list[Scheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def loading(_: Inference) -> None:
        stopped.set()
        await asyncio.Event().wait()

    stopped = asyncio.Event()
    monkeypatch.setattr(up, "on_signals", lambda: stopped)
    monkeypatch.setattr(Inference, "tried", loading)
    async with asyncio.timeout(60):
        await up.run(Settings(home=tmp_path, serve=Serve(port=0, admin_port=0, web_port=0, drain_s=0)), _end)
