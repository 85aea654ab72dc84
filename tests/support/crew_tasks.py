"""What workers do together in tests. Each returns plain values: tensors that cross processes are lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from tiny_policy import tiny_policy
from torch import nn

from thumbwheel.ppo.classify.improve import ClassifyPpoSettings, improve_classify
from thumbwheel.ppo.classify.votes import ClassifyVote
from thumbwheel.ppo.generate.collect import collect
from thumbwheel.ppo.generate.improve import improve_generate, step
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.generate.trainee import trainee_of
from thumbwheel.ppo.generate.training_state import initial_state
from thumbwheel.reward.fit import RewardSettings, fit
from thumbwheel.reward.rated_reply import RatedReply
from thumbwheel.workers.port import Workers, add_up_figures, add_up_gradients, share

Numbers = list[float]

PROMPTS = [[1, 4, 40 + i, 60 + i % 7, 2, 5][i % 3 :] for i in range(20)]
LIKED = tuple(RatedReply(tuple(prompt), (170, 171 + i, 2), 1.0) for i, prompt in enumerate(PROMPTS))
PPO = PpoSettings(
    iterations=2,
    episodes=10,
    minibatch=4,
    epochs=2,
    learning_rate=1e-2,
    max_new_tokens=6,
    least_prompts=10,
    liked_rows=2,
    max_update_kl=9.0,
    max_gradient_norm=0.5,
)
REWARD = RewardSettings(updates=30, batch_rows=5, least_votes=20, least_votes_of_a_side=5, hidden=8)


def high_ids(prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
    return [sum(token > 150 for token in reply) / len(reply) * 4 - 6 for reply in replies]


def rated(count: int) -> list[RatedReply]:
    rng = Random(0)
    rows = []
    for _ in range(count):
        up = rng.random() < 0.5
        reply = [rng.randrange(80, 120) for _ in range(rng.randrange(2, 7))] + [70] * up
        rows.append(RatedReply((1, 4, rng.randrange(40, 60)), (*reply, 2), float(up), weight=rng.uniform(0.5, 2)))
    return rows


def sums(workers: Workers) -> dict[str, Any]:
    """Sums of tensors of several types and shapes, of figures, and of gradients that not all workers have."""
    r = workers.rank
    small, whole, empty = torch.full((2, 2), 1.0 + r), torch.tensor([r + 1, 0]), torch.zeros(0, 3)
    workers.add_up(small, whole, empty)
    weights = [torch.zeros(2, requires_grad=True) for _ in range(3)]
    weights[0].grad = torch.tensor([1.0, r])
    if r == 0:
        weights[1].grad = torch.tensor([5.0, 6.0])
    add_up_gradients(weights, workers)
    return {
        "rank": (workers.rank, workers.size),
        "share": share("abcd", workers),
        "small": small.tolist(),
        "whole": whole.tolist(),
        "gradients": [weight.grad if weight.grad is None else weight.grad.tolist() for weight in weights],
        "figures": add_up_figures({"a": 0.1, "b": float(r)}, workers),
    }


def one_step(workers: Workers, champion: Path, rows: int) -> dict[str, Any]:
    """Rollouts, and the figures and the gradient (clipped) of one step on the first `rows` of them."""
    state = initial_state(trainee_of(champion, PPO, seed=1), PPO, workers)
    nn.init.constant_(state.value_head.weight, 0.1)
    rollouts, facts = collect(state, high_ids, PROMPTS, 1, 0, PPO)
    figures = step(state, rollouts, range(rows), LIKED[:rows], PPO)
    return {
        "replies": rollouts.replies,
        "facts": facts,
        "figures": figures,
        "advantages": rollouts.advantages_BR.flatten().tolist(),
        "gradient": _flat(value.grad for value in state.optimizer.param_groups[0]["params"]),
    }


def ppo_steps(workers: Workers, champion: Path, settings: PpoSettings) -> float:
    """How many steps an iteration took."""
    out = champion.parent / "steps"
    one = replace(settings, iterations=1)
    return improve_generate(champion, high_ids, PROMPTS, out, seed=1, settings=one, workers=workers).history[0][
        "val/steps"
    ]


def ppo_run(workers: Workers, champion: Path, out: Path) -> dict[str, Any]:
    done = improve_generate(
        champion, high_ids, PROMPTS, out, seed=1, liked=LIKED, settings=PPO, workers=workers, checkpoint=out / "state"
    )
    return {"history": [dict(row) for row in done.history]}


class Stopped(Exception):
    """Stands for the end of all workers."""


def interrupted_run(workers: Workers, champion: Path, out: Path, stop: int) -> dict[str, Any]:
    """A run that ends after the iteration `stop`, if that is not 0, and saves its state after each."""
    settings = replace(PPO, iterations=4, checkpoint_every=2)

    def told(done: int, total: int, figures: Mapping[str, float]) -> None:
        if done == stop:
            raise Stopped

    try:
        improve_generate(
            champion,
            high_ids,
            PROMPTS,
            out,
            seed=1,
            settings=settings,
            checkpoint=out.with_suffix(".state"),
            round_done=told,
            workers=workers,
        )
    except Stopped:
        return {}
    return {}


def reward_run(workers: Workers, votes: int) -> dict[str, Any]:
    model = fit(tiny_policy().model, rated(votes), 3, REWARD, workers)
    return {"head": _flat(model.head.state_dict().values()), "mean": model.mean, "std": model.std}


def classify_run(
    workers: Workers, champion: Path, votes: Sequence[ClassifyVote], settings: ClassifyPpoSettings, out: Path
) -> Mapping[str, Any]:
    done = improve_classify(champion, votes, out, out.with_suffix(".state"), settings, workers=workers)
    return {"history": done.history, "largest": done.largest_initial_logratio}


def _flat(tensors: Any) -> Numbers:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).tolist()
