"""Which epoch's weights are kept: the latest that votes laid aside don't find worse than the best one.

More passes teach more, until they learn the votes' mistakes by heart. Votes of users who are laid aside, and neither
learned from nor judged with, tell: after each epoch they say what the policy would have earned on them. Single epochs
differ by noise, so the peak itself is luck, and more learning is preferred: an epoch is worse only if the paired
difference to the peak is above 0 with a confidence of 95 %, one-sided.

Shape suffixes: M votes laid aside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thumbwheel.ope.estimators import snips_terms
from thumbwheel.ope.intervals import student_t_interval
from thumbwheel.ope.weights import Floats, clipped

LEAST_VOTES = 50

# Of the two-sided interval, whose lower end is wrong in one case of twenty.
_CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class LaidAside:
    """What votes laid aside say of a policy: `logged_M` and what `now` returns are ln p(label served), with floor.

    `weights_M`: how much each vote counts; None: all alike.
    """

    logged_M: Tensor
    rewards_M: Tensor
    now: Callable[[], Tensor]
    weights_M: Tensor | None = None

    def terms(self) -> Floats:
        """What the policy as it is would have earned, by SNIPS, a term a vote; weights are cut at sqrt(M)."""
        ratios_M = (self.now() - self.logged_M).double().exp().numpy()
        weights_M = clipped(ratios_M, math.sqrt(len(ratios_M)))
        if self.weights_M is not None:
            weights_M = weights_M * self.weights_M.double().numpy()
        return snips_terms(weights_M, self.rewards_M.double().numpy())


@dataclass(slots=True)
class EpochChoice:
    """Keeps the weights of the latest epoch that is not worse than the peak; says when to go on no longer.

    `patience` epochs one after the other that are worse end the update. `kept` is the epoch whose weights are kept,
    counted from 1; `weights` are those, by parameter.
    """

    patience: int
    peak_M: Floats | None = None
    kept: int = 0
    worse: int = 0
    weights: list[Tensor] = field(default_factory=list)

    def take(self, epoch: int, terms_M: Floats, parameters: list[Tensor]) -> dict[str, float]:
        """Look at an epoch that is over; returns what it earned, and whether its weights are kept (1 or 0)."""
        value = float(terms_M.mean())
        if self.peak_M is None or value > float(self.peak_M.mean()):
            self.peak_M = terms_M
        self.worse = self.worse + 1 if falls_short(terms_M, self.peak_M) else 0
        if not self.worse:
            self.kept, self.weights = epoch, [parameter.detach().clone() for parameter in parameters]
        return {"validation_value": value, "kept": float(not self.worse)}

    @property
    def over(self) -> bool:
        """Whether enough epochs were worse."""
        return self.worse >= self.patience

    @torch.no_grad()
    def put_back(self, parameters: list[Tensor]) -> None:
        """Give the parameters the weights that were kept."""
        for parameter, kept in zip(parameters, self.weights, strict=True):
            parameter.copy_(kept)

    def facts(self) -> dict[str, Any]:
        """What JSON can hold of it; the weights are tensors and go beside."""
        peak = None if self.peak_M is None else self.peak_M.tolist()
        return {"peak": peak, "kept": self.kept, "worse": self.worse}

    def named_weights(self) -> dict[str, Tensor]:
        """The weights that are kept, each by its place."""
        return {str(place): weight for place, weight in enumerate(self.weights)}

    def restore(self, facts: Mapping[str, Any], named: Mapping[str, Tensor]) -> None:
        """Be again what `facts` and the weights beside them were taken of."""
        self.peak_M = None if facts["peak"] is None else np.array(facts["peak"])
        self.kept, self.worse, self.weights = (
            facts["kept"],
            facts["worse"],
            [named[str(place)] for place in range(len(named))],
        )


def falls_short(terms_M: Floats, peak_M: Floats) -> bool:
    """Whether the mean surely lies below the peak's: one-sided, 95 %, the terms in pairs."""
    return student_t_interval(peak_M - terms_M, _CONFIDENCE).low > 0.0
