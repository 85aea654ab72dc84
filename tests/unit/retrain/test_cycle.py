"""The cycle with a learner that learns nothing: what each step leaves, what ends a run, and what is never undone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded_batch import recorded_batch

from thumbwheel.config.settings import Artifacts, Canary, Data, Gates, Settings
from thumbwheel.errors import Conflict, DamagedArtifact, Fenced, NotEnoughData, Unavailable
from thumbwheel.gates.evidence import ClassifyEvidence, Latency, Votes
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    PolicyKind,
    RunState,
    RunStep,
    VersionRef,
)
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.artifacts.reports import open_reports
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.registry.trial import NewTrial, TrialKind
from thumbwheel.retrain.cycle import MAX_ATTEMPTS, Cycle
from thumbwheel.retrain.erase import erase_from_runs, runs_with
from thumbwheel.retrain.learner import Job, Measured
from thumbwheel.retrain.lock import RunLease
from thumbwheel.retrain.plan import load_plan, make_plan, save_plan
from thumbwheel.retrain.report.data import ReportData
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.store.sql import SqlStore, open_store

LABELS = ("a", "b")


class Died(BaseException):
    """Stands for the end of the process."""


class FakeLearner:
    """Writes a candidate, and evidence that it is better by `gain`; dies or fails where it is told to."""

    def __init__(self, gain: float = 0.6) -> None:
        self.gain = gain
        self.calls: list[str] = []
        self.trouble: dict[str, Callable[[], None]] = {}

    def fit(self, job: Job) -> Mapping[str, Any]:
        self._enter("fit")
        return {}

    def improve(self, job: Job) -> Mapping[str, Any]:
        self._enter("improve")
        job.folder.candidate.mkdir(exist_ok=True)
        for name in ("config.json", "model.safetensors"):
            (job.folder.candidate / name).write_text("better")
        job.tell(1, 1, {"loss": 0.5})
        return {"votes": 3}

    def measure(self, job: Job) -> Measured:
        self._enter("measure")
        rng = np.random.default_rng(0)
        labels_N = rng.integers(0, 2, 400)
        rewards_N = (labels_N == 0).astype(float)
        even_NK = np.full((400, 2), 0.5)
        better_NK = even_NK + np.array([self.gain / 2, -self.gain / 2])
        evidence = ClassifyEvidence(
            votes=Votes(200, 200, {f"u{n}": 20 for n in range(20)}, 100),
            latency=Latency([1.0] * 20, [1.0] * 20),
            labels_N=labels_N,
            rewards_N=rewards_N,
            logged_NK=even_NK,
            champion_NK=even_NK,
            candidate_NK=better_NK,
        )
        return Measured(evidence, ReportData("desk", PolicyKind.CLASSIFY, job.plan.run_id, "v1", "candidate"))

    def _enter(self, name: str) -> None:
        self.calls.append(name)
        self.trouble.get(name, lambda: None)()


class Desk:
    """A home with one policy and a hundred votes; `cycle` makes a cycle on the one planned run."""

    def __init__(self, home: Path) -> None:
        data, gates = Data(min_votes_classify=50), Gates(max_weight_share=0.2)
        self.settings = Settings(home=home, data=data, gates=gates)
        self.store: SqlStore = open_store(self.settings.database_url)  # type: ignore[assignment]
        self.registry = SqlRegistry(self.settings.database_url, LocalArtifacts(self.settings.versions_dir))
        self.publish("first")
        self.registry.move("desk", Channel.CHAMPION, "v1", actor="test", reason="first")
        self._fill()
        plan = make_plan(self.store, self.registry, self.settings, "desk")
        self.folder = RunFolder(self.settings.runs_dir / plan.run_id)
        save_plan(plan, self.folder.path)
        self.plan = load_plan(self.folder.path)
        assert self.plan == plan
        self.lease = RunLease(self.store, "desk", plan.run_id)
        self.clock = itertools.count(10)

    def publish(self, content: str) -> None:
        made = self.settings.home / content
        made.mkdir()
        for name in ("config.json", "model.safetensors"):
            (made / name).write_text(content)
        self.registry.publish(NewVersion("desk", PolicyKind.CLASSIFY, base="scratch"), made)

    def cycle(self, learner: FakeLearner, **changes: Any) -> Cycle:
        made = Cycle(
            self.plan, self.folder, self.store, self.registry, lambda _: learner, self.lease, lambda: next(self.clock)
        )
        return replace(made, **changes)

    @property
    def champion(self) -> str:
        return self.registry.channels("desk")[Channel.CHAMPION]

    def _fill(self) -> None:
        responses, votes = [], []
        for n in range(100):
            answer = ClassifyAnswer(f"secret {n % 25}", n % 2, LABELS[n % 2], (0.5, 0.5), 0.02, LABELS)
            ref, user = VersionRef("desk", "v1", "sha256:1"), f"u{n % 25}"
            responses.append(LoggedResponse(f"r{n:03}", f"q{n}", ref, Channel.CHAMPION, "", user, "", n, "", answer))
            thumb = n % 3 == 0
            votes.append(Feedback(f"f{n}", f"r{n:03}", user, "", "desk", "v1", FeedbackKind.THUMB, n, thumb_up=thumb))
        self.store.apply(recorded_batch("test", "all", 0, 0, 100, responses, votes, list(range(100))))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    with made.lease:
        yield made
    made.store.close()
    made.registry.close()


def test_a_better_candidate_becomes_the_champion(desk: Desk) -> None:
    run = desk.cycle(FakeLearner()).run()
    assert (run.state, run.candidate_version, run.parent_version) == (RunState.PROMOTED, "v2", "v1")
    assert run.watermark == 100 and run.votes >= 50 and run.ended_us > 0
    assert all(gate.passed for gate in run.gates) and len(run.gates) == 9
    made = desk.registry.manifest("desk", "v2")
    assert (made.parent, made.base, made.run_id, made.verdict) == ("v1", "scratch", desk.plan.run_id, "promote")
    change = desk.registry.history("desk")[0]
    assert (change.previous, change.version, change.reason) == ("v1", "v2", run.summary)
    assert desk.champion == "v2"
    assert "The candidate became v2, and was made the champion." in desk.folder.report.read_text()
    assert run.report_path == f"runs/{run.run_id}/report.html"
    assert desk.settings.home / run.report_path == desk.folder.report
    assert desk.folder.step() is RunStep.PUBLISH
    assert [file.name.startswith("events.out") for file in desk.folder.events.iterdir()] == [True]


def test_the_store_knows_which_step_a_run_is_in(desk: Desk) -> None:
    learner, seen = FakeLearner(), []
    for name in ("fit", "improve", "measure"):
        learner.trouble[name] = lambda: seen.append(desk.store.run(desk.plan.run_id))
    desk.cycle(learner).run()
    assert [run and (run.state, run.step) for run in seen] == [
        (RunState.RUNNING, step) for step in (RunStep.FIT, RunStep.IMPROVE, RunStep.JUDGE)
    ]


def test_a_refused_candidate_stays_in_its_folder_and_says_why(desk: Desk) -> None:
    run = desk.cycle(FakeLearner(gain=0.0)).run()
    assert (run.state, run.candidate_version) == (RunState.REJECTED, "")
    assert run.summary.startswith("Keep the champion") and "Earns more (SNIPS)" in run.summary
    assert [made.version for made in desk.registry.versions("desk")] == ["v1"]
    assert desk.champion == "v1"
    assert (desk.folder.candidate / "model.safetensors").is_file() and desk.folder.report.is_file()


@pytest.mark.parametrize("name", ["fit", "improve", "measure"])
def test_a_step_that_died_is_done_again_and_what_is_done_is_not(desk: Desk, name: str) -> None:
    learner = FakeLearner()

    def die() -> None:
        learner.trouble.clear()
        raise Died

    learner.trouble[name] = die
    with pytest.raises(Died):
        desk.cycle(learner).run()
    assert desk.cycle(learner).run().state is RunState.PROMOTED
    assert sorted(learner.calls) == sorted(["fit", "improve", "measure", name])


def test_death_between_promotion_and_its_marker_promotes_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    mark_done = RunFolder.mark_done

    def die_at_publish(folder: RunFolder, step: RunStep, record: Mapping[str, Any]) -> None:
        if step is RunStep.PUBLISH:
            raise Died
        mark_done(folder, step, record)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "mark_done", die_at_publish)
        with pytest.raises(Died):
            desk.cycle(FakeLearner()).run()
    assert desk.champion == "v2"
    desk.registry.rollback("desk", actor="ann", reason="I saw it fail")
    run = desk.cycle(FakeLearner()).run()
    assert (run.state, run.candidate_version) == (RunState.PROMOTED, "v2")
    assert desk.champion == "v1", "what a person took back must not come again"


def test_a_champion_that_moved_meanwhile_is_not_overruled(desk: Desk) -> None:
    desk.publish("other")
    learner = FakeLearner()

    def someone_promotes() -> None:
        desk.registry.move("desk", Channel.CHAMPION, "v2", actor="ann", reason="by hand")

    learner.trouble["measure"] = someone_promotes
    run = desk.cycle(learner).run()
    assert (run.state, run.candidate_version) == (RunState.REJECTED, "v3")
    assert "v3" in run.summary and "v2" in run.summary
    assert desk.champion == "v2"


def test_too_few_votes_are_a_verdict_with_a_report(desk: Desk) -> None:
    few = replace(desk.plan, settings=Settings(home=desk.settings.home, data=Data(min_votes_classify=5000)))
    learner = FakeLearner()
    run = desk.cycle(learner, plan=few).run()
    assert (run.state, run.step, learner.calls) == (RunState.REJECTED, RunStep.FREEZE, [])
    assert "5000" in run.summary and "data.min_votes_classify" in run.summary
    assert desk.folder.report.is_file()


def test_a_learner_that_lacks_votes_ends_the_run_alike(desk: Desk) -> None:
    learner = FakeLearner()

    def lack() -> None:
        raise NotEnoughData("only 3 thumbs down, it takes 20")

    learner.trouble["fit"] = lack
    run = desk.cycle(learner).run()
    assert (run.state, run.step, run.summary) == (RunState.REJECTED, RunStep.FIT, "only 3 thumbs down, it takes 20")


def test_votes_on_a_version_that_was_erased_end_the_run_and_name_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqlRegistry, "versions", lambda registry, policy: [])
    learner = FakeLearner()
    run = desk.cycle(learner).run()
    assert (run.state, run.step, learner.calls) == (RunState.REJECTED, RunStep.FREEZE, [])
    assert "votes are on versions of desk that were erased: v1 (" in run.summary
    assert desk.champion == "v1"
    assert desk.folder.report.is_file()


def test_a_step_that_keeps_dying_is_given_up(desk: Desk) -> None:
    learner = FakeLearner()

    def die() -> None:
        raise Died

    learner.trouble["improve"] = die
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(Died):
            desk.cycle(learner).run()
    with pytest.raises(Conflict, match=f"improve died {MAX_ATTEMPTS} times"):
        desk.cycle(learner).run()
    assert learner.calls.count("improve") == MAX_ATTEMPTS
    desk.folder.forgive(RunStep.IMPROVE)
    desk.folder.forgive(RunStep.IMPROVE)
    learner.trouble.clear()
    assert desk.cycle(learner).run().state is RunState.PROMOTED


def test_a_lost_lease_stops_the_run_before_it_publishes(desk: Desk) -> None:
    learner = FakeLearner()

    def take_over() -> None:
        desk.store.acquire_lease("desk", desk.plan.run_id, 60)

    learner.trouble["measure"] = take_over
    with pytest.raises(Fenced):
        desk.cycle(learner).run()
    assert desk.champion == "v1"
    assert len(desk.registry.versions("desk")) == 1


def test_a_damaged_champion_fails_the_run(desk: Desk) -> None:
    (desk.settings.versions_dir / "desk" / "v1" / "config.json").write_text("tampered")
    with pytest.raises(DamagedArtifact, match=r"config\.json"):
        desk.cycle(FakeLearner()).run()


def test_an_erased_user_is_in_no_file_of_a_run_and_the_run_ends(desk: Desk) -> None:
    learner = FakeLearner()
    user, text = "u7", "secret 7"

    def erase() -> None:
        assert runs_with(desk.settings.runs_dir, user) == [desk.plan.run_id]
        assert erase_from_runs(desk.settings.runs_dir, user) == [desk.plan.run_id]

    learner.trouble["improve"] = erase
    with pytest.raises(Conflict, match="erased"):
        desk.cycle(learner).run()
    assert desk.folder.record(RunStep.IMPROVE) is None, "it does not compute on to its end"
    assert runs_with(desk.settings.runs_dir, user) == []
    files = [path for path in desk.folder.path.rglob("*") if path.is_file()]
    held = [path.read_bytes().decode(errors="replace") for path in files]  # event files are no text
    assert held and not any(f'"{text}"' in content or f'"{user}"' in content for content in held)


def test_a_user_erased_after_the_verdict_is_in_nothing_that_is_published(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_done = RunFolder.mark_done

    def erase_once_judged(folder: RunFolder, step: RunStep, record: Mapping[str, Any]) -> None:
        mark_done(folder, step, record)
        if step is RunStep.JUDGE:
            erase_from_runs(desk.settings.runs_dir, "u7")

    monkeypatch.setattr(RunFolder, "mark_done", erase_once_judged)
    with pytest.raises(Conflict, match="erased"):
        desk.cycle(FakeLearner()).run()
    assert [version.version for version in desk.registry.versions("desk")] == ["v1"]


def test_the_report_of_a_run_that_ended_loses_its_samples_and_keeps_its_gates(desk: Desk) -> None:
    run = desk.cycle(FakeLearner()).run()
    desk.folder.report.write_text("<html>secret 7")
    assert erase_from_runs(desk.settings.runs_dir, "u7") == [run.run_id]
    page = desk.folder.report.read_text()
    assert "secret 7" not in page and "erased" in page
    assert run.gates[0].sentence in page


def test_a_report_kept_beside_the_versions_loses_its_samples_before_the_snapshot_loses_the_user(
    desk: Desk, tmp_path: Path
) -> None:
    reports = open_reports(Settings(home=tmp_path / "home", artifacts=Artifacts(url=f"file://{tmp_path}/shared")))
    assert reports is not None
    run = desk.cycle(FakeLearner()).run()
    desk.folder.report.write_text("<html>secret 7")
    reports.keep(run.run_id, desk.folder.report)
    assert reports.read(run.run_id) == b"<html>secret 7"
    assert reports.place(run.run_id) == f"file://{tmp_path}/shared/.reports/{run.run_id}.html"
    assert reports.read("run-9") is None

    def away(run_id: str, report: Path) -> None:
        raise Unavailable("away", 1.0)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reports, "keep", away)
        with pytest.raises(Unavailable):
            erase_from_runs(desk.settings.runs_dir, "u7", reports)
    assert erase_from_runs(desk.settings.runs_dir, "u7", reports) == [run.run_id]
    kept = reports.read(run.run_id)
    assert kept is not None and b"secret 7" not in kept and b"erased" in kept
    assert open_reports(Settings(home=tmp_path)) is None


def test_erasing_sweeps_what_a_killed_freeze_left(desk: Desk) -> None:
    desk.folder.snapshot.mkdir()
    (desk.folder.snapshot / "rows.jsonl.partial").write_text('"u7"')
    assert erase_from_runs(desk.settings.runs_dir, "u7") == []
    assert list(desk.folder.snapshot.iterdir()) == []


def test_a_plan_that_can_not_be_read_is_damage(desk: Desk) -> None:
    (desk.folder.path / "plan.json").write_text("{}")
    with pytest.raises(DamagedArtifact, match=r"plan\.json"):
        load_plan(desk.folder.path)


def with_canary(desk: Desk, **canary: Any) -> Cycle:
    settings = desk.plan.settings.model_copy(update={"canary": Canary.model_validate(canary)})
    return desk.cycle(FakeLearner(), plan=replace(desk.plan, settings=settings))


def test_a_new_champion_is_watched_against_the_one_before(desk: Desk) -> None:
    desk.cycle(FakeLearner()).run()
    [trial] = desk.registry.trials.running()
    assert (trial.kind, trial.version, trial.control) == (TrialKind.WATCH, "v2", "v1")


def test_without_a_watch_it_is_promoted_all_the_same(desk: Desk) -> None:
    assert with_canary(desk, watch=False).run().state is RunState.PROMOTED
    assert desk.champion == "v2"
    assert desk.registry.trials.newest("desk") == []


def test_a_canary_answers_some_users_first_and_the_champion_stays(desk: Desk) -> None:
    cycle = with_canary(desk, mode="on", share=0.25)
    run = cycle.run()
    assert (run.state, run.candidate_version, desk.champion) == (RunState.CANARY, "v2", "v1")
    [trial] = desk.registry.trials.running()
    assert (trial.kind, trial.version, trial.split.share_ppm) == (TrialKind.CANARY, "v2", 250_000)
    assert desk.registry.channels("desk") == {Channel.CHAMPION: "v1", Channel.CANARY: "v2"}
    # killed after it was begun and before that was written down, the run finds it and begins no other
    assert cycle.promote(desk.registry.manifest("desk", "v2")) == {"promoted": False, "canary": True, "problem": ""}
    assert desk.registry.trials.running() == [trial]


def test_a_canary_beside_another_is_not_begun_and_the_run_says_why(desk: Desk) -> None:
    desk.publish("other")
    canary = NewTrial(TrialKind.CANARY, "v2", "v1", 0.1)
    desk.registry.trials.start_canary("desk", canary, actor="ann", reason="mine")
    run = with_canary(desk, mode="on").run()
    assert run.state is RunState.REJECTED
    assert "Published as v3, but not promoted: the canary v2 of desk is on trial" in run.summary
