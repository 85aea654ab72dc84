"""What the drills rest on: books that tell what is lost, doubled or foreign. And one drill, small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import kafka_server
import postgres_server
import pytest
from answered import answer_and_vote
from balance_sheet import Sheet
from books import balance, orphaned, waiting_in_error
from service_killed import with_outbox
from voting import Ledger
from yard import yard

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import FEEDBACK, NewRecord
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Ingest
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.store.sql import open_store

COUNT = 5


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with `COUNT` answers to `text`, a vote on each with a comment of its own, and one dead letter."""
    log, url = open_log(tmp_path / "log.sqlite"), f"sqlite:///{tmp_path / 'store.sqlite'}"
    store = open_store(url)
    for number in range(COUNT):
        answer, vote = answer_and_vote(number)
        log.append([to_log(answer), to_log(replace(vote, comment=f"vote {number}"))])
    log.append([NewRecord(FEEDBACK, "r1", b"poison")])
    IngestWorker(Source(log), store, Ingest()).drain()
    store.close()
    log.close()
    return url


def ledger() -> Ledger:
    votes = {f"vote {number}" for number in range(COUNT)}
    return Ledger(asked={"text"}, answers={f"r{number}" for number in range(COUNT)}, sent=set(votes), votes=votes)


def broken(url: str, told: Ledger, poison: int = 1) -> set[str]:
    sheet = balance(Sheet("books", 0), url, told, poison)
    assert sheet.holds is (sheet.imbalance == 0)
    return {line.what for line in sheet.lines if not line.holds}


def test_what_is_right_balances(url: str) -> None:
    assert broken(url, ledger()) == set()


def test_what_is_lost_foreign_or_poison_does_not(url: str) -> None:
    told = ledger()
    told.votes.add("lost")
    told.answers.add("lost")
    assert broken(url, told) == {"votes acknowledged, that are stored", "answers logged, that are stored"}
    told = ledger()
    told.sent.remove("vote 3")
    told.asked.clear()
    assert broken(url, told) == {"votes stored that no one sent", "answers stored to what no one asked"}
    assert broken(url, ledger(), poison=0) == {"dead letters"}


def test_a_vote_without_its_answer_is_neither_stored_nor_counted(url: str, tmp_path: Path) -> None:
    log, store = open_log(tmp_path / "again.sqlite"), open_store(url)
    _, vote = answer_and_vote(COUNT)
    log.append([to_log(replace(vote, comment="without its answer"))])
    IngestWorker(Source(log, "another"), store, Ingest()).drain()
    store.close()
    log.close()
    assert orphaned(url) == {"without its answer"}
    assert waiting_in_error(url) == 0
    assert broken(url, ledger()) == {"votes that still wait for their answer"}
    assert balance(Sheet("books", 0), url, ledger(), 1, orphaned=1).holds


def test_what_is_stored_twice_does_not(url: str, tmp_path: Path) -> None:
    log, store = open_log(tmp_path / "again.sqlite"), open_store(url)
    _, vote = answer_and_vote(0)
    log.append([to_log(replace(vote, comment="vote 0", feedback_id="another id", rater="another"))])
    IngestWorker(Source(log, "another"), store, Ingest()).drain()
    store.close()
    log.close()
    assert "votes stored more than once" in broken(url, ledger())


def test_an_empty_sheet_holds_nothing() -> None:
    assert not Sheet("empty", 0).holds


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")
@pytest.mark.usefixtures("kafka_session", "postgres")
def test_a_small_drill_balances() -> None:
    with yard(seed=1, share=0.1, say=lambda sentence: None) as place:
        sheet = with_outbox(place)
    assert sheet.holds, sheet.lines
    assert sheet.lines[0].seen > 90


def test_servers_are_named_where_they_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from yard import Missing

    monkeypatch.setattr(kafka_server, "libs", lambda: None)
    monkeypatch.setattr(postgres_server, "find_binaries", lambda: None)
    with yard(0, 1.0, lambda sentence: None) as place:
        with pytest.raises(Missing, match="make servers"):
            place.broker()
        with pytest.raises(Missing, match="postgresql"):
            place.postgres()
