"""Who makes secret keys: a first `up`, where Kafka has no users' keys, and `keys create`; nobody by the way."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from answered import answer_and_vote
from sealed_logs import open_below, sealed

from thumbwheel.app import first_keys
from thumbwheel.app.dead_letters import retry
from thumbwheel.app.first_keys import keys_of_whole_service
from thumbwheel.app.replay import replay
from thumbwheel.app.restore import catch_up
from thumbwheel.app.retention import apply_retention
from thumbwheel.app.storage import open_storage
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import EventLog
from thumbwheel.config.settings import Settings
from thumbwheel.errors import InvalidConfig, LogUnavailable
from thumbwheel.feedback.keys import load_keys, load_or_make_keys


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    away = {"bootstrap_servers": "127.0.0.1:1", "request_timeout_s": 1}
    return Settings.model_validate(
        {"home": tmp_path / "home", "log": {"kind": "kafka"}, "kafka": away, "store": {"retention_days": 36}}
    )


@pytest.fixture
def in_kafka(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], EventLog]:
    """A log in a file in Kafka's place."""

    def open_one(*_: object) -> EventLog:
        return open_below(tmp_path)

    monkeypatch.setattr(first_keys, "open_kafka", open_one)
    return open_one


def test_a_first_start_makes_keys_where_kafka_has_none(settings: Settings, in_kafka: Callable[[], EventLog]) -> None:
    made = keys_of_whole_service(settings, 1)
    assert load_keys(settings.keys_path) == made
    assert in_kafka().read("thumbwheel.userkeys", 0, 0, 1) == []


def test_a_start_without_keys_makes_none_where_kafka_has_users_keys(
    settings: Settings, in_kafka: Callable[[], EventLog], tmp_path: Path
) -> None:
    log = sealed(in_kafka(), f"sqlite:///{tmp_path / 'store.sqlite'}")
    log.append([to_log(answer_and_vote(1, user="u")[0])])
    log.close()
    with pytest.raises(InvalidConfig, match=r"feedback\.keys_file: .*restore that, or choose another"):
        keys_of_whole_service(settings, 1)
    assert not settings.keys_path.exists()
    load_or_make_keys(settings.keys_path, 1)
    assert keys_of_whole_service(settings, 1) == load_keys(settings.keys_path)


@pytest.fixture
def sockets_collected() -> Iterator[None]:
    """kafka-python leaves the sockets of refused connections to the garbage collector."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")
@pytest.mark.usefixtures("sockets_collected")
def test_a_start_without_keys_makes_none_while_kafka_is_away(settings: Settings) -> None:
    with pytest.raises(LogUnavailable, match=r"can't be seen \(.*\); restore it, or .*`thumbwheel keys create`"):
        keys_of_whole_service(settings, 1)
    assert not settings.keys_path.exists()


def test_without_kafka_a_first_start_makes_keys(tmp_path: Path) -> None:
    embedded = Settings(home=tmp_path)
    assert keys_of_whole_service(embedded, 1) == load_keys(embedded.keys_path)


def opened(settings: Settings) -> None:
    with open_storage(settings, lambda _: None):
        raise AssertionError("opened without keys")


@pytest.mark.parametrize(
    "work",
    [
        replay,
        lambda settings: list(retry(settings, [])),
        lambda settings: apply_retention(settings, "a"),
        catch_up,
        opened,
    ],
    ids=["replay", "retry", "retention", "catch_up", "storage"],
)
def test_nothing_else_makes_keys(settings: Settings, work: Callable[[Settings], object]) -> None:
    settings.home.mkdir()
    with pytest.raises(InvalidConfig, match=r"keys\.json: there is no key file; restore it"):
        work(settings)
    assert not settings.keys_path.exists()
