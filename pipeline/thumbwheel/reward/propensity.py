"""Who rates is not random: how likely an answer was to be rated, from what it looks like, and weights that undo it.

Shapes: N answers, F facts of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.errors import InvalidInput
from thumbwheel.records import ClassifyAnswer, GenerateAnswer, LoggedResponse

LEAST_UNRATED: Final = 50
MOST_WEIGHT: Final = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Propensity:
    """P(rated | x) = sigma(w x + b) of standardised facts x; `share` is that of all answers that are rated."""

    shift_F: NDArray[np.float64]
    scale_F: NDArray[np.float64]
    weights_F: NDArray[np.float64]
    bias: float
    share: float

    def chance(self, response: LoggedResponse) -> float:
        """The probability in (0, 1) that such an answer is rated."""
        x_F = (_facts(response) - self.shift_F) / self.scale_F
        return float(1 / (1 + np.exp(-(x_F @ self.weights_F + self.bias))))

    def weight(self, response: LoggedResponse) -> float:
        """P(rated) / P(rated | x), in [1 / `MOST_WEIGHT`, `MOST_WEIGHT`]: the stabilised inverse, 1 on average.

        Inverse-propensity weighting, Horvitz and Thompson 1952; stabilised as in Robins, Hernan and Brumback 2000.
        """
        return float(np.clip(self.share / self.chance(response), 1 / MOST_WEIGHT, MOST_WEIGHT))


def fit_propensity(
    rated: Iterable[SnapshotRow], unrated: Iterable[SnapshotRow], looked_at: Mapping[str, int]
) -> Propensity | None:
    """Tell rated answers from a sample of unrated ones by a logistic regression (L2, C = 1).

    `looked_at` counts both among the answers that the sample was drawn from: by it the sample is weighed up to as many
    as there are. None where fewer than `LEAST_UNRATED` are known: then nothing is.
    """
    yes_NF, no_NF = (np.array([_facts(row.response) for row in rows]) for rows in (rated, unrated))
    if len(no_NF) < LEAST_UNRATED or not len(yes_NF) or not looked_at.get("rated"):
        return None
    odds = looked_at["unrated"] / looked_at["rated"]
    x_NF = np.concatenate([yes_NF, no_NF])
    shift_F, scale_F = x_NF.mean(0), np.maximum(x_NF.std(0), 1e-6)
    weights_N = np.concatenate([np.ones(len(yes_NF)), np.full(len(no_NF), odds * len(yes_NF) / len(no_NF))])
    targets_N = np.concatenate([np.ones(len(yes_NF)), np.zeros(len(no_NF))])
    model = LogisticRegression(max_iter=500).fit((x_NF - shift_F) / scale_F, targets_N, weights_N)
    return Propensity(shift_F, scale_F, model.coef_[0], float(model.intercept_[0]), 1 / (1 + odds))


def weighted(row: SnapshotRow, model: Propensity | None) -> SnapshotRow:
    """Return the row with its weight times that of its answer; without a model, as it is."""
    return replace(row, weight=row.weight * model.weight(row.response)) if model else row


def propensity_figures(model: Propensity | None, rows: Sequence[SnapshotRow]) -> dict[str, float]:
    """What to tell of the weights; empty where there are none."""
    if model is None or not rows:
        return {}
    weights_N = np.array([model.weight(row.response) for row in rows])
    effective = float(weights_N.sum() ** 2 / (weights_N**2).sum())
    return {
        "share_rated": model.share,
        "least": float(weights_N.min()),
        "most": float(weights_N.max()),
        "effective_share": effective / len(rows),
    }


def _facts(response: LoggedResponse) -> NDArray[np.float64]:
    """What an answer looks like from outside, by its kind, (F,)."""
    match response.answer:
        case GenerateAnswer() as reply:
            return _reply_facts(reply)
        case ClassifyAnswer() as label:
            return _label_facts(label)
        case answer:
            raise InvalidInput("answer", f"who rates is not told from a {type(answer).__name__}")


def _label_facts(answer: ClassifyAnswer) -> NDArray[np.float64]:
    """Length of the text, log-probability of the label served and of the likeliest one, entropy in nats."""
    probs_K = np.clip(np.nan_to_num(np.array(answer.probabilities), nan=1.0), np.finfo(np.float64).tiny, 1.0)
    return np.array(
        [
            np.log1p(len(answer.text)),
            np.log(probs_K[answer.label_index]),
            np.log(probs_K.max()),
            -(probs_K * np.log(probs_K)).sum(),
        ]
    )


def _reply_facts(answer: GenerateAnswer) -> NDArray[np.float64]:
    """Length of reply and prompt, mean log-probability of a token, whether the reply ended, which candidate."""
    surprise = float(np.mean(answer.logprobs)) if answer.logprobs else 0.0
    return np.array(
        [
            np.log1p(len(answer.token_ids)),
            np.log1p(len(answer.prompt_token_ids)),
            float(np.clip(np.nan_to_num(surprise, nan=0.0), -20.0, 0.0)),
            float(answer.finish_reason == "stop"),
            float(answer.candidate),
        ]
    )
