"""The end of a worker: what its run, and runs that ended before it, left beside the versions goes."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from thumbwheel.config.settings import Artifacts, Learn, Settings
from thumbwheel.errors import Unavailable
from thumbwheel.records import Channel, PolicyKind, Run, RunState, RunStep
from thumbwheel.registry.artifacts.opening import open_artifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.retrain import worker
from thumbwheel.retrain.cycle import Cycle
from thumbwheel.retrain.plan import Plan, make_plan, save_plan
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.store.sql import open_store


def planned(settings: Settings, made: Path) -> Plan:
    """Plan the run `this` of a policy with a champion; `earlier` has failed before it."""
    made.mkdir()
    for name in ("config.json", "model.safetensors"):
        (made / name).write_text("first")
    with closing(open_store(settings.database_url)) as store:
        registry = SqlRegistry(settings.database_url, open_artifacts(settings))
        registry.publish(NewVersion("desk", PolicyKind.CLASSIFY), made)
        registry.move("desk", Channel.CHAMPION, "v1", actor="test", reason="first")
        lease = store.acquire_lease("desk", "earlier", 60.0)
        store.save_run(Run("earlier", "desk", RunState.FAILED, RunStep.IMPROVE, "v1", started_us=1), lease)
        store.release_lease(lease)
        plan = make_plan(store, registry, settings, "desk", "this")
        registry.close()
    save_plan(plan, settings.runs_dir / "this")
    return plan


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.REJECTED])
def test_a_run_that_ended_leaves_no_checkpoint_nor_does_an_earlier_one(
    state: RunState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path / "home", artifacts=Artifacts(url=f"file://{tmp_path}/volume"))
    settings.home.mkdir()
    (tmp_path / "volume").mkdir()
    plan = planned(settings, tmp_path / "made")
    left = [tmp_path / "volume" / ".runs" / run / "checkpoint.safetensors" for run in ("earlier", "this")]
    for path in left:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"state")

    def ended(cycle: Cycle) -> Run:
        return replace(cycle.row(RunStep.IMPROVE), state=state, ended_us=2)

    monkeypatch.setattr(worker, "_ended", ended)
    worker._work(plan, RunFolder(settings.runs_dir / "this"))
    assert list((tmp_path / "volume" / ".runs").iterdir()) == []


class Away:
    """Time that passes, for a run whose champion can not be read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1_000_000.0
        self.settings = Settings(home=folder / "home", learn=Learn(max_away_s=7_200))
        self.settings.home.mkdir()
        self.plan = planned(self.settings, folder / "made")
        self.folder = RunFolder(self.settings.runs_dir / "this")
        monkeypatch.setattr(worker, "time", SimpleNamespace(time=lambda: self.now_s, time_ns=time.time_ns))
        monkeypatch.setattr(Cycle, "run", self.refuse)

    def refuse(self) -> Run:
        raise Unavailable("the artifact store is away; bring it back", 1.0)

    def waits_at(self, now_s: float) -> bool:
        """Whether the worker says at this time that the run goes on later, the lease being free meanwhile."""
        self.now_s = now_s
        try:
            worker._work(self.plan, self.folder)
        except Unavailable:
            self.taken_by("whoever comes next")
            return True
        return False

    def taken_by(self, holder: str) -> None:
        with closing(open_store(self.settings.database_url)) as store:
            store.release_lease(store.acquire_lease("desk", holder, 60.0))

    def row(self) -> Run:
        with closing(open_store(self.settings.database_url)) as store:
            found = store.run("this")
            assert found is not None
            return found


def test_a_run_whose_store_stays_away_ends_after_the_limit_and_its_lease_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(tmp_path, monkeypatch)
    assert all(away.waits_at(1_000_000.0 + passed_s) for passed_s in (0, 3_000, 6_000, 7_200))
    assert not away.waits_at(1_007_201.0)
    row = away.row()
    assert (row.state, row.step) == (RunState.FAILED, RunStep.FREEZE)
    assert "away for more than 2 h (learn.max_away_s): the artifact store is away; bring it back" in row.error
    away.taken_by("another")


def test_an_absence_that_ended_does_not_count_for_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Away(tmp_path, monkeypatch)
    assert all(away.waits_at(1_000_000.0 + passed_s) for passed_s in (0, 3_000, 3_000 + 3_601, 8_000))
    away.folder.mark_done(RunStep.FREEZE, {"votes": 0})
    assert all(away.waits_at(1_000_000.0 + passed_s) for passed_s in (8_500, 10_000, 13_000, 14_500))


def test_a_verdict_counts_where_its_report_can_not_be_kept_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(tmp_path, monkeypatch)

    class NowhereToKeep:
        def keep(self, *_: object) -> None:
            raise Unavailable("away", 1.0)

    def ended(cycle: Cycle) -> Run:
        return replace(cycle.row(RunStep.PUBLISH), state=RunState.PROMOTED, ended_us=2, report_path="r.html")

    monkeypatch.setattr(worker, "open_reports", lambda _: NowhereToKeep())
    monkeypatch.setattr(worker, "_ended", ended)
    assert all(away.waits_at(1_000_000.0 + passed_s) for passed_s in (0, 3_600, 7_200))
    assert not away.waits_at(1_007_201.0)
    assert away.row().state is RunState.PROMOTED
