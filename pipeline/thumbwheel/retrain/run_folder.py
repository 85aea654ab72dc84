"""A run's folder: what each step left there, and how far the run is.

plan.json            the inputs
snapshot/            freeze
fit/                 the reward model, where the kind has one
improve/             checkpoint while it lasts, then the curves
events/              curves of improve, for TensorBoard
candidate/           the improved policy, as it would be published
verdict.json         judge
report.html          for people
STEP.done.json       written last by each step, whole: a step that has it is not done again
progress.jsonl       one line a step of work
attempts.json        how often each step was begun, and the checkpoint from which it was last
away.json            since when, and until when, what the run needs was seen to be away, and in which step
worker.lock          held by the process that works here
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from thumbwheel.durable import write_whole
from thumbwheel.records import GateResult, RunStep, Verdict

_TAIL_BYTES = 16_384
# Whoever waits looks every quarter of a minute; a look may take minutes. After this long without one that found
# something away the run was at work, or the service was down: what is away then is away anew.
_ANOTHER_ABSENCE_S = 3_600.0


@dataclass(frozen=True, slots=True)
class StepProgress:
    """How far a step is: `done` of `total` units of work (0 of 0: it has just begun), and its latest figures."""

    step: RunStep
    done: int
    total: int
    time_us: int
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The places in a run's folder, and its markers."""

    path: Path

    @property
    def snapshot(self) -> Path:
        """Folder of the frozen votes."""
        return self.path / "snapshot"

    @property
    def fit(self) -> Path:
        """Folder of the reward model."""
        return self.path / "fit"

    @property
    def improve(self) -> Path:
        """Folder of checkpoints and curves."""
        return self.path / "improve"

    @property
    def checkpoint(self) -> Path:
        """File from which `improve` goes on."""
        return self.improve / "checkpoint.safetensors"

    @property
    def history(self) -> Path:
        """File of the figures of each iteration of `improve`."""
        return self.improve / "history.json"

    @property
    def events(self) -> Path:
        """Folder of the event files that TensorBoard reads."""
        return self.path / "events"

    @property
    def choice(self) -> Path:
        """File that says which iteration of `improve` was taken, and why."""
        return self.improve / "choice.json"

    @property
    def candidate(self) -> Path:
        """Folder of the improved policy."""
        return self.path / "candidate"

    @property
    def verdict(self) -> Path:
        """File of the gates' verdict."""
        return self.path / "verdict.json"

    @property
    def report(self) -> Path:
        """File of the report."""
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        """File of what the worker says on standard output and error."""
        return self.path / "worker.log"

    @property
    def lock(self) -> Path:
        """File that the worker locks."""
        return self.path / "worker.lock"

    def record(self, step: RunStep) -> dict[str, Any] | None:
        """What a step left when it was done; None while it is not."""
        return _read(self.path / f"{step}.done.json")

    def step(self) -> RunStep:
        """The step the run is in: the first that is not done."""
        return next((step for step in RunStep if self.record(step) is None), RunStep.PUBLISH)

    def mark_done(self, step: RunStep, record: Mapping[str, Any]) -> None:
        """Say that a step is done; from now on it is not done again."""
        write_whole(self.path / f"{step}.done.json", json.dumps(record, indent=2, sort_keys=True) + "\n")

    def begin(self, step: RunStep) -> int:
        """Count that a step is begun; return how often it was from the same checkpoint, this time included.

        A long step that is killed often, and gets further each time, is not given up.
        """
        attempts = _read(self._attempts) or {}
        begun_from = self.checkpoint.stat().st_mtime_ns if self.checkpoint.exists() else 0
        further = attempts.get("checkpoint", 0) != begun_from
        attempts |= {step: 1 if further else attempts.get(step, 0) + 1, "checkpoint": begun_from}
        write_whole(self._attempts, json.dumps(attempts) + "\n")
        return int(attempts[step])

    def forgive(self, step: RunStep) -> None:
        """Take back the last count: the step was stopped by request, not by its own fault."""
        attempts = _read(self._attempts) or {}
        attempts[step] = max(0, attempts.get(step, 0) - 1)
        write_whole(self._attempts, json.dumps(attempts) + "\n")

    def away_s(self, now_s: float) -> float:
        """Note that what the step in hand needs is away at `now_s`, seconds since the epoch; return for how long now.

        0 the first time, and where it was last seen away more than an hour ago, or in another step.
        """
        step, path = self.step(), self.path / "away.json"
        before = _read(path) or {}
        goes_on = before.get("step") == step and 0 <= now_s - before["last_s"] <= _ANOTHER_ABSENCE_S
        since_s = before["since_s"] if goes_on else now_s
        write_whole(path, json.dumps({"step": step, "since_s": since_s, "last_s": now_s}) + "\n")
        return float(now_s - since_s)

    def clear_checkpoint(self) -> None:
        """Remove what `improve` no longer needs."""
        self.checkpoint.unlink(missing_ok=True)

    def tell(self, step: RunStep, done: int, total: int, figures: Mapping[str, float] | None = None) -> None:
        """Append a line of progress."""
        line = asdict(StepProgress(step, done, total, time.time_ns() // 1000, dict(figures or {})))
        with (self.path / "progress.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def progress(self) -> StepProgress | None:
        """The last line of progress that is whole; None before the first."""
        lines = _tail(self.path / "progress.jsonl").split("\n")[:-1]
        if not lines:
            return None
        record = json.loads(lines[-1])
        return StepProgress(**{**record, "step": RunStep(record["step"])})

    @property
    def _attempts(self) -> Path:
        return self.path / "attempts.json"


def verdict_to_json(verdict: Verdict) -> str:
    """A verdict as it is written; NaN bounds stay NaN."""
    return json.dumps(asdict(verdict), indent=2, sort_keys=True) + "\n"


def verdict_from_json(text: str) -> Verdict:
    """Read what `verdict_to_json` wrote."""
    record = json.loads(text)
    return Verdict(record["promote"], tuple(GateResult(**gate) for gate in record["gates"]), record["summary"])


def _read(path: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return record


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
