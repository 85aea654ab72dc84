"""Markers, progress and verdicts on the disk."""

from __future__ import annotations

import math
import os
from pathlib import Path

from thumbwheel.records import GateResult, RunStep, Verdict
from thumbwheel.retrain.run_folder import RunFolder, verdict_from_json, verdict_to_json


def test_a_step_is_done_when_its_marker_is_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.step() is RunStep.FREEZE and folder.record(RunStep.FREEZE) is None
    folder.mark_done(RunStep.FREEZE, {"digest": "x"})
    assert folder.step() is RunStep.FIT and folder.record(RunStep.FREEZE) == {"digest": "x"}
    (tmp_path / ".fit.done.json.partial").write_text('{"half')
    assert folder.record(RunStep.FIT) is None


def test_progress_is_the_last_whole_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.progress() is None
    folder.tell(RunStep.IMPROVE, 0, 0)
    for done in range(1, 300):
        folder.tell(RunStep.IMPROVE, done, 300, {"loss": done / 2, "pad": 1e-300})
    with (tmp_path / "progress.jsonl").open("a") as file:
        file.write('{"step": "judge", "do')
    seen = folder.progress()
    assert seen is not None
    assert (seen.step, seen.done, seen.total, seen.figures["loss"]) == (RunStep.IMPROVE, 299, 300, 149.5)


def test_attempts_are_counted_by_step_and_forgiven(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert [folder.begin(RunStep.FIT), folder.begin(RunStep.FIT), folder.begin(RunStep.JUDGE)] == [1, 2, 1]
    folder.forgive(RunStep.FIT)
    assert folder.begin(RunStep.FIT) == 2


def test_a_step_that_gets_further_between_its_deaths_begins_to_be_counted_anew(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.improve.mkdir()
    assert [folder.begin(RunStep.IMPROVE), folder.begin(RunStep.IMPROVE)] == [1, 2]
    for time_ns in (1_000, 2_000):
        folder.checkpoint.write_text("x")
        os.utime(folder.checkpoint, ns=(time_ns, time_ns))
        assert [folder.begin(RunStep.IMPROVE), folder.begin(RunStep.IMPROVE)] == [1, 2]


def test_a_verdict_reads_back_with_its_gaps() -> None:
    gates = (GateResult("kl", True, 0.1, 3.0, math.nan, math.nan, "fine"),)
    back = verdict_from_json(verdict_to_json(Verdict(True, gates, "Promote.")))
    assert (back.promote, back.summary, back.gates[0].value) == (True, "Promote.", 0.1)
    assert math.isnan(back.gates[0].low)


def test_a_checkpoint_is_cleared_whether_it_is_there_or_not(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.clear_checkpoint()
    folder.improve.mkdir()
    folder.checkpoint.write_text("x")
    folder.clear_checkpoint()
    assert not folder.checkpoint.exists()
