"""Does the better answer keep people waiting?"""

from __future__ import annotations

import numpy as np

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import Evidence, Floats, as_floats, trouble
from thumbwheel.gates.gate import Rule, holds, refuse
from thumbwheel.ope.intervals import bootstrap
from thumbwheel.records import GateResult

LEAST_REQUESTS = 10


class LatencyRatio:
    """Median time of a request on the candidate over the champion's, with a bootstrap interval.

    A ratio within one run on one machine, since absolute times depend on what else runs there. The requests are drawn
    anew in pairs: a long one is long on both.
    """

    name = "latency"
    title = "As quick"
    rule = Rule.AT_MOST
    unit = "x the champion's median"
    why = "Longer replies or a larger model cost users time and the operator money."
    setting = "max_latency_ratio"
    cure = "Look whether replies have grown, and whether the machine was busy while it was measured."

    def check(self, evidence: Evidence, limits: Gates) -> GateResult:
        """Compare the medians."""
        champion_s, candidate_s = as_floats(evidence.latency.champion_s), as_floats(evidence.latency.candidate_s)
        problem = trouble(LEAST_REQUESTS, "timed requests", champion_s, candidate_s)
        if not problem and min(champion_s.min(), candidate_s.min()) <= 0.0:
            problem = "A timed request took no time at all, so the clock is wrong."
        if problem:
            return refuse(self.name, limits.max_latency_ratio, problem)
        ratio = bootstrap(median_ratio, champion_s, candidate_s, confidence=limits.confidence)
        sentence = (
            f"A request takes {ratio.value:.2f} times as long as on the champion "
            f"({ratio.low:.2f} to {ratio.high:.2f}); up to {limits.max_latency_ratio:g} is allowed."
        )
        passed = holds(self.rule, ratio, limits.max_latency_ratio)
        return GateResult(self.name, passed, ratio.value, limits.max_latency_ratio, ratio.low, ratio.high, sentence)


def median_ratio(champion_s: Floats, candidate_s: Floats, axis: int = -1) -> Floats:
    """Median of the candidate's times over the median of the champion's."""
    return np.asarray(np.median(candidate_s, axis=axis) / np.median(champion_s, axis=axis))
