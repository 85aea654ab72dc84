"""The verdict: all gates are asked, one is enough to stop, and the summary says why."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.errors import InvalidInput
from thumbwheel.gates import judge as judge_module
from thumbwheel.gates.evidence import GenerateEvidence
from thumbwheel.gates.gate import Rule
from thumbwheel.gates.judge import CLASSIFY, GENERATE, TAG, judge
from thumbwheel.records import GateResult, PolicyKind


def test_a_good_candidate_is_promoted(good: GenerateEvidence, limits: Gates) -> None:
    verdict = judge(PolicyKind.GENERATE, good, limits)
    assert verdict.promote
    assert [result.name for result in verdict.gates] == [gate.name for gate in GENERATE]
    assert verdict.summary.startswith("Promote: all 15 gates passed. The candidate wins ")


def test_one_failed_gate_keeps_the_champion_and_says_why(good: GenerateEvidence, limits: Gates) -> None:
    verdict = judge(PolicyKind.GENERATE, replace(good, kl_per_reply=np.full(50, 9.0)), limits)
    assert not verdict.promote
    assert [result.name for result in verdict.gates if not result.passed] == ["kl_budget"]
    assert verdict.summary.startswith("Keep the champion: 1 of 15 gates failed. kl_budget: The candidate's replies")


def test_all_gates_are_asked_and_the_failed_ones_named(good: GenerateEvidence, limits: Gates) -> None:
    worse = replace(good, candidate_scores=np.asarray(good.champion_scores) - 1.0, kl_per_reply=np.full(50, 9.0))
    verdict = judge(PolicyKind.GENERATE, worse, limits)
    assert len(verdict.gates) == len(GENERATE)
    assert verdict.summary.endswith(" Also failed: held_out_reward, win_rate.")


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

        def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
            return GateResult(self.name, True, math.nan, 1.0, math.nan, math.nan, "All is well.")

    monkeypatch.setattr(judge_module, "GENERATE", (Careless(),))
    assert not judge(PolicyKind.GENERATE, good, limits).promote


@pytest.mark.parametrize("gates", [GENERATE, CLASSIFY, TAG])
def test_gates_have_names_of_their_own_and_explain_themselves(gates: tuple[object, ...]) -> None:
    names = [gate.name for gate in gates]  # type: ignore[attr-defined]
    assert len(set(names)) == len(names)
    for gate in gates:
        assert gate.why.endswith(".") and gate.title and gate.unit  # type: ignore[attr-defined]
        assert gate.__doc__
