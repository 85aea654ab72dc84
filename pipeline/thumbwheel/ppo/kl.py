"""The weight of the KL penalty, steered so that a reply drifts a chosen number of nats from the reference."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class AdaptiveKl:
    """Proportional controller of beta (Ziegler et al. 2019, arXiv 1909.08593, section 2.2).

    e = clamp(KL / target - 1, -.2, .2),  beta <- beta (1 + e episodes / horizon)

    `target` is in nats a reply, `horizon` in episodes. beta never falls below `floor`: a penalty that is gone lets
    the text drift before the controller notices.
    """

    beta: float
    target: float
    horizon: int
    floor: float = 0.02

    def update(self, kl: float, episodes: int) -> float:
        """Take in the mean KL of `episodes` fresh replies, in nats a reply; return the new beta."""
        error = min(max(kl / self.target - 1, -0.2), 0.2)
        self.beta = max(self.floor, self.beta * (1 + error * episodes / self.horizon))
        return self.beta
