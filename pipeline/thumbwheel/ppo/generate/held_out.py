"""How well a policy does on prompts that it does not learn from, while it learns: what is kept, and when it is over.

Shapes: B prompts set aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from thumbwheel.ope.intervals import student_t_interval
from thumbwheel.ppo.generate.collect import Scorer, judged_replies
from thumbwheel.ppo.generate.sequences import TokenIds
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.generate.training_state import TrainingState

_SHARE = 0.1
_LEAST = 2


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The policy after `iteration` on the prompts set aside; after 0 it is the champion.

    `score` is the mean of what the reward model pays, `kl` that of the drift in nats a reply, `reward` that of
    score - beta KL at the run's first beta: a later one would make iterations incomparable. `low` is the lower end of
    its 95 % interval.
    """

    iteration: int
    score: float
    kl: float
    reward: float
    low: float


def set_aside(
    prompts: Sequence[TokenIds], settings: PpoSettings, seed: int
) -> tuple[Sequence[TokenIds], list[TokenIds]]:
    """Return the prompts to learn from, and a tenth that is not: none where nothing is evaluated.

    Of that tenth at most `settings.evaluation_prompts` are returned; the others teach nothing all the same.
    """
    if settings.evaluate_every == 0:
        return prompts, []
    order = Random(f"aside {seed}").sample(range(len(prompts)), len(prompts))
    aside = order[: max(_LEAST, round(_SHARE * len(prompts)))]
    kept = set(aside)
    taught = [prompt for i, prompt in enumerate(prompts) if i not in kept]
    return taught, [prompts[i] for i in aside[: settings.evaluation_prompts]]


def evaluate(
    state: TrainingState,
    scorer: Scorer,
    prompts: Sequence[TokenIds],
    iteration: int,
    seed: int,
    settings: PpoSettings,
) -> Evaluation:
    """Answer the prompts set aside, by the same draws in every iteration, so that what differs is the policy.

    Raises:
        Unlearnable: a score is no number.
    """
    generator = torch.Generator().manual_seed(Random(f"held out {seed}").getrandbits(63))
    judged = judged_replies(state, scorer, prompts, generator, settings)
    kl_B = judged.penalty_BR.sum(-1)
    reward = student_t_interval((judged.paid_B - settings.beta * kl_B).double().numpy())
    return Evaluation(iteration, float(judged.paid_B.mean()), float(kl_B.mean()), reward.value, reward.low)


def is_due(iteration: int, settings: PpoSettings) -> bool:
    """Whether the policy is evaluated after `iteration`: every `evaluate_every`, and after the last."""
    every = settings.evaluate_every
    return every > 0 and (iteration % every == 0 or iteration == settings.iterations)


def best(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The evaluation with the highest lower bound, the first of equals. The champion's own is none to choose:

    a policy that only got worse is for the gates to refuse, with the figures that say so.
    """
    learned = [evaluation for evaluation in evaluations if evaluation.iteration > 0]
    return max(learned, key=lambda evaluation: evaluation.low, default=None)


def is_over(evaluations: Sequence[Evaluation], settings: PpoSettings) -> bool:
    """Whether the last `patience` evaluations brought none better than those before."""
    top = best(evaluations)
    if top is None or settings.patience == 0:
        return False
    return len(evaluations) - 1 - evaluations.index(top) >= settings.patience
