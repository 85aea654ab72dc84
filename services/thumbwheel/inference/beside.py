"""What goes on beside answering: counting for trials, and shadows."""

from __future__ import annotations

from dataclasses import dataclass

from thumbwheel.config.settings import Canary
from thumbwheel.inference.shadow import Shadows
from thumbwheel.inference.swap import ServedPolicies
from thumbwheel.inference.trial_tally import TrialTally
from thumbwheel.telemetry.trial_metrics import ShadowMetrics


@dataclass(frozen=True, slots=True)
class Beside:
    """Both, for the policies of a process."""

    tally: TrialTally
    shadows: Shadows

    @classmethod
    def of(cls, policies: ServedPolicies, canary: Canary, metrics: ShadowMetrics) -> Beside:
        """Make them."""
        return cls(TrialTally(policies), Shadows(policies, canary.shadow_limit, metrics))
