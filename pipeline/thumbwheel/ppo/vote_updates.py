"""The update loop over logged votes, the same for `classify` and `tag` and for every loss on votes: resumable epochs.

Beside the votes every update sees some of the labelled texts the first policy was trained on (seed labels), and as many
votes of any age as there are of the run, where a kind of policy has a use for them (past votes).
Dropout is on and some tokens are hidden in every update, which keeps few votes from being learned by heart; a loss that
compares with the champion compares a noisy network with a clean one (see `classify/improve.py`).
Each epoch seeds its own random numbers, so a job that goes on after epoch e does what it would have done.

A minibatch runs in slices of a fixed size, and each slice seeds its own dropout. Workers deal the slices among
themselves: whoever runs one drops what one worker alone would have dropped, so their number changes nothing but the
order in which gradients are added.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from statistics import fmean

import torch
from torch import Tensor
from transformers import PreTrainedModel

from thumbwheel.ppo.checkpoint import Checkpoint
from thumbwheel.ppo.metrics import Metrics, RoundDone
from thumbwheel.ppo.stopping import EpochChoice, LaidAside
from thumbwheel.pretrain.minibatches import length_bucketed
from thumbwheel.workers.port import Workers, add_up_figures, add_up_gradients, share

VoteLoss = Callable[[Tensor, Tensor, int], tuple[Tensor, Metrics]]
"""(logits_BK, indices_B, size of the minibatch) -> these actions' share in the mean loss, and in figures to report.

An action is a text's label (`classify`) or a word's tag (`tag`), and so is what the size counts.
"""

# Texts run together, of like length; what several workers deal among themselves.
_SLICE_ROWS = 64


@dataclass(frozen=True, slots=True)
class VoteTrainingSettings:
    """How to update a classifier or a tagger on votes. The defaults are what the benchmarks of `classify` ran with."""

    learning_rate: float = 1e-3
    """At the start; falls linearly to 0."""
    epochs: int = 20
    batch_size: int = 128
    seed_label_weight: float = 0.1
    """Factor on the cross-entropy of the seed labels."""
    token_dropout: float = 0.1
    weight_decay: float = 0.01
    largest_gradient: float = 1.0
    """Norm to which gradients are clipped."""
    patience: int = 3
    """Epochs that votes laid aside find worse, one after the other, before it ends; not used without such votes."""
    seed: int = 0


_Slice = tuple[int, Callable[[], dict[str, float]]]
"""The seed of a slice's dropout, and what adds its gradient and returns its share in the figures."""


class VoteUpdates(ABC):
    """One job. A kind of policy tells what is updated, of which texts the votes and the seed labels are, and how."""

    __slots__ = ()
    settings: VoteTrainingSettings
    workers: Workers
    aside: LaidAside | None

    @property
    @abstractmethod
    def model(self) -> PreTrainedModel:
        """What is updated, in place."""

    @property
    @abstractmethod
    def vote_texts(self) -> Sequence[str]:
        """The text of each vote; their lengths decide what runs together."""

    @property
    @abstractmethod
    def seed_texts(self) -> Sequence[str]:
        """The text of each seed label."""

    @abstractmethod
    def vote_size(self, rows: Sequence[int]) -> int:
        """How many actions these votes are on: what the mean loss of a minibatch is divided by."""

    @abstractmethod
    def add_vote_gradient(self, rows: Sequence[int], size: int) -> dict[str, float]:
        """Add the gradient of some votes of a minibatch of `size`; return their share in its figures."""

    @abstractmethod
    def seed_size(self, rows: Sequence[int]) -> int:
        """The same of seed labels."""

    @abstractmethod
    def add_seed_gradient(self, rows: Sequence[int], size: int) -> dict[str, float]:
        """Add the weighted gradient of some seed labels; return their share in the `seed_loss`, in nats."""

    @property
    def past_texts(self) -> Sequence[str]:
        """The texts of past votes; none where a kind has no use for them."""
        return ()

    def add_past_gradient(self, rows: Sequence[int], size: int) -> dict[str, float]:
        """Add the weighted gradient of some of `size` past votes; return their share in the `past_loss`, in nats."""
        return {}

    @abstractmethod
    def no_figures(self) -> Metrics:
        """The loss's figures of no votes at all."""

    def train(self, checkpoint: Checkpoint, round_done: RoundDone) -> list[dict[str, float]]:
        """Update the model in place, dropout on, and return every epoch's figures; goes on from a checkpoint.

        The model must be as the job first found it: the checkpoint's weights replace its own. Where there are votes
        laid aside they choose the epoch whose weights are kept, else it is the last.
        """
        model, settings = self.model, self.settings
        optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        history: list[dict[str, float]] = []
        choice = EpochChoice(settings.patience)
        if (facts := checkpoint.restore(optimizer)) is not None:
            history = facts["history"]
            choice.restore(facts["choice"], checkpoint.kept())
        while len(history) < settings.epochs and not choice.over:
            history.append(self._epoch(len(history), optimizer))
            model.eval()
            if self.aside is not None:
                history[-1] |= choice.take(len(history), self.aside.terms(), list(model.parameters()))
            checkpoint.save(optimizer, {"history": history, "choice": choice.facts()}, choice.named_weights())
            round_done(len(history), settings.epochs, history[-1])
        if choice.weights:
            choice.put_back(list(model.parameters()))
        return history

    def _epoch(self, epoch: int, optimizer: torch.optim.Optimizer) -> dict[str, float]:
        """One pass over the votes; returns the means of its figures."""
        with torch.random.fork_rng(devices=[]):
            rng = Random(f"votes {self.settings.seed} {epoch}")
            self.model.train()
            batches = length_bucketed(self.vote_texts, self.settings.batch_size, rng)
            seed_batches = _endless(self.seed_texts, max(1, self.settings.batch_size // 2), rng)
            past_batches = _endless(self.past_texts, self.settings.batch_size, rng)
            figures = []
            for index, batch in enumerate(batches):
                rate = self._learning_rate(epoch + index / len(batches))
                for group in optimizer.param_groups:
                    group["lr"] = rate
                slices = self._slices(batch, next(seed_batches), next(past_batches), rng)
                figures.append({**self._update(slices, optimizer), "learning_rate": rate})
        return {name: fmean(row[name] for row in figures) for name in figures[0]}

    def _slices(self, batch: Sequence[int], seeds: Sequence[int], past: Sequence[int], rng: Random) -> list[_Slice]:
        """Minibatches of votes, seed labels and past votes, cut up, each slice with the seed of its dropout."""
        size = self.vote_size(batch)
        works: list[Callable[[], dict[str, float]]] = [
            partial(self.add_vote_gradient, batch[at : at + _SLICE_ROWS], size)
            for at in range(0, len(batch), _SLICE_ROWS)
        ]
        if self.settings.seed_label_weight > 0:
            size = self.seed_size(seeds)
            works += [
                partial(self.add_seed_gradient, seeds[at : at + _SLICE_ROWS], size)
                for at in range(0, len(seeds), _SLICE_ROWS)
            ]
        works += [
            partial(self.add_past_gradient, past[at : at + _SLICE_ROWS], len(past))
            for at in range(0, len(past), _SLICE_ROWS)
        ]
        return [(rng.getrandbits(63), work) for work in works]

    def _update(self, slices: Sequence[_Slice], optimizer: torch.optim.Optimizer) -> dict[str, float]:
        """One optimiser step; each worker adds the gradients of its share of the slices."""
        parameters = list(self.model.parameters())
        optimizer.zero_grad()
        figures = {**self.no_figures(), "policy_loss": 0.0, "seed_loss": 0.0}
        if self.past_texts:
            figures["past_loss"] = 0.0
        for seed, add_gradient in share(slices, self.workers):
            torch.manual_seed(seed)
            for name, value in add_gradient().items():
                figures[name] += value
        figures = add_up_figures(figures, self.workers)
        add_up_gradients(parameters, self.workers)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.settings.largest_gradient)
        optimizer.step()
        return {**figures, "gradient_norm": float(norm)}

    def _learning_rate(self, epochs_done: float) -> float:
        return self.settings.learning_rate * (1 - epochs_done / self.settings.epochs)


def _endless(texts: Sequence[str], size: int, rng: Random) -> Iterator[list[int]]:
    """Batches of indices without end, every text once before any twice; empty ones when there are none."""
    while not texts:
        yield []
    while True:
        yield from length_bucketed(texts, size, rng)
