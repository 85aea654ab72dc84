"""Retention over everything that keeps users' texts: store, embedded log, snapshots; and it stays so after a replay."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from answered import answer_and_vote
from filled_store import response_id

from thumbwheel.app.replay import replay
from thumbwheel.app.retention import apply_retention, forget_everywhere, retaining
from thumbwheel.app.storage import Storage, open_source, open_storage
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import REQUESTS
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.cli.main import main
from thumbwheel.config.settings import Ingest, Settings
from thumbwheel.database.slices import DAY_MS
from thumbwheel.dataset.freeze import freeze
from thumbwheel.dataset.manifest import Request
from thumbwheel.errors import Conflict, NotEnoughData
from thumbwheel.ingest.trimming import trim_past
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import AuditAction, PolicyKind
from thumbwheel.retrain.forget import forget_from_runs
from thumbwheel.retrain.lock import locked
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

NOW_MS = time.time_ns() // 1_000_000
NEW, OLD = (response_id(NOW_MS - days * DAY_MS, days) for days in (3, 50))


def settings_of(home: Path, days: int = 36) -> Settings:
    made = Settings.model_validate({"home": home, "store": {"retention_days": days}})
    made.home.mkdir(exist_ok=True)
    return made


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Source, FeedbackStore]]:
    with closing(open_store(settings.database_url)) as store, ExitStack() as stack:
        yield open_source(settings, stack), store


def fill(settings: Settings) -> None:
    """An old and a new answer with their votes, in the log and in the store."""
    with opened(settings) as (source, store):
        for number, name in enumerate((OLD, NEW)):
            answer, vote = answer_and_vote(number, name, "u-someone", f"words of {name}")
            source.log.append([to_log(answer), to_log(vote)])
        IngestWorker(source, store, Ingest()).drain()


def forgetting(settings: Settings, storage: Storage) -> Callable[[str], object]:
    return lambda actor: forget_everywhere(settings, storage.store, storage.source, actor)


def answers(settings: Settings) -> list[str]:
    with opened(settings) as (_, store):
        return [one.response.response_id for one in store.rated("p", store.watermark())]


def test_answers_can_not_be_rated_for_longer_than_they_are_kept() -> None:
    with pytest.raises(ValueError, match=r"retention_days is 7, but an answer can be rated for 30 days: raise it"):
        Settings.model_validate({"store": {"retention_days": 7}})
    Settings.model_validate({"store": {"retention_days": 7}, "feedback": {"token_ttl_s": 7 * 86_400}})


def test_what_is_past_goes_and_a_replay_does_not_bring_it_back(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home")
    fill(settings)
    assert answers(settings) == [OLD, NEW]
    done = apply_retention(settings, "ann")
    assert (done.store.rows, done.runs) == (3, ())
    assert answers(settings) == [NEW]
    with opened(settings) as (_, store):
        (entry,) = store.audit_trail("", 5)
    assert (entry.action, entry.actor, entry.reason) == (AuditAction.PAST_FORGOTTEN, "ann", "older than 36 days")
    elsewhere = settings_of(tmp_path / "elsewhere")
    (settings.home / "log.sqlite").rename(elsewhere.home / "log.sqlite")
    assert replay(elsewhere).records == 4
    assert answers(elsewhere) == [NEW]


def test_a_service_forgets_by_itself(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home")
    fill(settings)
    with open_storage(settings, lambda _: None) as storage, retaining(settings, forgetting(settings, storage)):
        while storage.store.response(OLD) is not None:
            pass
        assert storage.store.response(NEW) is not None


def test_without_a_number_of_days_everything_is_kept(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home", 0)
    fill(settings)
    with open_storage(settings, lambda _: None) as storage, retaining(settings, forgetting(settings, storage)):
        pass
    with pytest.raises(Conflict, match=r"store\.retention_days is 0: everything is kept"):
        apply_retention(settings, "ann")
    assert answers(settings) == [OLD, NEW]


def test_the_embedded_log_forgets_what_the_store_has_read(tmp_path: Path) -> None:
    with closing(open_log(tmp_path / "log")) as log, closing(open_store(f"sqlite:///{tmp_path / 'db'}")) as store:
        source = Source(log)
        for number in range(9):
            log.append([to_log(answer_and_vote(number, text="text-of-users")[0])])
        times = [one.time_us for one in log.read(REQUESTS, 0, 0, 9)]
        assert trim_past(source, store, times[6]) == 0  # nothing is in the store yet
        worker = IngestWorker(source, store, Ingest(batch=4))
        worker.run_once()
        assert trim_past(source, store, times[6]) == 4
        worker.drain()
        assert trim_past(source, store, times[6]) == 2
        assert [one.offset for one in log.read(REQUESTS, 0, 0, 9)] == [6, 7, 8]
        assert trim_past(source, store, times[8] + 1) == 3
        assert worker.run_once() == 0


def frozen(settings: Settings, name: str) -> Path:
    """A run's folder with a snapshot of all there is."""
    folder = settings.runs_dir / name
    folder.mkdir(parents=True)
    with opened(settings) as (_, store):
        request = Request("p", PolicyKind.CLASSIFY, store.watermark(), 0, 0.0, 10, 1)
        freeze(store, request, folder / "snapshot")
    return folder


def test_snapshots_go_with_their_oldest_answer_but_not_under_a_run_at_work(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home")
    fill(settings)
    old, at_work = frozen(settings, "old"), frozen(settings, "at-work")
    with locked(at_work / "worker.lock"):
        assert apply_retention(settings, "ann").runs == ("old",)
    assert list((old / "snapshot").iterdir()) == []
    assert OLD in next((at_work / "snapshot").glob("rows*")).read_text()
    with pytest.raises(NotEnoughData):  # of two answers one is of the newest slice
        frozen(settings, "young")
    assert apply_retention(settings, "ann").runs == ("at-work",)
    assert forget_from_runs(settings.runs_dir, "g") == []


def test_the_command_says_what_went(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path / "home")
    fill(settings)
    flags = ["--home", str(settings.home), "--set", "store.retention_days=36"]
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["thumbwheel", *flags, "retention", "apply", *more])
        main()
    text, _, machine = capsys.readouterr().out.partition("{")
    assert "0 slices and 3 rows of the store, 0 records of the log, the snapshots of 0 runs" in text
    assert json.loads("{" + machine)["rows"] == 0
