"""The ingest thread while the log is away: it waits, says so once, and goes on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from answered import answer_and_vote
from structlog.testing import capture_logs

from thumbwheel.app.ingesting import ingesting
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import EventLog
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Ingest
from thumbwheel.errors import LogUnavailable
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.store.sql import open_store
from thumbwheel.telemetry.metrics import Metrics


class Fickle:
    """A log that can be taken away."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.is_away = True
        self.refused = 0

    def partitions(self, topic: str) -> Sequence[int]:
        if self.is_away:
            self.refused += 1
            raise LogUnavailable("away", 0.001)
        return self.log.partitions(topic)

    def __getattr__(self, name: str) -> object:
        return getattr(self.log, name)


def until_refused(log: Fickle, times: int) -> None:
    wanted = log.refused + times
    while log.refused < wanted:
        threading.Event().wait(0.005)


def test_it_pauses_says_so_once_and_goes_on_by_itself(tmp_path: Path) -> None:
    real, store = open_log(tmp_path / "log.sqlite"), open_store(f"sqlite:///{tmp_path}/store.sqlite")
    fickle, metrics = Fickle(real), Metrics()
    with capture_logs() as said, ingesting(Source(cast(EventLog, fickle)), store, Ingest(), metrics.ingest):
        for number in range(2):
            fickle.is_away = True
            until_refused(fickle, 3)
            real.append([to_log(record) for record in answer_and_vote(number)])
            fickle.is_away = False
            while store.response(f"r{number}") is None:
                threading.Event().wait(0.005)
    assert [line["problem"] for line in said] == ["away", "away"]
    value = metrics.registry.get_sample_value("thumbwheel_ingest_failures_total", {"reason": "unavailable"})
    assert value == fickle.refused >= 6
    store.close()
    real.close()


def test_a_partition_that_fails_by_a_defect_is_a_problem_until_it_goes_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thumbwheel.app.ingesting._AFTER_DEFECT_S", 0.01)
    log, store, metrics = open_log(tmp_path / "log.sqlite"), open_store(f"sqlite:///{tmp_path}/store.sqlite"), Metrics()
    seen: list[str] = []

    def broken(worker: IngestWorker) -> int:
        seen.append(worker.problem)
        if len(seen) < 4:
            raise ZeroDivisionError
        return original(worker)

    original = IngestWorker.run_once
    monkeypatch.setattr(IngestWorker, "run_once", broken)
    with capture_logs(), ingesting(Source(log), store, Ingest(), metrics.ingest) as worker:
        while len(seen) < 4 or worker.problem:
            threading.Event().wait(0.005)
    assert seen[0] == ""
    assert all("stands still by a defect" in problem for problem in seen[1:4])
    store.close()
    log.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_can_not_go_on_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, store, metrics = open_log(tmp_path / "log.sqlite"), open_store(f"sqlite:///{tmp_path}/store.sqlite"), Metrics()

    def ending(_worker: IngestWorker, _stop: threading.Event) -> None:
        raise SystemExit  # of a thread it is said nowhere

    monkeypatch.setattr(IngestWorker, "run", ending)
    with ingesting(Source(log), store, Ingest(), metrics.ingest) as worker:
        while not worker.problem:
            threading.Event().wait(0.005)
        assert "restart the process" in worker.problem
    assert worker.problem
    store.close()
    log.close()
