"""What goes on beside answering: counting for trials, shadows, and how often each user asks."""

from __future__ import annotations

from dataclasses import dataclass

from thumbwheel.access.buckets import Buckets
from thumbwheel.config.settings import Canary
from thumbwheel.inference.shadow import Shadows
from thumbwheel.inference.swap import ServedPolicies
from thumbwheel.inference.trial_tally import TrialTally
from thumbwheel.telemetry.trial_metrics import ShadowMetrics


@dataclass(frozen=True, slots=True)
class Beside:
    """All of it, for the policies of a process; without `pace` users ask as often as they like."""

    tally: TrialTally
    shadows: Shadows
    pace: Buckets | None = None

    @classmethod
    def of(
        cls, policies: ServedPolicies, canary: Canary, metrics: ShadowMetrics, asks_per_user_per_minute: int = 0
    ) -> Beside:
        """Make them."""
        return cls(
            TrialTally(policies), Shadows(policies, canary.shadow_limit, metrics), _pace(asks_per_user_per_minute)
        )

    def demand_pace(self, user_hash: str) -> None:
        """Count a request of a user; empty: of nobody known. Raises Overloaded when they ask too often."""
        if self.pace is not None and user_hash:
            self.pace.take(user_hash)


def _pace(per_minute: int) -> Buckets | None:
    refusal = (
        f"user.id: more than {per_minute:,} requests in a minute by this user (auth.asks_per_user_per_minute); wait "
        "and ask more slowly"
    )
    return Buckets(per_minute, refusal) if per_minute else None
