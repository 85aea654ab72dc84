"""Is every weight a number?"""

from __future__ import annotations

import math

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import Evidence
from thumbwheel.gates.gate import Rule
from thumbwheel.records import GateResult

NONE_ALLOWED = 0.0


class FiniteWeights:
    """Number of weights that are NaN or infinite, over all files of the candidate; one is too many.

    Looked for in the files themselves: a broken weight that only rare words reach shows in no sample.
    """

    name = "finite_weights"
    title = "Every weight is a number"
    rule = Rule.AT_MOST
    unit = "weights"
    why = "One broken weight can turn every answer that passes through it into noise, or an error."
    setting = ""
    cure = "Look where losses left the rails in the report's curves, lower learn.learning_rate, and run again."

    def check(self, evidence: Evidence, limits: Gates) -> GateResult:
        """Hold the count against none."""
        broken = evidence.weights_not_finite
        sentence = f"{broken:,} of its weights are NaN or infinite." if broken else "All of its weights are numbers."
        return GateResult(self.name, not broken, float(broken), NONE_ALLOWED, math.nan, math.nan, sentence)
