"""The verdict: all gates are asked, one is enough to stop, and the summary says why."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.errors import InvalidInput
from thumbwheel.gates import judge as judge_module
from thumbwheel.gates.evidence import ClassifyEvidence, Evidence, GenerateEvidence, Latency, TagEvidence, Votes
from thumbwheel.gates.gate import Rule
from thumbwheel.gates.judge import GATES, GENERATE, every_gate, judge
from thumbwheel.records import GateResult, PolicyKind


def test_a_good_candidate_is_promoted(good: GenerateEvidence, limits: Gates) -> None:
    verdict = judge(PolicyKind.GENERATE, good, limits)
    assert verdict.promote
    assert [result.name for result in verdict.gates] == [gate.name for gate in GENERATE]
    assert verdict.summary.startswith("Promote: all 20 gates passed. The candidate wins ")


def test_one_failed_gate_keeps_the_champion_and_says_why(good: GenerateEvidence, limits: Gates) -> None:
    verdict = judge(PolicyKind.GENERATE, replace(good, kl_per_reply=np.full(50, 9.0)), limits)
    assert not verdict.promote
    assert [result.name for result in verdict.gates if not result.passed] == ["kl_budget"]
    assert verdict.summary.startswith("Keep the champion: 1 of 20 gates failed. ")
    assert '"Stays near the champion": The candidate\'s replies' in verdict.summary
    assert verdict.summary.endswith(". Lower learn.kl_target or learn.ppo_iterations.")


def test_all_gates_are_asked_and_the_failed_ones_named(good: GenerateEvidence, limits: Gates) -> None:
    worse = replace(good, candidate_scores=np.asarray(good.champion_scores) - 1.0, kl_per_reply=np.full(50, 9.0))
    verdict = judge(PolicyKind.GENERATE, worse, limits)
    assert len(verdict.gates) == len(GENERATE)
    assert verdict.summary.endswith(' Also failed: "Higher reward", "Wins side by side", "No users pay for others".')


def test_the_same_evidence_gives_the_same_verdict(good: GenerateEvidence, limits: Gates) -> None:
    assert judge(PolicyKind.GENERATE, good, limits) == judge(PolicyKind.GENERATE, good, limits)


def test_evidence_and_kind_belong_together(good: GenerateEvidence, limits: Gates) -> None:
    for kind in (PolicyKind.CLASSIFY, PolicyKind.TAG):
        with pytest.raises(InvalidInput, match=f"no gates for {kind} with GenerateEvidence"):
            judge(kind, good, limits)


def test_a_gate_that_passes_without_a_value_does_not_count(
    good: GenerateEvidence, limits: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Careless:
        name, title, rule, unit, why = "careless", "Careless", Rule.AT_MOST, "", "to see it caught"
        setting, cure = "", "Mend it."

        def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
            return GateResult(self.name, True, math.nan, 1.0, math.nan, math.nan, "All is well.")

    monkeypatch.setattr(judge_module, "GENERATE", (Careless(),))
    assert not judge(PolicyKind.GENERATE, good, limits).promote


@pytest.mark.parametrize("kind", PolicyKind)
def test_gates_have_names_of_their_own_and_explain_themselves(kind: PolicyKind) -> None:
    names = [gate.name for gate in GATES[kind]]
    assert len(set(names)) == len(names)
    for gate in GATES[kind]:
        assert gate.why.endswith(".") and gate.cure.endswith(".") and gate.title and gate.unit
        assert gate.__doc__


def test_a_name_is_one_gates_whatever_the_kind() -> None:
    for kind in PolicyKind:
        assert [type(gate) for gate in GATES[kind]] == [type(every_gate()[gate.name]) for gate in GATES[kind]]


def test_the_setting_of_a_gate_is_what_it_holds_the_value_against(
    good: GenerateEvidence, votes: Votes, latency: Latency
) -> None:
    """Each threshold is set to a number that no other has, and found in the result."""
    numbers = Gates.model_fields.keys() - {"blocked_words", "file", "confidence"}
    limits = Gates().model_copy(update={name: 0.01 * place for place, name in enumerate(sorted(numbers), 1)})
    evens = np.full((40, 2), 0.5)
    columns = (np.zeros(40, dtype=np.int64), np.ones(40), evens, evens, evens)
    evidence: dict[PolicyKind, Evidence] = {
        PolicyKind.GENERATE: good,
        PolicyKind.CLASSIFY: ClassifyEvidence(votes, latency, *columns),
        PolicyKind.TAG: TagEvidence(votes, latency, *columns, groups_N=np.arange(40)),
    }
    for kind in PolicyKind:
        for gate, result in zip(GATES[kind], judge(kind, evidence[kind], limits).gates, strict=True):
            assert not gate.setting or result.threshold == getattr(limits, gate.setting), gate.name
