"""Coming up, from the inside out."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from thumbwheel.app.processes import up
from thumbwheel.config.settings import Serve, Settings
from thumbwheel.errors import AlreadyMoved, InvalidConfig
from thumbwheel.retrain.schedule import Scheduler


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
