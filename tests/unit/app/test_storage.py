"""What a process keeps things in: opened once, and let go of wholly."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from thumbwheel.app.storage import open_storage
from thumbwheel.bus.port import FEEDBACK, REQUESTS, NewRecord
from thumbwheel.bus.source import waiting
from thumbwheel.config.settings import Settings
from thumbwheel.errors import InvalidInput, LogUnavailable
from thumbwheel.feedback.keys import load_or_make_keys


def open_in(home: Path) -> set[str]:
    """The files of a home that this process holds open."""
    return {Path(file.path).name for file in psutil.Process().open_files() if Path(file.path).is_relative_to(home)}


def test_nothing_stays_open(tmp_path: Path) -> None:
    with open_storage(Settings(home=tmp_path), lambda write: None) as storage:
        assert storage.registry.policies() == [] and storage.store.watermark() == 0
        assert {"store.sqlite", "log.sqlite"} <= open_in(tmp_path)
    assert open_in(tmp_path) == set()


def kafka(home: Path, prefix: str = "", **log: str) -> Settings:
    """Settings with a Kafka that is not there."""
    away = {"bootstrap_servers": "127.0.0.1:1", "request_timeout_s": 1, "ack_timeout_s": 2, "topic_prefix": prefix}
    made = Settings.model_validate({"home": home, "log": {"kind": "kafka", **log}, "kafka": away})
    load_or_make_keys(made.keys_path, 1)
    return made


async def test_with_kafka_away_answers_and_votes_go_into_the_outbox(tmp_path: Path) -> None:
    with open_storage(kafka(tmp_path), lambda write: None) as storage:
        await storage.requests.append([NewRecord(REQUESTS, "r", b"")])
        await storage.votes.append([NewRecord(FEEDBACK, "r", b"")] * 2)
        assert storage.source.outbox is not None
        assert [waiting(storage.source.outbox, topic).records for topic in (REQUESTS, FEEDBACK)] == [1, 2]
        assert storage.source.unshipped() == 3


@pytest.fixture
def sockets_collected() -> Iterator[None]:
    """kafka-python leaves the sockets of refused connections to the garbage collector."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")
@pytest.mark.usefixtures("sockets_collected")
async def test_with_kafka_away_votes_that_must_be_there_are_refused(tmp_path: Path) -> None:
    with open_storage(kafka(tmp_path, feedback_durability="broker"), lambda write: None) as storage:
        await storage.requests.append([NewRecord(REQUESTS, "r", b"")])
        with pytest.raises(LogUnavailable, match="to Kafka, which may be unavailable"):
            await storage.votes.append([NewRecord(FEEDBACK, "r", b"")])
        assert storage.source.unshipped() == 1


async def test_the_outbox_promises_nothing_that_kafka_would_not_take(tmp_path: Path) -> None:
    large = NewRecord(FEEDBACK, "r", bytes(1 << 20))
    with (
        open_storage(kafka(tmp_path), lambda write: None) as storage,
        pytest.raises(InvalidInput, match=r"kafka\.max_record_bytes"),
    ):
        await storage.votes.append([large])
    with open_storage(Settings(home=tmp_path), lambda write: None) as storage:
        await storage.votes.append([large])


def test_offsets_of_one_log_mean_nothing_in_another(tmp_path: Path) -> None:
    consumers = []
    for settings in (Settings(home=tmp_path), kafka(tmp_path), kafka(tmp_path, prefix="a."), kafka(tmp_path, "b.")):
        with open_storage(settings, lambda write: None) as storage:
            consumers.append(storage.source.consumer)
    assert len(set(consumers)) == 4
    assert consumers[0] == "ingest"
