"""Does the mathematics that tunes policies by thumbs also solve what PPO is known to solve? CartPole-v1.

    python benchmarks/cartpole.py

Advantages, whitening and losses are the product's (`thumbwheel.ppo`); only the cart, the two networks and this loop are
not. Settings are those of CleanRL's `ppo.py`, but for whitening over the whole rollout and values that go on where an
episode is cut off (Pardo et al. 2018, "Time limits in reinforcement learning"). Prints the mean return of the last 100
episodes of every seed. A run that was ended goes on where it was: its state lies in `build/`.

Shape suffixes: T steps of a rollout, E carts, S episodes (or parts of them) of a rollout, L steps of the longest,
B steps of a minibatch, D numbers of a state (4), A actions (2).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn

from cartpole_physics import Carts
from record import BUILD, record
from thumbwheel.ppo.advantages import generalised_advantages, whiten
from thumbwheel.ppo.checkpoint import Checkpoint
from thumbwheel.ppo.losses import clipped_policy_loss, clipped_value_loss

GOAL = 475
LAST = 100
SAVE_EVERY = 50


@dataclass(frozen=True)
class Settings:
    """CleanRL's, where nothing else is said above."""

    steps: int = 500_000
    carts: int = 4
    rollout: int = 128
    epochs: int = 4
    minibatches: int = 4
    learning_rate: float = 2.5e-4
    """At the start; falls linearly to 0."""
    gamma: float = 0.99
    lam: float = 0.95
    clip: float = 0.2
    value_weight: float = 0.5
    entropy_weight: float = 0.01
    largest_gradient: float = 0.5
    width: int = 64

    @property
    def updates(self) -> int:
        return self.steps // (self.carts * self.rollout)


class Agent(nn.Module):
    """Two networks of two hidden layers: logits of the actions, and the value."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.actor = nn.Sequential(*_hidden(width), _layer(width, 2, 0.01))
        self.critic = nn.Sequential(*_hidden(width), _layer(width, 1, 1.0))

    def forward(self, states_BD: Tensor) -> tuple[Tensor, Tensor]:
        """(log-probabilities_BA, values_B)."""
        return self.actor(states_BD).log_softmax(-1), self.critic(states_BD).squeeze(-1)


def _hidden(width: int) -> list[nn.Module]:
    return [_layer(4, width, math.sqrt(2)), nn.Tanh(), _layer(width, width, math.sqrt(2)), nn.Tanh()]


def _layer(ins: int, outs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(ins, outs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


@dataclass
class Training:
    """What changes while it learns: `returns` of the episodes that ended, `under_way` of those that did not."""

    agent: Agent
    optimizer: torch.optim.Adam
    carts: Carts
    under_way: list[float]
    update: int = 0
    returns: list[float] = field(default_factory=list)

    @classmethod
    def fresh(cls, seed: int, settings: Settings) -> Training:
        torch.manual_seed(seed)
        agent = Agent(settings.width)
        optimizer = torch.optim.Adam(agent.parameters(), lr=settings.learning_rate, eps=1e-5)
        carts = Carts.fresh(settings.carts, np.random.default_rng(seed))
        return cls(agent, optimizer, carts, [0.0] * settings.carts)

    def last_returns(self) -> float:
        """Mean return of the last 100 episodes; NaN before the first ended."""
        return fmean(self.returns[-LAST:]) if self.returns else float("nan")

    def save(self, saved: Checkpoint) -> None:
        facts = {"update": self.update, "returns": self.returns[-LAST:], "under_way": self.under_way}
        carts = {"states": self.carts.states_E4.tolist(), "steps": self.carts.steps_E.tolist()}
        saved.save(self.optimizer, facts | carts)

    def restore(self, saved: Checkpoint) -> None:
        """Go on from what was saved, if there is something."""
        if (facts := saved.restore(self.optimizer)) is not None:
            self.update, self.returns, self.under_way = facts["update"], facts["returns"], facts["under_way"]
            self.carts.states_E4, self.carts.steps_E = np.array(facts["states"]), np.array(facts["steps"])


@dataclass(frozen=True)
class Rollout:
    """Steps of all carts; `over_TE` where an episode ended, `rewards_TE` with the value of what was not to come."""

    states_TED: Tensor
    actions_TE: Tensor
    logprobs_TE: Tensor
    values_TE: Tensor
    rewards_TE: Tensor
    over_TE: Tensor


def train(
    seed: int, settings: Settings, saved: Checkpoint | None = None, done: Callable[[Training], None] = lambda _: None
) -> Training:
    """Learn to the end, from what was saved where there is something; the same seed gives the same returns."""
    training = Training.fresh(seed, settings)
    if saved:
        training.restore(saved)
    while training.update < settings.updates:
        # Each update draws from random numbers of its own, so that a run that goes on does what it would have done.
        rng = training.carts.rng = np.random.default_rng([seed, training.update])
        left = 1 - training.update / settings.updates
        training.optimizer.param_groups[0]["lr"] = settings.learning_rate * left
        learn(training, collect(training, rng, settings), rng, settings)
        training.update += 1
        if saved and training.update % SAVE_EVERY == 0:
            training.save(saved)
        done(training)
    return training


@torch.no_grad()
def collect(training: Training, rng: np.random.Generator, settings: Settings) -> Rollout:
    """Let the carts roll."""
    rows: list[tuple[Tensor, ...]] = []
    for step in range(settings.rollout):
        states_ED = _tensor(training.carts.states_E4)
        logprobs_EA, values_E = training.agent(states_ED)
        right_E = rng.random(settings.carts) < logprobs_EA[:, 1].exp().numpy()
        fallen_E, cut_E, reached_ED = training.carts.step(right_E)
        over_E = fallen_E | cut_E
        goes_on_E = cut_E | (~over_E if step == settings.rollout - 1 else False)
        rewards_E = torch.ones(settings.carts)
        if goes_on_E.any():
            rewards_E += settings.gamma * training.agent(_tensor(reached_ED))[1] * torch.from_numpy(goes_on_E)
        actions_E = torch.from_numpy(right_E).long()
        chosen_E = logprobs_EA.gather(1, actions_E[:, None]).squeeze(1)
        rows.append((states_ED, actions_E, chosen_E, values_E, rewards_E, torch.from_numpy(over_E)))
        _count(training, over_E)
    return Rollout(*(torch.stack(column) for column in zip(*rows, strict=True)))


def _count(training: Training, over_E: np.ndarray) -> None:
    for cart, over in enumerate(over_E):
        training.under_way[cart] += 1.0
        if over:
            training.returns.append(training.under_way[cart])
            training.under_way[cart] = 0.0


def _tensor(states_E4: np.ndarray) -> Tensor:
    return torch.from_numpy(states_E4).float()


def advantages_of(rollout: Rollout, settings: Settings) -> tuple[Tensor, Tensor]:
    """(advantages_TE, whitened, and returns_TE): every episode, or part of one, is a row of the product's function."""
    places_SL, mask_SL = episodes(rollout.over_TE)
    rewards_SL, values_SL = (column.flatten()[places_SL] for column in (rollout.rewards_TE, rollout.values_TE))
    found_SL, returns_SL = generalised_advantages(rewards_SL, values_SL, mask_SL, settings.gamma, settings.lam)
    advantages, returns = (torch.zeros(rollout.over_TE.numel()) for _ in range(2))
    advantages[places_SL[mask_SL]] = whiten(found_SL, mask_SL)[mask_SL]
    returns[places_SL[mask_SL]] = returns_SL[mask_SL]
    shape = rollout.over_TE.shape
    return advantages.reshape(shape), returns.reshape(shape)


def episodes(over_TE: Tensor) -> tuple[Tensor, Tensor]:
    """(places_SL, mask_SL): where the steps of each episode stand in a flattened (T, E) table; place 0 is padding."""
    steps, carts = over_TE.shape
    rows: list[Tensor] = []
    for cart in range(carts):
        places_T = torch.arange(steps) * carts + cart
        ends = (over_TE[:, cart].nonzero().flatten() + 1).tolist()
        lengths = np.diff([0, *ends, *([steps] if steps not in ends else [])]).tolist()
        rows += torch.split(places_T, lengths)
    lengths_S1 = torch.tensor([[len(row)] for row in rows])
    mask_SL = torch.arange(int(lengths_S1.max())) < lengths_S1
    return nn.utils.rnn.pad_sequence(rows, batch_first=True), mask_SL


def learn(training: Training, rollout: Rollout, rng: np.random.Generator, settings: Settings) -> None:
    """Take some passes over the rollout in minibatches."""
    advantages_TE, returns_TE = advantages_of(rollout, settings)
    columns = [
        column.flatten(0, 1)
        for column in (
            rollout.states_TED,
            rollout.actions_TE,
            rollout.logprobs_TE,
            rollout.values_TE,
            advantages_TE,
            returns_TE,
        )
    ]
    for _ in range(settings.epochs):
        order = torch.from_numpy(rng.permutation(len(columns[0])))
        for rows_B in order.chunk(settings.minibatches):
            loss = _loss(training.agent, [column[rows_B] for column in columns], settings)
            training.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(training.agent.parameters(), settings.largest_gradient)
            training.optimizer.step()


def _loss(agent: Agent, columns: list[Tensor], settings: Settings) -> Tensor:
    states_BD, actions_B, old_B, old_values_B, advantages_B, returns_B = columns
    logprobs_BA, values_B = agent(states_BD)
    new_B = logprobs_BA.gather(1, actions_B[:, None]).squeeze(1)
    everything_B = torch.ones_like(actions_B, dtype=torch.bool)
    policy = clipped_policy_loss(new_B, old_B, advantages_B, everything_B, settings.clip).loss
    value = clipped_value_loss(values_B, old_values_B, returns_B, everything_B, settings.clip)
    entropy = -(logprobs_BA.exp() * logprobs_BA).sum(-1).mean()
    loss: Tensor = policy + settings.value_weight * value - settings.entropy_weight * entropy
    return loss


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=Settings().steps)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=BUILD / "cartpole", help="where it goes on from")
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = Settings(steps=given.steps)
    reached = {seed: _watched(seed, settings, given.work) for seed in given.seeds}
    print("| seed | mean return of the last 100 episodes |\n|---|---|")
    print("\n".join(f"| {seed} | {value:.1f} |" for seed, value in reached.items()))
    if given.steps == Settings().steps:
        worst = min(reached.values())
        by_seed = ", ".join(f"{value:.0f}" for value in reached.values())
        record(
            "ppo: CartPole-v1, mean return of the last 100 episodes, worst seed",
            worst,
            "steps",
            f">= {GOAL}",
            worst >= GOAL,
            "python benchmarks/cartpole.py",
            f"{settings.steps:,} steps; by seed: {by_seed}",
        )


def _watched(seed: int, settings: Settings, work: Path) -> float:
    saved = Checkpoint(work / f"{seed}.safetensors", job=f"{seed} {settings}")
    with Progress() as bar:
        task = bar.add_task(f"seed {seed}", total=settings.updates)

        def done(training: Training) -> None:
            bar.update(
                task, completed=training.update, description=f"seed {seed}: return {training.last_returns():.0f}"
            )

        return train(seed, settings, saved, done).last_returns()


if __name__ == "__main__":
    main()
