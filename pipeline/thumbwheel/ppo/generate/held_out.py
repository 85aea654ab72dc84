"""How well a policy does on prompts that it does not learn from, while it learns: what is kept, and when it is over.

Shapes: B prompts set aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch

from thumbwheel.ope.intervals import student_t_interval
from thumbwheel.ppo.generate.collect import Scorer, judged_replies
from thumbwheel.ppo.generate.sequences import TokenIds
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.generate.training_state import TrainingState
from thumbwheel.ppo.stopping import falls_short

_SHARE = 0.1
_LEAST = 2


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The policy after `iteration` on the prompts set aside; after 0 it is the champion.

    `score` is the mean of what the reward model pays, `kl` that of the drift in nats a reply, `reward` that of
    score - beta KL at the run's first beta: a later one would make iterations incomparable. `low` is the lower end of
    its 95 % interval. `rewards_B` has each prompt's, in the same order for every iteration.
    """

    iteration: int
    score: float
    kl: float
    reward: float
    low: float
    rewards_B: tuple[float, ...]


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
    rewards_B = (judged.paid_B - settings.beta * kl_B).double().numpy()
    reward = student_t_interval(rewards_B)
    score, kl = float(judged.paid_B.mean()), float(kl_B.mean())
    return Evaluation(iteration, score, kl, reward.value, reward.low, tuple(rewards_B.tolist()))


def is_due(iteration: int, settings: PpoSettings) -> bool:
    """Whether the policy is evaluated after `iteration`: every `evaluate_every`, and after the last."""
    every = settings.evaluate_every
    return every > 0 and (iteration % every == 0 or iteration == settings.iterations)


def best(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The latest evaluation that is not surely worse than the one with the highest mean; none of the champion's own.

    Means of some hundred replies differ by noise, so that the highest itself is luck, and more learning is preferred.
    A policy that only got worse is for the gates to refuse, with the figures that say so.
    """
    learned = [evaluation for evaluation in evaluations if evaluation.iteration > 0]
    if not learned:
        return None
    peak = max(learned, key=lambda evaluation: evaluation.reward)
    return next(one for one in reversed(learned) if one is peak or not _is_worse(one, peak))


def is_over(evaluations: Sequence[Evaluation], settings: PpoSettings) -> bool:
    """Whether the last `patience` evaluations, one after the other, were surely worse than the best."""
    top = best(evaluations)
    if top is None or settings.patience == 0:
        return False
    return len(evaluations) - 1 - evaluations.index(top) >= settings.patience


def _is_worse(one: Evaluation, peak: Evaluation) -> bool:
    return falls_short(np.array(one.rewards_B), np.array(peak.rewards_B))
