"""What a report can hold. Any learner fills what it has; a part that is left out does not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from thumbwheel.records import PolicyKind, Verdict

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row of champion against candidate. Unit `share` shows as percent; NaN shows as a dash.

    `note` tells a reader what the row can not show.
    """

    name: str
    champion: float
    candidate: float
    unit: str = ""
    better: Literal["higher", "lower", ""] = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over the course of learning, one or more lines by name; `limit` draws a dashed line.

    They stand at the steps 1, 2, ..., or at those that `at` names. `note` says what the title can not, `look_for` what
    a good course looks like, in a sentence.
    """

    title: str
    lines: Mapping[str, Sequence[float]]
    unit: str = ""
    x_label: str = "iteration"
    limit: float | None = None
    at: Sequence[int] = ()
    note: str = ""
    look_for: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RewardModelFit:
    """The reward model on held-out votes: thumbs (1, 0), predicted probabilities, and the AUC of simpler models.

    `facts` are what else there is to say of it, by name.
    """

    thumbs_up: Sequence[float]
    probabilities: Sequence[float]
    auc: float = NAN
    baselines: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One prompt with both answers. Texts are users' and models' own: the page shows them as text, never as HTML.

    `note` says in words what was measured; where there is one it is shown instead of the bare scores.
    """

    prompt: str
    champion: str
    candidate: str
    champion_score: float = NAN
    candidate_score: float = NAN
    group: str = ""
    note: str = ""

    @property
    def gain(self) -> float:
        """Candidate's score less the champion's; NaN where there are none."""
        return self.candidate_score - self.champion_score


@dataclass(frozen=True, slots=True)
class ReportData:
    """A whole report. Times are microseconds since the Unix epoch; 0 means unknown.

    `votes_text` says how many votes taught, judged or wait; `samples_text` tells what the samples are and what is told
    of each.
    """

    policy: str
    kind: PolicyKind
    run_id: str
    champion: str
    candidate: str
    verdict: Verdict | None = None
    started_us: int = 0
    ended_us: int = 0
    votes_up: int = 0
    votes_down: int = 0
    votes_text: str = ""
    per_rater: Mapping[str, int] = field(default_factory=dict)
    comparisons: Sequence[Comparison] = ()
    curves: Sequence[Curve] = ()
    reward_model: RewardModelFit | None = None
    samples: Sequence[Sample] = ()
    samples_text: str = ""
    lineage: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    warnings: Sequence[str] = ()
