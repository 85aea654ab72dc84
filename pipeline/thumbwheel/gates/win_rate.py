"""Side by side, whose reply is preferred?"""

from __future__ import annotations

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import GenerateEvidence, as_floats, trouble
from thumbwheel.gates.gate import Rule, holds, refuse
from thumbwheel.gates.length_control import length_feature, win_rate_at_equal_length, wins
from thumbwheel.ope.intervals import bootstrap
from thumbwheel.records import GateResult

LEAST_PROMPTS = 30


class WinRate:
    """Share of held-out prompts won against the champion, at equal length, with a bootstrap interval over prompts."""

    name = "win_rate"
    title = "Wins side by side"
    rule = Rule.ABOVE
    unit = "share of prompts, at equal length"
    why = "A higher mean can come from a few prompts, and a win from mere length; this counts neither."
    setting = "min_win_rate"
    cure = "The candidate is no better side by side: collect more votes, or see whether only length won."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Count the wins, then take out what length explains."""
        columns = (
            evidence.champion_scores,
            evidence.candidate_scores,
            evidence.champion_lengths,
            evidence.candidate_lengths,
        )
        problem = trouble(LEAST_PROMPTS, "held-out prompts", *columns)
        if problem:
            return refuse(self.name, limits.min_win_rate, problem)
        champion_P, candidate_P, champion_tokens_P, candidate_tokens_P = map(as_floats, columns)
        wins_P = wins(champion_P, candidate_P)
        feature_P = length_feature(champion_tokens_P, candidate_tokens_P)
        rate = bootstrap(win_rate_at_equal_length, wins_P, feature_P, confidence=limits.confidence)
        longer = float(candidate_tokens_P.mean() - champion_tokens_P.mean())
        sentence = (
            f"The candidate wins {wins_P.mean():.1%} of {len(wins_P):,} held-out prompts, at equal length "
            f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%}); its replies are "
            f"{abs(longer):.1f} tokens {'longer' if longer > 0 else 'shorter'}."
        )
        passed = holds(self.rule, rate, limits.min_win_rate)
        return GateResult(self.name, passed, rate.value, limits.min_win_rate, rate.low, rate.high, sentence)
