"""Outboxes of replicas: each holds one; what the dead left is taken over, or shipped by those that live."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from thumbwheel.app import outboxes
from thumbwheel.app.outboxes import OtherOutboxes, held_folder, outbox_of, ship_abandoned, shipping, unshipped
from thumbwheel.app.storage import open_outbox
from thumbwheel.bus.port import FEEDBACK, REQUESTS, EventLog, NewRecord
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


def test_answers_are_found_in_outboxes_of_others_until_they_are_shipped(settings: Settings, tmp_path: Path) -> None:
    mine, left = outbox_of(tmp_path / "0"), tmp_path / "log.sqlite"
    leave(settings, tmp_path / "0", 1)  # r0, in the one that asks
    leave(settings, tmp_path / "1", 3)  # r0, r1, r2
    with closing(OtherOutboxes(mine, tmp_path, [left])) as others:
        assert others.held(["r0", "r2", "r3"]) == {"r0", "r2"}
        with closing(open_outbox(settings, left)) as outbox:
            outbox.append([NewRecord(REQUESTS, "r3", b"event"), NewRecord(FEEDBACK, "r4", b"a vote is no answer")])
        assert others.held(["r0", "r3", "r4"]) == {"r0", "r3"}
        with closing(open_log(tmp_path / "broker.sqlite", max_bytes=1 << 30)) as broker:
            ship_abandoned(settings, tmp_path, broker, lambda: False)
        assert others.held(["r0", "r3"]) == {"r3"}
        left.unlink()
        assert others.held(["r3"]) == set()
        leave(settings, tmp_path / "2", 6)  # a replica that came later
        assert others.held(["r5", "r6"]) == {"r5"}


def test_of_a_relay_far_behind_all_answers_may_be_held(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outboxes, "_LOOKED_THROUGH", 4)
    leave(settings, tmp_path / "0", 4)
    leave(settings, tmp_path / "1", 5)
    with closing(OtherOutboxes(outbox_of(tmp_path / "1"), tmp_path)) as others:
        assert others.held(["x"]) == set()
    with closing(OtherOutboxes(outbox_of(tmp_path / "0"), tmp_path)) as others:
        assert others.held(["x"]) == {"x"}


def test_an_outbox_that_is_being_made_holds_nothing(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    with closing(sqlite3.connect(outbox_of(tmp_path / "0"))) as half:
        half.execute("PRAGMA journal_mode = WAL")
    with closing(OtherOutboxes(tmp_path / "mine.sqlite", tmp_path)) as others:
        assert others.held(["r0"]) == set()
        with closing(open_outbox(settings, outbox_of(tmp_path / "0"))) as outbox:
            outbox.append([NewRecord(REQUESTS, "r0", b"event")])
        assert others.held(["r0"]) == {"r0"}
