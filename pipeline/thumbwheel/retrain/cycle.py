"""One run, from votes to verdict. `Cycle.run` is the whole story; each step below it is one method.

Every step writes into the run's folder and, last, its marker: killed at any point and started again, a run goes on
at the step it was in (`improve` from its own checkpoint) and comes to the same verdict.

A candidate that is refused stays in the run's folder and never enters the registry: versions are what can be served,
one command away from users, and a refused candidate must not be. Its folder is there to be looked at, its verdict
and its report too.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thumbwheel.dataset.freeze import freeze
from thumbwheel.dataset.snapshot import Snapshot
from thumbwheel.durable import write_whole
from thumbwheel.errors import Conflict, Unlearnable
from thumbwheel.gates.judge import judge
from thumbwheel.records import Channel, Manifest, PolicyKind, Run, RunState, RunStep, Verdict
from thumbwheel.registry.port import NewVersion, Registry
from thumbwheel.registry.trial import NewTrial, TrialKind
from thumbwheel.retrain.event_files import event_file
from thumbwheel.retrain.learner import Job, Learner, Tell
from thumbwheel.retrain.lock import RunLease
from thumbwheel.retrain.plan import Plan
from thumbwheel.retrain.report.data import ReportData
from thumbwheel.retrain.run_folder import RunFolder, verdict_from_json, verdict_to_json
from thumbwheel.store.port import FeedbackStore

ACTOR = "retrain"
MAX_ATTEMPTS = 5
_ERASED = "a user was erased from this run's snapshot while it was under way; start another run"

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cycle:
    """A run with everything it needs.

    `learners` finds the learner of a kind, and is not asked before it is needed: heavy libraries come with it.
    `now_us` gives the time, in microseconds since the epoch.
    """

    plan: Plan
    folder: RunFolder
    store: FeedbackStore
    registry: Registry
    learners: Callable[[PolicyKind], Learner]
    lease: RunLease
    now_us: Callable[[], int]

    def run(self) -> Run:
        """Freeze the votes, fit a reward to them, improve the champion by it, judge the candidate, publish if it won.

        Votes that nothing can be learned from, such as too few, are a verdict too: no. Whatever else goes wrong is
        raised, and the champion is untouched.

        Raises:
            Fenced: another run has taken over; nothing more was written.
            Conflict: a user was erased from the snapshot meanwhile, or a step died too often.
            DamagedArtifact: the champion's files, or this run's, are not what they were.
        """
        try:
            self.once(RunStep.FREEZE, self.freeze)
            self.once(RunStep.FIT, lambda: self.learner.fit(self.job(RunStep.FIT)))
            self.once(RunStep.IMPROVE, self.improve)
            self.once(RunStep.JUDGE, self.judge)
        except Unlearnable as refusal:
            return self.refuse(refusal)
        self.once(RunStep.PUBLISH, self.publish)
        return self.outcome()

    def once(self, step: RunStep, work: Callable[[], Record]) -> None:
        """Do a step unless it is done; its marker is written last, and only while the lease is held.

        Raises:
            Conflict: the step was begun too often; whatever kills it will kill it again.
        """
        if self.folder.record(step) is not None:
            return
        self.lease.check()
        self.store.save_run(self.row(step), self.lease.lease)
        if self.folder.begin(step) > MAX_ATTEMPTS:
            raise Conflict(f"{step} died {MAX_ATTEMPTS} times and is given up; {self.folder.log.name} may say why")
        self.folder.tell(step, 0, 0)
        record = work()
        self.lease.check()
        self.folder.mark_done(step, record)

    def freeze(self) -> Record:
        """The votes at the plan's watermark, as an immutable snapshot.

        Raises:
            NotEnoughData: there are too few.
            Unlearnable: some are on answers of a version that is no more.
        """
        snapshot = freeze(self.store, self.plan.votes, self.folder.snapshot)
        self.check_versions(snapshot)
        return {"digest": snapshot.digest, "votes": snapshot.manifest.counts.usable}

    def improve(self) -> Record:
        """The champion improved by PPO; its figures go into an event file besides, for TensorBoard."""
        with event_file(self.folder.events) as show:
            return self.learner.improve(self.job(RunStep.IMPROVE, show))

    def judge(self) -> Record:
        """Hold the candidate against every gate, and write the verdict and the report."""
        job = self.job(RunStep.JUDGE)
        self.folder.clear_checkpoint()  # large, and read no more: `improve` is done and its marker is written
        measured = self.learner.measure(job)
        verdict = judge(self.plan.kind, measured.evidence, self.plan.settings.gates)
        write_whole(self.folder.verdict, verdict_to_json(verdict))
        self.report(measured.report, verdict)
        return {"promote": verdict.promote, "evidence_digest": _digest(self.folder.verdict)}

    def publish(self) -> Record:
        """Publish a candidate that won and make it the champion; leave one that did not where it is."""
        if not self.verdict().promote:
            return {"version": "", "promoted": False, "problem": ""}
        self.check_inputs()
        self.lease.demand()
        made = self.registry.publish(self.new_version(), self.folder.candidate)
        published = {"version": made.version, **self.promote(made)}
        self.tell_outcome(published)
        return published

    def tell_outcome(self, published: Record) -> None:
        """Say in the report, written before, which version the candidate became."""
        from thumbwheel.retrain.report.write import tell_outcome

        way = "tried as a canary" if published.get("canary") else "made the champion"
        told = f"The candidate became {published['version']}, and was {way}."
        tell_outcome(self.folder.report, published["problem"] or told)

    def promote(self, made: Manifest) -> Record:
        """Let users meet the version as `canary.mode` says, unless the champion is another one since the run began.

        A run that was killed here finds what it did before, and leaves it.
        """
        if _was_champion(self.registry, made):
            return {"promoted": True, "problem": ""}
        if _is_tried(self.registry, made):
            return {"promoted": False, "canary": True, "problem": ""}
        try:
            return self.introduce(made)
        except Conflict as conflict:
            return {"promoted": False, "problem": f"Published as {made.version}, but not promoted: {conflict}"}

    def introduce(self, made: Manifest) -> Record:
        """Make the version a canary, or the champion, watched or not. Raises Conflict."""
        settings, parent = self.plan.settings.canary, self.plan.parent
        said = self.verdict().summary, self.done(RunStep.JUDGE)["evidence_digest"]
        words = {"actor": ACTOR, "reason": said[0], "evidence_digest": said[1]}
        if settings.mode == "on":
            canary = NewTrial(TrialKind.CANARY, made.version, parent, settings.share)
            self.registry.trials.start_canary(made.policy, canary, **words)
            return {"promoted": False, "canary": True, "problem": ""}
        if settings.watch:
            watch = NewTrial(TrialKind.WATCH, made.version, parent)
            self.registry.trials.promote_watched(made.policy, watch, **words)
        else:
            self.registry.move(made.policy, Channel.CHAMPION, made.version, expected_previous=parent, **words)
        return {"promoted": True, "problem": ""}

    def refuse(self, refusal: Unlearnable) -> Run:
        """The run that ends for want of what to learn from: a verdict without gates, and a report that says so."""
        verdict = Verdict(False, (), str(refusal))
        plan = self.plan
        write_whole(self.folder.verdict, verdict_to_json(verdict))
        bare = ReportData(plan.policy, plan.kind, plan.run_id, plan.parent, "", warnings=[str(refusal)])
        self.report(bare, verdict)
        return self.finished(RunState.REJECTED, self.folder.step(), verdict)

    def outcome(self) -> Run:
        """The run as it ended, read from what the steps left."""
        published = self.done(RunStep.PUBLISH)
        refused = RunState.CANARY if published.get("canary") else RunState.REJECTED
        state = RunState.PROMOTED if published["promoted"] else refused
        ended = self.finished(state, RunStep.PUBLISH, self.verdict())
        summary = published["problem"] or ended.summary
        return replace(ended, candidate_version=published["version"], summary=summary)

    def finished(self, state: RunState, step: RunStep, verdict: Verdict) -> Run:
        """The final row."""
        row = replace(self.row(step), state=state, ended_us=self.now_us())
        report = self.folder.report.relative_to(self.folder.path.parent.parent)  # a home may be moved
        return replace(row, summary=verdict.summary, gates=verdict.gates, report_path=report.as_posix())

    def row(self, step: RunStep) -> Run:
        """The row of a run that is in a step."""
        plan, frozen = self.plan, self.folder.record(RunStep.FREEZE) or {"votes": 0}
        return Run(
            run_id=plan.run_id,
            policy=plan.policy,
            state=RunState.RUNNING,
            step=step,
            parent_version=plan.parent,
            started_us=plan.started_us,
            watermark=plan.watermark,
            votes=frozen["votes"],
        )

    def check_inputs(self) -> tuple[Snapshot, Path]:
        """The snapshot and the champion's folder, both as they were when the run began.

        Raises:
            Conflict: the snapshot is not the one that was frozen: a user was erased from it.
            DamagedArtifact: the files of either were altered.
        """
        snapshot = Snapshot(self.folder.snapshot)
        if snapshot.digest != self.done(RunStep.FREEZE)["digest"]:
            raise Conflict(_ERASED)
        return snapshot, self.registry.fetch(self.plan.policy, self.plan.parent)

    def check_versions(self, snapshot: Snapshot) -> None:
        """Refuse votes on versions that the registry does not know: nobody can tell any more what answered there."""
        known = {made.version for made in self.registry.versions(self.plan.policy)}
        answers = Counter(row.response.ref.version for row in snapshot.rows())
        gone = ", ".join(f"{version} ({answers[version]:,} answers)" for version in sorted(answers.keys() - known))
        if gone:
            raise Unlearnable(
                f"votes are on versions of {self.plan.policy} that were erased: {gone}; restore them from a backup, or "
                "wait until those answers are past (store.retention_days)"
            )

    def job(self, step: RunStep, show: Tell = lambda done, total, figures: None) -> Job:
        """What the learner works on in a step; its inputs are checked before every one, see `check_inputs`.

        What it tells is written down as progress, and handed on to `show`.
        """
        snapshot, champion = self.check_inputs()

        def tell(done: int, total: int, figures: Mapping[str, float]) -> None:
            self.lease.check()
            if not snapshot.rows_path.exists():  # erasing writes the other rows to a new file, and removes this one
                raise Conflict(_ERASED)
            self.folder.tell(step, done, total, figures)
            show(done, total, figures)

        return Job(self.plan, self.folder, snapshot, champion, tell)

    @property
    def learner(self) -> Learner:
        """The learner of the policy's kind."""
        return self.learners(self.plan.kind)

    def report(self, shown: ReportData, verdict: Verdict) -> None:
        """Write `report.html`."""
        from thumbwheel.retrain.report.write import write_report  # draws plots: slow to import

        ended = replace(shown, verdict=verdict, started_us=self.plan.started_us, ended_us=self.now_us())
        write_report(self.folder.report, ended)

    def new_version(self) -> NewVersion:
        """What the registry is told of the candidate."""
        plan, verdict = self.plan, self.verdict()
        return NewVersion(
            policy=plan.policy,
            kind=plan.kind,
            parent=plan.parent,
            base=self.registry.manifest(plan.policy, plan.parent).base,
            run_id=plan.run_id,
            watermark=plan.watermark,
            verdict="promote",
            notes={"summary": verdict.summary, "snapshot": self.done(RunStep.FREEZE)["digest"]},
        )

    def verdict(self) -> Verdict:
        """The verdict as `judge` wrote it."""
        return verdict_from_json(self.folder.verdict.read_text(encoding="utf-8"))

    def done(self, step: RunStep) -> Record:
        """What a step that is done has left."""
        record = self.folder.record(step)
        assert record is not None, f"{step} is not done"
        return record


def _was_champion(registry: Registry, made: Manifest) -> bool:
    """Whether the version was promoted before: by this run, ere it was killed. What came after is not undone."""
    history = registry.history(made.policy, limit=1000)
    return any(change.version == made.version and change.channel is Channel.CHAMPION for change in history)


def _is_tried(registry: Registry, made: Manifest) -> bool:
    """Whether the version's trial was begun before, by this run, ere it was killed."""
    return any(trial.version == made.version for trial in registry.trials.newest(made.policy, limit=20))


def _digest(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
