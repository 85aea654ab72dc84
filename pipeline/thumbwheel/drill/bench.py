"""What a drill works on: a home of its own with a policy, its champion, and users' votes on what that served.

Nothing is mocked: store, registry, snapshot, reward model, gates and thresholds are those of the embedded default.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thumbwheel.config.settings import Settings
from thumbwheel.gates.evidence import Evidence
from thumbwheel.records import Channel, PolicyKind, Verdict, VersionRef
from thumbwheel.registry.artifacts.opening import open_artifacts
from thumbwheel.registry.port import NewVersion, Registry
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.retrain.dry_run import judge_version
from thumbwheel.retrain.learner import Job, Learner, Measured
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What the judge says of a candidate, and what it looked at."""

    version: str
    verdict: Verdict
    evidence: Evidence


class FittedOnce:
    """A `Learner` that fits the reward model at its first job and keeps it for further ones on the same votes.

    It remembers the evidence that was measured last.
    """

    def __init__(self, learner: Learner, kept: Path) -> None:
        """Keep what was fitted in the folder `kept`, which may not be there yet."""
        self._learner = learner
        self._kept = kept
        self._figures: Mapping[str, Any] | None = None
        self.evidence: Evidence | None = None

    def fit(self, job: Job) -> Mapping[str, Any]:
        """Fit, or copy what was fitted before."""
        if self._figures is None:
            self._figures = self._learner.fit(job)
            if job.folder.fit.exists():
                shutil.copytree(job.folder.fit, self._kept)
        elif self._kept.exists():
            shutil.copytree(self._kept, job.folder.fit, dirs_exist_ok=True)
        return self._figures

    def improve(self, job: Job) -> Mapping[str, Any]:
        """As the learner does."""
        return self._learner.improve(job)

    def measure(self, job: Job) -> Measured:
        """Measure, and remember the evidence."""
        measured = self._learner.measure(job)
        self.evidence = measured.evidence
        return measured


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """A policy of a home, and the learner that judges its candidates."""

    settings: Settings
    store: FeedbackStore
    registry: Registry
    policy: str
    kind: PolicyKind
    ref: VersionRef
    learner: FittedOnce

    @property
    def champion(self) -> Path:
        """The champion's folder."""
        return self.registry.fetch(self.policy, self.ref.version)

    def judge(self, folder: Path) -> Judged:
        """Publish a folder as a candidate and judge it as `thumbwheel judge` does.

        Raises what `judge_version` and `Registry.publish` raise.
        """
        made = self.registry.publish(NewVersion(self.policy, self.kind, parent=self.ref.version), folder)
        found = judge_version(
            self.store, self.registry, self.settings, lambda kind: self.learner, self.policy, made.version
        )
        assert self.learner.evidence is not None
        return Judged(made.version, found.verdict, self.learner.evidence)


@contextmanager
def open_bench(settings: Settings, policy: str, kind: PolicyKind, first: Path, learner: Learner) -> Iterator[Bench]:
    """Make `first` the champion of a policy in the settings' home; votes are still to be given."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(open_store(settings.database_url)) as store, closing(_registry(settings)) as registry:
        made = registry.publish(NewVersion(policy, kind), first)
        registry.move(policy, Channel.CHAMPION, made.version, actor="drill", reason="first version")
        ref = VersionRef(policy, made.version, made.digest)
        kept = settings.home / f"{policy}.fit"
        yield Bench(settings, store, registry, policy, kind, ref, FittedOnce(learner, kept))


def _registry(settings: Settings) -> SqlRegistry:
    return SqlRegistry(settings.database_url, open_artifacts(settings))


def days_ago_us(days: float) -> int:
    """The time so many days before now."""
    return time.time_ns() // 1_000 - round(days * DAY_US)
