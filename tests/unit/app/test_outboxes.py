"""Outboxes of replicas: each holds one; what the dead left is taken over, or shipped by those that live."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from thumbwheel.app.outboxes import held_folder, outbox_of, ship_abandoned, shipping, unshipped
from thumbwheel.app.storage import open_outbox
from thumbwheel.bus.port import REQUESTS, EventLog, NewRecord
from thumbwheel.bus.source import places
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Settings
from thumbwheel.errors import LogUnavailable

EVENTS = 700  # more than a relay ships at once


def leave(settings: Settings, folder: Path, count: int) -> None:
    """What a replica had in its outbox when it was killed."""
    folder.mkdir(parents=True)
    with closing(open_outbox(settings, outbox_of(folder))) as outbox:
        outbox.append([NewRecord(REQUESTS, f"r{number}", b"event") for number in range(count)])


def held(log: EventLog) -> int:
    return sum(len(log.read(*place, 0, 10_000)) for place in places(log))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def test_each_holds_the_first_that_nobody_holds(tmp_path: Path) -> None:
    with held_folder(tmp_path) as first:
        with held_folder(tmp_path) as second, held_folder(tmp_path) as third:
            assert [one.name for one in (first, second, third)] == ["0", "1", "2"]
        with held_folder(tmp_path) as again:
            assert again.name == "1"


def test_what_the_dead_left_is_shipped_once_and_counted_before(settings: Settings, tmp_path: Path) -> None:
    leave(settings, tmp_path / "0", EVENTS)
    leave(settings, tmp_path / "1", 3)
    with closing(open_log(tmp_path / "broker.sqlite", max_bytes=1 << 30)) as broker:
        assert unshipped(tmp_path) == EVENTS + 3
        assert ship_abandoned(settings, tmp_path, broker, lambda: False) == EVENTS + 3
        assert ship_abandoned(settings, tmp_path, broker, lambda: False) == 0
        assert held(broker) == EVENTS + 3
    assert unshipped(tmp_path) == 0


def test_what_waits_now_is_noted_until_it_is_shipped_and_nothing_later(settings: Settings, tmp_path: Path) -> None:
    assert shipping(tmp_path)()
    leave(settings, tmp_path / "0", 3)
    leave(settings, tmp_path / "1", 2)
    all_shipped = shipping(tmp_path)
    assert not all_shipped()
    with closing(open_log(tmp_path / "broker.sqlite", max_bytes=1 << 30)) as broker:
        with held_folder(tmp_path):
            ship_abandoned(settings, tmp_path, broker, lambda: False)
        assert not all_shipped()
        ship_abandoned(settings, tmp_path, broker, lambda: False)
    assert all_shipped()
    with closing(open_outbox(settings, outbox_of(tmp_path / "0"))) as outbox:
        outbox.append([NewRecord(REQUESTS, "later", b"event")])
    assert all_shipped() and not shipping(tmp_path)()
    outbox_of(tmp_path / "0").unlink()
    assert all_shipped()


def test_what_a_living_one_holds_is_left_to_it(settings: Settings, tmp_path: Path) -> None:
    leave(settings, tmp_path / "0", 3)
    with closing(open_log(tmp_path / "broker.sqlite", max_bytes=1 << 30)) as broker:
        with held_folder(tmp_path):
            assert ship_abandoned(settings, tmp_path, broker, lambda: False) == 0
        assert held(broker) == 0
    assert unshipped(tmp_path) == 3


def test_with_the_broker_away_all_of_it_stays(settings: Settings, tmp_path: Path) -> None:
    leave(settings, tmp_path / "0", 3)
    with closing(open_log(tmp_path / "broker.sqlite", max_bytes=1 << 30)) as broker:

        def away(records: object) -> None:
            raise LogUnavailable("the broker is away", 1.0)

        broker.append = away  # type: ignore[method-assign]
        with pytest.raises(LogUnavailable):
            ship_abandoned(settings, tmp_path, broker, lambda: False)
    assert unshipped(tmp_path) == 3
    with held_folder(tmp_path) as free_again:
        assert free_again.name == "0"
