"""The end of a worker: what its run, and runs that ended before it, left beside the versions goes."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from thumbwheel.config.settings import Artifacts, Settings
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
