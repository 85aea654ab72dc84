"""The judge: every gate of a kind, in order, and what follows from them.

To add a gate: write it in a file of its own and add one line to the tuple of the kinds it is for. What else speaks of
gates (`explain`, `threshold_file`, reports) finds it in `GATES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isnan
from typing import Any, Final, assert_never

from thumbwheel.config.settings import Gates
from thumbwheel.errors import InvalidInput
from thumbwheel.gates.blocked_words import BlockedWords
from thumbwheel.gates.data_sanity import DataSanity
from thumbwheel.gates.diversity import Diversity
from thumbwheel.gates.evidence import ClassifyEvidence, Evidence, GenerateEvidence, LabelEvidence, TagEvidence
from thumbwheel.gates.finite_weights import FiniteWeights
from thumbwheel.gates.forgetting import CustomerTexts, GoodReplies
from thumbwheel.gates.gate import Gate
from thumbwheel.gates.harmed_users import HarmedRaters, HarmedUsers
from thumbwheel.gates.held_out_reward import HeldOutReward
from thumbwheel.gates.kl_budget import KlBudget
from thumbwheel.gates.latency import LatencyRatio
from thumbwheel.gates.length_ratio import LengthRatio
from thumbwheel.gates.memorised import Memorised
from thumbwheel.gates.off_policy_support import EffectiveSamples, LargestWeight
from thumbwheel.gates.off_policy_value import DoublyRobustValue, SnipsValue
from thumbwheel.gates.personal_data import PersonalData
from thumbwheel.gates.rater_concentration import RaterConcentration
from thumbwheel.gates.reward_auc import RewardAuc
from thumbwheel.gates.reward_calibration import RewardCalibration
from thumbwheel.gates.same_tokenizer import SameTokenizer
from thumbwheel.gates.stereotypes import Stereotypes
from thumbwheel.gates.sycophancy import Sycophancy
from thumbwheel.gates.win_rate import WinRate
from thumbwheel.records import GateResult, PolicyKind, Verdict

GENERATE: tuple[Gate[GenerateEvidence], ...] = (
    DataSanity(),
    RaterConcentration(),
    FiniteWeights(),
    SameTokenizer(),
    RewardAuc(),
    RewardCalibration(),
    KlBudget(),
    HeldOutReward(),
    WinRate(),
    HarmedUsers(),
    GoodReplies(),
    CustomerTexts(),
    BlockedWords(),
    Sycophancy(),
    Stereotypes(),
    LengthRatio(),
    Diversity(),
    Memorised(),
    PersonalData(),
    LatencyRatio(),
)

CLASSIFY: tuple[Gate[LabelEvidence], ...] = (
    DataSanity(),
    RaterConcentration(),
    FiniteWeights(),
    EffectiveSamples(),
    LargestWeight(),
    SnipsValue(),
    DoublyRobustValue(),
    HarmedRaters(),
    LatencyRatio(),
)

# Tags are the labels of words; that the words of a text share a vote is in the evidence.
TAG: tuple[Gate[LabelEvidence], ...] = CLASSIFY

GATES: Final[Mapping[PolicyKind, tuple[Gate[Any], ...]]] = {
    PolicyKind.GENERATE: GENERATE,
    PolicyKind.CLASSIFY: CLASSIFY,
    PolicyKind.TAG: TAG,
}


def judge(kind: PolicyKind, evidence: Evidence, limits: Gates) -> Verdict:
    """Hold the evidence against every gate of the kind; promote only if all pass.

    Every gate is asked even when an earlier one failed, so that the report shows all. The same evidence and
    limits give the same verdict. Raises InvalidInput when evidence and kind don't belong together, and
    InvalidConfig when a file named in the limits can not be read.
    """
    return _verdict(tuple(_demand_a_value(result) for result in _asked(kind, evidence, limits)))


def every_gate() -> dict[str, Gate[Any]]:
    """Every gate of any kind by its name, in the order in which they are asked; gates of one name are the same one."""
    return {gate.name: gate for gates in GATES.values() for gate in gates}


def find_gate(name: str) -> Gate[Any] | None:
    """The gate of that name, with its title, rule, unit and reason; None when there is no such gate (any more)."""
    return every_gate().get(name)


def _asked(kind: PolicyKind, evidence: Evidence, limits: Gates) -> list[GateResult]:
    """What each gate of the kind says."""
    match kind:
        case PolicyKind.GENERATE if isinstance(evidence, GenerateEvidence):
            return [gate.check(evidence, limits) for gate in GENERATE]
        case PolicyKind.CLASSIFY if isinstance(evidence, ClassifyEvidence):
            return [gate.check(evidence, limits) for gate in CLASSIFY]
        case PolicyKind.TAG if isinstance(evidence, TagEvidence):
            return [gate.check(evidence, limits) for gate in TAG]
        case PolicyKind.GENERATE | PolicyKind.CLASSIFY | PolicyKind.TAG:
            raise InvalidInput("kind", f"there are no gates for {kind} with {type(evidence).__name__}")
        case _:
            assert_never(kind)


def _demand_a_value(result: GateResult) -> GateResult:
    """A gate that passes without a value has a defect; the candidate does not profit from it."""
    return replace(result, passed=result.passed and not isnan(result.value))


def _verdict(results: tuple[GateResult, ...]) -> Verdict:
    failed = [result for result in results if not result.passed]
    if failed:
        return Verdict(False, results, _rejection(failed, len(results)))
    return Verdict(True, results, f"Promote: all {len(results)} gates passed. {_gain(results).sentence}")


def _rejection(failed: list[GateResult], asked: int) -> str:
    """Why not: how many gates failed, what the first found, what to do about that, and the titles of the others."""
    first, *others = failed
    found = f"{_title(first)}: {first.sentence}"
    parts = [f"Keep the champion: {len(failed)} of {asked} gates failed.", found]
    if gate := find_gate(first.name):
        parts.append(gate.cure)
    if others:
        parts.append(f"Also failed: {', '.join(map(_title, others))}.")
    return " ".join(parts)


def _title(result: GateResult) -> str:
    """The gate's title in quotes, since it says what a candidate that passes does."""
    gate = find_gate(result.name)
    return f'"{gate.title if gate else result.name}"'


def _gain(results: tuple[GateResult, ...]) -> GateResult:
    """The gate that tells best what users gain."""
    gains = {HeldOutReward.name: 1, WinRate.name: 2, SnipsValue.name: 2}
    return max(results, key=lambda result: gains.get(result.name, 0))
