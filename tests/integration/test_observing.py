"""Metrics of log, store and runs, with the real log, ingest, registry and store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
from recorded_batch import recorded_batch

from thumbwheel.app.observing import Observer, whole_service, write_observer
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.group_commit import GroupCommitter
from thumbwheel.bus.port import FEEDBACK, EventLog, NewRecord
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Ingest
from thumbwheel.database.engine import connect
from thumbwheel.errors import LogUnavailable
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    DeadLetter,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    PolicyKind,
    Run,
    RunState,
    RunStep,
    VersionRef,
)
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store
from thumbwheel.telemetry.metrics import Metrics


@dataclass
class Parts:
    log: EventLog
    store: FeedbackStore
    registry: SqlRegistry
    metrics: Metrics
    observer: Observer

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    store, log = open_store(url), open_log(tmp_path / "log.sqlite")
    registry = SqlRegistry(connect(url), LocalArtifacts(tmp_path / "versions"))
    yield Parts(log, store, registry, Metrics(), whole_service(Source(log), store, registry, tmp_path / "log.sqlite"))
    registry.close()
    log.close()
    store.close()


def answer_and_thumb(number: int, up: bool) -> list[NewRecord]:
    ref = VersionRef("desk", "v1", "sha256:ab")
    answer = ClassifyAnswer("text", 0, "lost", (0.9, 0.1), 0.02, ("lost", "other"))
    response = LoggedResponse(f"r{number}", "q", ref, Channel.CHAMPION, "", "", "", 1, "", answer)
    thumb = Feedback(f"f{number}", f"r{number}", "ann", "", "desk", "v1", FeedbackKind.THUMB, 2, up)
    return [to_log(response), to_log(thumb)]


def test_lag_votes_orphans_and_size_are_seen(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "config.json").write_text("{}")
    (tmp_path / "made" / "model.safetensors").write_text("w")
    parts.registry.publish(NewVersion("desk", PolicyKind.CLASSIFY), tmp_path / "made")
    for number, up in enumerate([True, True, False]):
        parts.log.append(answer_and_thumb(number, up))
    parts.log.append([answer_and_thumb(9, True)[1], NewRecord(FEEDBACK, "k", b"poison")])
    parts.observer.look(parts.metrics)
    assert parts.value("thumbwheel_ingest_lag_records", topic="thumbwheel.requests") == 3.0
    assert parts.value("thumbwheel_ingest_lag_records", topic="thumbwheel.feedback") == 5.0
    IngestWorker(Source(parts.log), parts.store, Ingest()).drain()
    parts.observer.look(parts.metrics)
    assert parts.value("thumbwheel_ingest_lag_records", topic="thumbwheel.feedback") == 0.0
    assert parts.value("thumbwheel_votes", policy="desk", policy_version="v1", vote="up") == 2.0
    assert parts.value("thumbwheel_votes", policy="desk", policy_version="v1", vote="down") == 1.0
    assert parts.value("thumbwheel_orphan_votes") == 1.0
    assert parts.value("thumbwheel_dead_letters") == 1.0
    size = parts.value("thumbwheel_log_size_bytes")
    assert size is not None and size >= (tmp_path / "log.sqlite").stat().st_size > 0


def test_runs_are_counted_once_when_they_end(parts: Parts) -> None:
    lease = parts.store.acquire_lease("desk", "tests", ttl_s=60)
    run = Run("run-1", "desk", RunState.RUNNING, RunStep.FREEZE, "v1", started_us=1_000_000)
    parts.store.save_run(run, lease)
    parts.observer.look(parts.metrics)
    assert parts.value("thumbwheel_runs_running", policy="desk") == 1.0
    parts.store.save_run(replace(run, state=RunState.PROMOTED, ended_us=31_000_000), lease)
    for _ in range(2):
        parts.observer.look(parts.metrics)
    assert parts.value("thumbwheel_runs_running", policy="desk") == 0.0
    assert parts.value("thumbwheel_runs_total", policy="desk", state="promoted") == 1.0
    assert parts.value("thumbwheel_run_duration_seconds_sum", policy="desk") == 30.0
    fresh = Metrics()
    whole_service(Source(parts.log), parts.store, parts.registry, Path("log.sqlite")).look(fresh)
    assert fresh.registry.get_sample_value("thumbwheel_runs_total", {"policy": "desk", "state": "promoted"}) is None


def test_durable_writes_are_timed_and_failures_counted(parts: Parts, tmp_path: Path) -> None:
    small = open_log(tmp_path / "small.sqlite", max_bytes=1 << 17)
    committer = GroupCommitter(small, max_batch=8, on_write=write_observer(parts.metrics.log))
    written = 0
    with pytest.raises(LogUnavailable):
        while True:
            committer.append_blocking([NewRecord(FEEDBACK, "k", b"x" * 4000)] * 2)
            written += 1
    committer.close()
    small.close()
    assert written > 0
    assert parts.value("thumbwheel_log_append_records_sum") == 2.0 * written
    assert parts.value("thumbwheel_log_append_records_count") == float(written)
    assert parts.value("thumbwheel_log_append_duration_seconds_count") == written + 1.0
    assert parts.value("thumbwheel_log_append_failures_total") == 1.0


def test_an_outbox_and_the_lag_behind_the_log_after_it_are_seen(parts: Parts, tmp_path: Path) -> None:
    outbox = open_log(tmp_path / "outbox.sqlite")
    source = Source(parts.log, "ingest elsewhere", outbox)
    outbox.append(answer_and_thumb(0, True))
    parts.log.append([one for number in range(3) for one in answer_and_thumb(number, True)])
    parts.store.apply(recorded_batch(source.consumer, FEEDBACK, 0, 0, 2))
    whole_service(source, parts.store, parts.registry, Path("log.sqlite")).look(parts.metrics)
    assert parts.value("thumbwheel_outbox_records", topic="thumbwheel.feedback") == 1.0
    assert parts.value("thumbwheel_ingest_lag_records", topic="thumbwheel.requests") == 3.0
    assert parts.value("thumbwheel_ingest_lag_records", topic="thumbwheel.feedback") == 1.0
    outbox.close()


def test_with_the_log_away_the_rest_is_seen(parts: Parts, tmp_path: Path) -> None:
    class Away:
        def partitions(self, topic: str) -> Sequence[int]:
            raise LogUnavailable("away", 1.0)

    outbox = open_log(tmp_path / "outbox.sqlite")
    outbox.append(answer_and_thumb(0, True))
    parts.store.apply(
        recorded_batch("c", FEEDBACK, 0, 0, 1, dead_letters=[DeadLetter(FEEDBACK, 0, 0, "poison", b"", 1)])
    )
    observer = whole_service(
        Source(cast(EventLog, Away()), "c", outbox), parts.store, parts.registry, Path("log.sqlite")
    )
    with pytest.raises(LogUnavailable, match="away"):
        observer.look(parts.metrics)
    assert parts.value("thumbwheel_outbox_records", topic="thumbwheel.requests") == 1.0
    assert parts.value("thumbwheel_dead_letters") == 1.0
    outbox.close()
