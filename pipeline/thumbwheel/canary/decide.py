"""What follows from what is known of a trial: promote, roll back, go on, or give up."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from thumbwheel.canary.evidence import Thumbs, difference, log_e_good, log_e_share, log_e_worse
from thumbwheel.canary.guardrails import Rail
from thumbwheel.config.settings import Canary
from thumbwheel.ope.intervals import Interval
from thumbwheel.registry.trial import PPM, Conclusion, Trial, TrialKind, TrialState, Voices

HOUR_US = 3_600_000_000
# A split that is not as drawn spoils every conclusion, and never happens by itself: believed at 1 : 1,000 only.
LEAST_SPLIT = math.log(1_000)


@dataclass(frozen=True, slots=True)
class Finding:
    """How a trial stands in words, the numbers behind, and how it ends (None: it goes on)."""

    state: TrialState | None
    sentence: str
    evidence: dict[str, Any]

    @property
    def conclusion(self) -> Conclusion:
        """The end of the trial."""
        assert self.state is not None, "it goes on"
        return Conclusion(self.state, self.sentence, self.written)

    @property
    def written(self) -> str:
        """The evidence as JSON."""
        return json.dumps(self.evidence, sort_keys=True)


@dataclass(frozen=True, slots=True)
class _Known:
    """Logs of the e-processes, and what they are held against."""

    worse: float
    good: float
    split: float
    least: float


def decide(trial: Trial, rails: Sequence[Rail], now_us: int, limits: Canary) -> Finding:
    """Hold what is known against the limits.

    In this order: a split that is not as drawn, a broken rail, users who prefer the version before, users who do not,
    time. Thumbs decide only when `min_voices` users were heard on either version.
    """
    known = _known(trial, limits)
    state, because = _outcome(trial, known, rails, now_us, limits)
    gap = _gap(trial, limits.confidence)
    beside = compared(trial, gap)
    evidence = {
        "kind": trial.kind.value,
        "version": trial.version,
        "control": trial.control,
        "voices": asdict(trial.voices),
        "control_voices": asdict(trial.control_voices),
        "log_e": {"worse": known.worse, "good": known.good, "split": known.split, "least": known.least},
        "difference": asdict(gap) if gap else None,
        "compared": beside,
        "margin": limits.margin,
        "confidence": limits.confidence,
        "min_voices": limits.min_voices,
        "enough_voices": limits.enough_voices,
        "ends_us": trial.started_us + round(_most_hours(trial, limits) * HOUR_US),
        "rails": [asdict(rail) for rail in rails],
        "decision": state.value if state else "go on",
    }
    return Finding(state, f"{because} {beside}".strip(), evidence)


def compared(trial: Trial, gap: Interval | None) -> str:
    """Both versions' thumbs, one a user, side by side in a sentence."""
    new, old = trial.voices, trial.control_voices
    if gap is None:
        return f"{new.total:,} users voted on {trial.version}, {old.total:,} on {trial.control}."
    value, low, high = (f"{100 * share:+.1f}" for share in (gap.value, gap.low, gap.high))
    return (
        f"Thumbs up: {new.rate:.1%} of {new.total:,} users on {trial.version}, {old.rate:.1%} of {old.total:,} on "
        f"{trial.control}; difference {value} points ({low} to {high})."
    )


def _gap(trial: Trial, confidence: float) -> Interval | None:
    """How much higher the tried version's share of thumbs up is; None before somebody voted on either."""
    if not (trial.voices.total and trial.control_voices.total):
        return None
    return difference(_thumbs(trial.control_voices), _thumbs(trial.voices), confidence)


def _most_hours(trial: Trial, limits: Canary) -> float:
    return limits.max_hours if trial.kind is TrialKind.CANARY else limits.watch_hours


def _known(trial: Trial, limits: Canary) -> _Known:
    old, new = _thumbs(trial.control_voices), _thumbs(trial.voices)
    share = trial.split.share_ppm / PPM
    split = log_e_share((trial.voices.total, trial.control_voices.total), share) if 0 < share < 1 else 0.0
    return _Known(
        worse=float(log_e_worse(old, new, limits.margin)),
        good=float(log_e_good(old, new, limits.margin)),
        split=float(split),
        least=-math.log1p(-limits.confidence),
    )


def _outcome(
    trial: Trial, known: _Known, rails: Sequence[Rail], now_us: int, limits: Canary
) -> tuple[TrialState | None, str]:
    broken = [rail for rail in rails if rail.broken]
    canary = trial.kind is TrialKind.CANARY
    heard = min(trial.voices.total, trial.control_voices.total) >= limits.min_voices
    if canary and known.split >= LEAST_SPLIT:
        share = f"{trial.split.share_ppm / PPM:.1%}"
        return TrialState.GIVEN_UP, f"Users who voted are not split as drawn ({share} on the canary): no conclusion."
    if broken:
        return TrialState.ROLLED_BACK, f"Guardrail {broken[0].name}: {broken[0].sentence}"
    if heard and known.worse >= known.least:
        return TrialState.ROLLED_BACK, f"Users find it worse by more than {100 * limits.margin:.1f} points."
    if canary and heard and known.good >= known.least:
        return TrialState.PROMOTED, f"Users find it at most {100 * limits.margin:.1f} points worse, or better."
    return _by_time(trial, now_us, limits)


def _by_time(trial: Trial, now_us: int, limits: Canary) -> tuple[TrialState | None, str]:
    hours = (now_us - trial.started_us) / HOUR_US
    is_over = hours >= _most_hours(trial, limits)
    if trial.kind is TrialKind.CANARY:
        return (TrialState.GIVEN_UP, f"Undecided after {hours:.0f} hours.") if is_over else (None, "Undecided.")
    if trial.voices.total >= limits.enough_voices:
        return TrialState.KEPT, "Enough users voted, and nothing speaks against it."
    if is_over:
        return TrialState.KEPT, f"Watched for {hours:.0f} hours, and nothing speaks against it."
    return None, "Nothing speaks against it so far."


def _thumbs(voices: Voices) -> Thumbs:
    return voices.up, voices.down
