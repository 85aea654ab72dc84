"""Where answers are when they are given: in the outbox, or in Kafka."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from answered import answer_and_vote
from pydantic import ValidationError

from thumbwheel.app import storage
from thumbwheel.app.storage import open_storage
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import FEEDBACK, REQUESTS, TOPICS, USER_KEYS, EventLog
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Log, Settings
from thumbwheel.errors import LogUnavailable
from thumbwheel.feedback.keys import load_or_make_keys


def settings_of(home: Path, answers: str, votes: str = "broker") -> Settings:
    log = {"kind": "kafka", "feedback_durability": votes, "answer_durability": answers}
    kafka = {"bootstrap_servers": "127.0.0.1:1", "request_timeout_s": 1, "ack_timeout_s": 2}
    made = Settings.model_validate({"home": home, "log": log, "kafka": kafka})
    load_or_make_keys(made.keys_path, 1)
    return made


@pytest.mark.parametrize("answers", ["outbox", "broker"])
async def test_an_answer_is_where_it_is_said_to_be_when_it_is_given(
    answers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kafka(_: Settings) -> EventLog:
        return open_log(tmp_path / "kafka.sqlite", topics=(*TOPICS, USER_KEYS))

    monkeypatch.setattr(storage, "open_kafka", kafka)
    settings = settings_of(tmp_path / "home", answers)
    answer, vote = (to_log(record) for record in answer_and_vote(1))
    with open_storage(settings, lambda _: None) as opened, closing(kafka(settings)) as log:
        await opened.requests.append([answer])
        assert opened.source.outbox is not None
        assert opened.source.unshipped() == (answers == "outbox")
        assert len(log.read(REQUESTS, 0, 0, 10)) == (answers == "broker")
        if answers == "broker":  # nothing has to be shipped before its vote is taken
            await opened.votes.append([vote])
            assert len(log.read(FEEDBACK, 0, 0, 10)) == 1


@pytest.fixture
def sockets_collected() -> Iterator[None]:
    """kafka-python leaves the sockets of refused connections to the garbage collector."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")
@pytest.mark.usefixtures("sockets_collected")
async def test_with_the_broker_away_it_is_refused_and_not_left_in_the_outbox(tmp_path: Path) -> None:
    answer, _ = (to_log(record) for record in answer_and_vote(1))
    with open_storage(settings_of(tmp_path, "broker", "outbox"), lambda _: None) as opened:
        with pytest.raises(LogUnavailable):
            await opened.requests.append([answer])
        assert opened.source.unshipped() == 0


def test_the_embedded_log_has_no_broker() -> None:
    with pytest.raises(ValidationError, match='answer_durability "broker" needs kind "kafka"'):
        Log(answer_durability="broker")
