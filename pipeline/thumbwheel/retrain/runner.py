"""Starts the processes that work on runs, watches them, and resumes what was interrupted. One run at a time.

A run whose worker died is started again where it was; the worker itself gives up a step that died too often. A
worker lives no longer than its runner, so a service that was killed leaves no learning behind; at its next start
`resume` goes on with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from thumbwheel.config.settings import Settings
from thumbwheel.errors import DamagedArtifact, RunInProgress, Unavailable, UnknownRun
from thumbwheel.gates.judge import find_gate
from thumbwheel.gates.threshold_file import answerable, thresholds
from thumbwheel.records import AuditAction, AuditEntry, Run, RunState, RunStep
from thumbwheel.registry.port import Registry
from thumbwheel.retrain.exits import Exit
from thumbwheel.retrain.left_checkpoints import clear_left
from thumbwheel.retrain.lock import LEASE_S
from thumbwheel.retrain.plan import Plan, load_plan, make_plan, save_plan
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.store.port import FeedbackStore, Lease
from thumbwheel.telemetry.logging import get_logger

log = get_logger(__name__)

# Starts of a worker that came to nothing, after which a run is given up.
MAX_STARTS = 20
RETRY_S = 2.0
AWAY_S = 15.0
STOP_S = 10.0


@dataclass(slots=True)
class _Active:
    """The run that is worked on, its process, and the thread that watches it."""

    run_id: str
    process: subprocess.Popen[bytes] | None = None
    watcher: threading.Thread | None = None


class Runner:
    """Runs of all policies, one at a time, each in a process of its own. Safe from any thread."""

    def __init__(self, store: FeedbackStore, registry: Registry, settings: Settings) -> None:
        """Work in `settings.runs_dir`; nothing is started yet."""
        self._store = store
        self._registry = registry
        self._settings = settings
        self._lock = threading.Lock()
        self._active: _Active | None = None
        self._stopping = threading.Event()

    def start(self, policy: str, actor: str, reason: str, run_id: str = "") -> str:
        """Plan a run of a policy, start its worker, and return the run's id; it is in the store already.

        `run_id` is that of a queued run. Who wanted it, and why, stands in the audit trail. Whoever began an earlier
        run of the policy and did not end it has lost the policy's lease: that run is written down as failed.

        Raises:
            RunInProgress: a run is under way, of this policy or another.
            UnknownPolicy, Conflict: there is no such policy, or it has no champion.
            InvalidConfig: the file of the gates' thresholds can not be used.
            Unavailable: the disk or the database can not be written.
        """
        with self._lock:
            self._demand_idle()
            plan = make_plan(self._store, self._registry, self._settings, policy, run_id)
            lease = self._store.acquire_lease(policy, plan.run_id, LEASE_S)
            try:
                save_plan(plan, self.folder(plan.run_id).path)
            except OSError as error:
                self._store.release_lease(lease)
                problem = f"the folder of runs can not be written ({error.strerror}); free space or mend its rights"
                raise Unavailable(problem, STOP_S) from error
            self._close_abandoned(plan, lease)
            self._store.save_run(_planned(plan), lease)
            gates = plan.settings.gates
            self._store.enter_limits(thresholds(gates), answerable(gates, actor))
            self._store.audit(AuditEntry(plan.started_us, AuditAction.RUN_STARTED, actor, reason, policy, plan.run_id))
            self._watch(plan.run_id)
        return plan.run_id

    def resume(self) -> list[str]:
        """Go on with the runs of this home that were interrupted; to be called once, at the start.

        They are worked on one after the other, oldest first; returns their ids. Runs of other homes are left alone.
        """
        running = [run.run_id for run in reversed(self._store.runs(limit=100)) if run.state is RunState.RUNNING]
        interrupted = [run_id for run_id in running if self.folder(run_id).path.is_dir()]
        if interrupted:
            with self._lock:
                self._demand_idle()
                for run_id in interrupted:
                    log.info("run goes on", run_id=run_id, step=self.folder(run_id).step())
                self._watch(*interrupted)
        return interrupted

    def active(self) -> str:
        """The id of the run that is worked on; empty when there is none."""
        with self._lock:
            return self._active.run_id if self._active else ""

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called: nothing is begun any more."""
        return self._stopping.is_set()

    def folder(self, run_id: str) -> RunFolder:
        """A run's folder. Raises UnknownRun for a name that could lead elsewhere."""
        if not run_id or "/" in run_id or run_id.startswith("."):
            raise UnknownRun(f"there is no run {run_id!r}; see the list of runs")
        return RunFolder(self._settings.runs_dir / run_id)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until no run is worked on; False when that took longer than `timeout_s`."""
        with self._lock:
            watcher = self._active.watcher if self._active else None
        if watcher:
            watcher.join(timeout_s)
        return not self.active()

    def stop(self) -> None:
        """End the worker, if there is one; its run stays RUNNING and is resumed at the next start."""
        self._stopping.set()
        with self._lock:
            active = self._active
        if active and active.process:
            log.info("waiting for the run to save its place", run_id=active.run_id, at_most_s=STOP_S)
            _terminate(active.process)
        self.wait()

    def _demand_idle(self) -> None:
        if self._active:
            rule = "one run at a time goes on in a home, whatever its policy"
            raise RunInProgress(f"run {self._active.run_id} is under way; wait for it to end: {rule}")
        if self._stopping.is_set():
            raise RunInProgress("the service is stopping; start the run after its next start")

    def _watch(self, *run_ids: str) -> None:
        active = _Active(run_ids[0])
        active.watcher = threading.Thread(target=self._work, args=(active, run_ids), name="run-watch", daemon=True)
        self._active = active
        active.watcher.start()

    def _work(self, active: _Active, run_ids: tuple[str, ...]) -> None:
        try:
            for run_id in run_ids:
                active.run_id = run_id
                self._work_until_ended(active)
                self._tell_end(run_id)
        finally:
            with self._lock:
                self._active = None

    def _work_until_ended(self, active: _Active) -> None:
        """Start workers for a run until one came to an end, or too many came to none."""
        starts = 0
        while starts < MAX_STARTS:
            status = self._one_worker(active)
            # Another process has the lease or the folder, or a part is away: wait for it, however long that takes.
            starts += status not in (Exit.BUSY, Exit.AWAY)
            pause_s = AWAY_S if status == Exit.AWAY else RETRY_S
            if status in (Exit.FINISHED, Exit.FENCED) or self._stopping.wait(pause_s):
                return
            log.warning("worker came to no end, starting it again", run_id=active.run_id, status=status)
        name = self.folder(active.run_id).log.name
        self.give_up(active.run_id, f"its worker died {MAX_STARTS} times; {name} in the run's folder may say why")

    def _tell_end(self, run_id: str) -> None:
        """Log what became of a run."""
        try:
            run = self._store.run(run_id)
        except Unavailable as error:
            log.warning("what became of the run is not known", run_id=run_id, reason=str(error))
            return
        if run and run.state.is_final:
            log.info("run ended", **_end(run, self._settings.home))
        elif run and self._stopping.is_set():
            log.info("stopped; the run goes on at the next start", policy=run.policy, run_id=run_id)

    def _one_worker(self, active: _Active) -> int:
        """Start one worker and wait for its end; return its status."""
        folder = self.folder(active.run_id)
        try:
            threads = load_plan(folder.path).settings.learn.threads
        except DamagedArtifact as error:
            self.give_up(active.run_id, str(error))
            return Exit.FINISHED
        with folder.log.open("ab") as output, self._lock:
            if self._stopping.is_set():
                return Exit.STOPPED
            process = active.process = self._spawn(active.run_id, threads, output.fileno())
        assert process.stdin is not None
        with process.stdin:  # open for as long as the worker may live
            return process.wait()

    def _spawn(self, run_id: str, threads: int, output: int) -> subprocess.Popen[bytes]:
        """A worker in a session of its own (a Ctrl-C is ours to answer), tied to us by its standard input."""
        home = str(self._settings.home)
        command = [sys.executable, "-m", "thumbwheel.retrain.worker"]
        return subprocess.Popen(
            [*command, "--home", home, "--run-id", run_id, "--die-with-parent"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=_environment(threads),
            start_new_session=True,
        )

    def give_up(self, run_id: str, reason: str) -> None:
        """Write that a run failed, in place of a worker that can not. Raises RunInProgress if another has its lease."""
        run = self._store.run(run_id)
        if run is None or run.state.is_final:
            return
        lease = self._store.acquire_lease(run.policy, run_id, LEASE_S)
        self._fail(run, reason, lease)
        self._store.release_lease(lease)
        clear_left(self._settings.artifacts, self._store.run)

    def _close_abandoned(self, plan: Plan, lease: Lease) -> None:
        """With the policy's lease in hand nobody else is at work: what is still called running was left behind."""
        for run in self._store.runs(plan.policy, limit=100):
            if run.state is RunState.RUNNING and run.run_id != plan.run_id:
                self._fail(run, "the process that worked on it is gone, and its folder with it", lease)

    def _fail(self, run: Run, reason: str, lease: Lease) -> None:
        log.error("run failed", run_id=run.run_id, reason=reason)
        failed = replace(run, state=RunState.FAILED, error=reason, ended_us=time.time_ns() // 1000)
        self._store.save_run(failed, lease)


def _planned(plan: Plan) -> Run:
    return Run(
        run_id=plan.run_id,
        policy=plan.policy,
        state=RunState.RUNNING,
        step=RunStep.FREEZE,
        parent_version=plan.parent,
        started_us=plan.started_us,
        watermark=plan.watermark,
    )


def _end(run: Run, home: Path) -> dict[str, str]:
    """How a run ended, for the log; what it has nothing of is left out."""
    failed = next((gate.name for gate in run.gates if not gate.passed), "")
    known = find_gate(failed)
    facts = {
        "policy": run.policy,
        "run_id": run.run_id,
        "verdict": run.state.value,
        "version": run.candidate_version,
        "failed_gate": known.title if known else failed,
        "error": run.error,
        "report": str(home / run.report_path) if run.report_path else "",
    }
    return {name: fact for name, fact in facts.items() if fact}


def _environment(threads: int) -> dict[str, str]:
    """Ours, with the numeric libraries held to their threads, and threads that sleep while they wait."""
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    quiet = {"KMP_BLOCKTIME": "0", "OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}
    return {**os.environ, **counts, **quiet}


def _terminate(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
