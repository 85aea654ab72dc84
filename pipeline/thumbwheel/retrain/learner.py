"""What a kind of policy brings to a run. To add a kind: one file with a `Learner`, one case in `learners.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from thumbwheel.dataset.snapshot import Snapshot
from thumbwheel.gates.evidence import Evidence
from thumbwheel.retrain.plan import Plan
from thumbwheel.retrain.report.data import ReportData
from thumbwheel.retrain.run_folder import RunFolder

Tell = Callable[[int, int, Mapping[str, float]], None]
"""Called with (done, total, figures) after each unit of work; raises Fenced when the run must stop."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a learner works on: the plan, the folder it writes to, the frozen votes and the champion's folder."""

    plan: Plan
    folder: RunFolder
    snapshot: Snapshot
    champion: Path
    tell: Tell


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What the gates look at, and what the report shows of it; the cycle adds verdict and times to the report."""

    evidence: Evidence
    report: ReportData


class Learner(Protocol):
    """Fit, improve and measure one kind of policy.

    The same job gives the same files (on the same machine and number of threads). Each method may be killed and is
    then called again with the same job; what an earlier call left in the folder is its to use or to overwrite.
    """

    def fit(self, job: Job) -> Mapping[str, Any]:
        """Fit the reward model into `job.folder.fit`, where the kind has one; return figures for the record.

        Raises:
            NotEnoughData: too few votes, or of one sign only.
        """

    def improve(self, job: Job) -> Mapping[str, Any]:
        """Write the improved policy to `job.folder.candidate`; return figures for the record.

        Raises:
            NotEnoughData: no vote can be learned from.
        """

    def measure(self, job: Job) -> Measured:
        """Measure champion and candidate on what was not learned from."""
