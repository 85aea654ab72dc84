"""The runner where no worker comes to anything, and where none may be started."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from thumbwheel.config.settings import Artifacts, Settings
from thumbwheel.errors import Conflict, InvalidConfig, RunInProgress, Unavailable, UnknownPolicy, UnknownRun
from thumbwheel.records import AuditAction, Channel, GateResult, PolicyKind, Run, RunState, RunStep
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.retrain import runner as module
from thumbwheel.retrain.exits import Exit
from thumbwheel.retrain.plan import load_plan
from thumbwheel.retrain.runner import Runner
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store


class Bench:
    """A home with a policy and no votes."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.store: FeedbackStore = open_store(self.settings.database_url)
        self.registry = SqlRegistry(self.settings.database_url, LocalArtifacts(self.settings.versions_dir))
        made = home / "made"
        made.mkdir()
        for name in ("config.json", "model.safetensors"):
            (made / name).write_text("first")
        self.registry.publish(NewVersion("desk", PolicyKind.CLASSIFY), made)
        self.runner = Runner(self.store, self.registry, self.settings)

    def promote(self) -> None:
        self.registry.move("desk", Channel.CHAMPION, "v1", actor="test", reason="first")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.runner.stop()
    made.store.close()
    made.registry.close()


def dying_worker(folder: Path) -> str:
    """An interpreter that ends at once with status 3, whatever it is told to run."""
    script = folder / "dying"
    script.write_text("#!/bin/sh\necho oh no\nexit 3\n")
    script.chmod(0o755)
    return str(script)


def test_a_run_whose_workers_all_die_has_failed_and_frees_the_policy(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.promote()
    monkeypatch.setattr(sys, "executable", dying_worker(tmp_path))
    monkeypatch.setattr(module, "MAX_STARTS", 3)
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    with capture_logs() as told:
        run_id = bench.runner.start("desk", "ann", "asked for")
        assert bench.runner.wait(60)
    run = bench.store.run(run_id)
    assert run is not None and run.state is RunState.FAILED and run.ended_us > run.started_us
    [end] = [entry for entry in told if entry["event"] == "run ended"]
    assert (end["policy"], end["run_id"], end["verdict"], end["error"]) == ("desk", run_id, "failed", run.error)
    assert "died 3 times" in run.error and "worker.log" in run.error
    assert bench.runner.folder(run_id).log.read_text() == "oh no\n" * 3
    assert bench.store.acquire_lease("desk", "the next one", 60).holder == "the next one"
    ended, entry = bench.store.audit_trail("desk", 10)
    assert (ended.action, ended.subject, ended.reason) == (AuditAction.RUN_ENDED, run_id, f"failed: {run.error}")
    assert (entry.action, entry.actor, entry.reason) == (AuditAction.RUN_STARTED, "ann", "asked for")
    assert (entry.policy, entry.subject, entry.time_us) == ("desk", run_id, run.started_us)


def test_a_part_that_is_away_is_waited_for_and_not_held_against_the_run(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.promote()
    script = tmp_path / "waiting"
    away = f"[ $(wc -l < {tmp_path / 'seen'}) -le 5 ] && exit {int(Exit.AWAY)}"
    script.write_text(f"#!/bin/sh\necho once >> {tmp_path / 'seen'}\n{away}\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(module, "MAX_STARTS", 3)
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    monkeypatch.setattr(module, "AWAY_S", 0.001)
    run_id = bench.runner.start("desk", "ann", "asked for")
    assert bench.runner.wait(60)
    run = bench.store.run(run_id)
    assert run is not None and "died 3 times" in run.error
    assert (tmp_path / "seen").read_text() == "once\n" * (5 + 3)


def test_what_a_run_that_was_given_up_left_beside_the_versions_goes(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.promote()
    settings = bench.settings.model_copy(update={"artifacts": Artifacts(url=f"file://{tmp_path}/volume")})
    runner = Runner(bench.store, bench.registry, settings)
    monkeypatch.setattr(sys, "executable", dying_worker(tmp_path))
    monkeypatch.setattr(module, "MAX_STARTS", 1)
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    left = tmp_path / "volume" / ".runs" / "given" / "checkpoint.safetensors"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"state")
    assert runner.start("desk", "ann", "asked for", "given") == "given"
    assert runner.wait(60)
    run = bench.store.run("given")
    assert run is not None and run.state is RunState.FAILED
    assert not left.parent.exists()


def test_a_run_whose_plan_is_lost_has_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.promote()
    monkeypatch.setattr(module, "save_plan", lambda plan, folder: folder.mkdir(parents=True))
    run_id = bench.runner.start("desk", "ann", "asked for")
    assert bench.runner.wait(60)
    run = bench.store.run(run_id)
    assert run is not None and run.state is RunState.FAILED and "plan.json" in run.error


def test_what_can_not_be_started_says_why(bench: Bench) -> None:
    with pytest.raises(UnknownPolicy, match="^policy: .*desk"):
        bench.runner.start("nothing", "ann", "asked for")
    with pytest.raises(Conflict, match="champion"):
        bench.runner.start("desk", "ann", "asked for")
    bench.promote()
    bench.settings.runs_dir.write_text("in the way")
    with pytest.raises(Unavailable, match="folder of runs"):
        bench.runner.start("desk", "ann", "asked for")
    assert bench.store.acquire_lease("desk", "free again", 60).holder == "free again"
    assert bench.runner.active() == "" and bench.runner.resume() == []
    assert bench.store.audit_trail("desk", 10) == []
    bench.runner.stop()
    with pytest.raises(RunInProgress, match="stopping"):
        bench.runner.start("desk", "ann", "asked for")


def test_a_run_that_is_waited_for_at_the_end_is_named(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.promote()
    script = tmp_path / "waiting"
    script.write_text("#!/bin/sh\nexec cat\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    run_id = bench.runner.start("desk", "ann", "asked for")
    while not bench.runner._active or not bench.runner._active.process:
        time.sleep(0.01)
    with capture_logs() as told:
        bench.runner.stop()
        bench.runner.stop()
    waits = [entry for entry in told if entry["event"] == "waiting for the run to save its place"]
    assert [entry["run_id"] for entry in waits] == [run_id]
    assert told[-1] == {
        "event": "stopped; the run goes on at the next start",
        "policy": "desk",
        "run_id": run_id,
        "log_level": "info",
    }
    again = Runner(bench.store, bench.registry, bench.settings)
    with capture_logs() as told:
        assert again.resume() == [run_id]
    assert {"event": "run goes on", "run_id": run_id, "step": "freeze", "log_level": "info"} in told
    again.stop()


def test_the_end_of_a_run_is_told_with_the_first_gate_that_failed(tmp_path: Path) -> None:
    gates = tuple(GateResult(name, name == "data_sanity", 0, 0, 0, 0, "") for name in ("data_sanity", "latency", "old"))
    run = Run("r1", "desk", RunState.REJECTED, RunStep.PUBLISH, "v1", 1, report_path="runs/r1/report.html", gates=gates)
    assert module._end(run, tmp_path) == {
        "policy": "desk",
        "run_id": "r1",
        "verdict": "rejected",
        "failed_gate": "As quick",
        "report": str(tmp_path / "runs/r1/report.html"),
    }
    promoted = replace(run, state=RunState.PROMOTED, candidate_version="v2", gates=gates[:1], report_path="")
    assert module._end(promoted, tmp_path)["version"] == "v2"
    assert "failed_gate" not in module._end(promoted, tmp_path)


@pytest.mark.parametrize("name", ["", "../other", ".hidden", "a/b"])
def test_a_run_is_named_plainly(bench: Bench, name: str) -> None:
    with pytest.raises(UnknownRun):
        bench.runner.folder(name)


def test_a_worker_is_held_to_its_threads() -> None:
    environment = module._environment(3)
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "3"
    assert environment["PATH"] == os.environ["PATH"]


def test_thresholds_that_changed_since_the_last_run_are_audited_with_who_answers_for_them(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.promote()
    monkeypatch.setattr(sys, "executable", dying_worker(tmp_path))
    monkeypatch.setattr(module, "MAX_STARTS", 1)
    policy = tmp_path / "gates.toml"
    policy.write_text("[kl_budget]\nthreshold = 2.5\n")
    gates = bench.settings.gates.model_copy(update={"file": policy})
    strict = Runner(bench.store, bench.registry, bench.settings.model_copy(update={"gates": gates}))
    for runner in (bench.runner, strict, strict):
        run_id = runner.start("desk", "ann", "asked for")
        assert runner.wait(60)
    changes = [one for one in bench.store.audit_trail("", 10) if one.action is AuditAction.GATES_CHANGED]
    assert [(one.actor, one.reason) for one in changes] == [(policy.owner(), "kl_budget 3 -> 2.5")]
    assert load_plan(strict.folder(run_id).path).settings.gates.max_kl == 2.5  # what is judged by is in the plan


def test_a_file_of_thresholds_that_can_not_be_used_begins_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.promote()
    policy = tmp_path / "gates.toml"
    policy.write_text("[kl_budget]\nthreshold = -1\n")
    gates = bench.settings.gates.model_copy(update={"file": policy})
    runner = Runner(bench.store, bench.registry, bench.settings.model_copy(update={"gates": gates}))
    with pytest.raises(InvalidConfig, match="kl_budget must be above 0 and at most 100, got -1"):
        runner.start("desk", "ann", "asked for")
    assert bench.store.runs("desk") == []
    assert bench.registry.channels("desk") == {Channel.CHAMPION: "v1"}
