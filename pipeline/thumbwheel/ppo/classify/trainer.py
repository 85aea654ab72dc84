"""The update loop over logged votes, the same for every loss on them: epochs of minibatches, resumable.

Beside the votes every update sees some of the labelled texts the first policy was trained on (seed labels).
Dropout is on and some tokens are hidden in every update, which keeps few votes from being learned by heart; a loss that
compares with the champion compares a noisy network with a clean one (see `improve.py`).
Each epoch seeds its own random numbers, so a job that goes on after epoch e does what it would have done.

A minibatch runs in slices of a fixed size, and each slice seeds its own dropout. Workers deal the slices among
themselves: whoever runs one drops what one worker alone would have dropped, so their number changes nothing but the
order in which gradients are added.

Shape suffixes: B votes of a slice, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from thumbwheel.policy.classify import Classifier
from thumbwheel.ppo.checkpoint import Checkpoint
from thumbwheel.ppo.classify.stopping import EpochChoice, LaidAside
from thumbwheel.ppo.metrics import Metrics, RoundDone
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.pretrain.minibatches import length_bucketed
from thumbwheel.pretrain.token_dropout import hide_tokens
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers, add_up_figures, add_up_gradients, share

VoteLoss = Callable[[Tensor, Tensor, int], tuple[Tensor, Metrics]]
"""(logits_BK, indices_B, votes of the minibatch) -> these votes' share in the mean loss, and in figures to report."""

# Rows run together, of like length; what several workers deal among themselves.
_SLICE_ROWS = 32


@dataclass(frozen=True, slots=True)
class VoteTrainingSettings:
    """How to update a classifier on votes. The defaults are what the benchmarks ran with."""

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


@dataclass(frozen=True, slots=True)
class VoteTrainer:
    """One job: a classifier, texts of votes, seed labels, a loss, how and by whom. Each text is tokenised once.

    Where there are votes laid aside they choose the epoch whose weights are kept, else it is the last.
    """

    classifier: Classifier
    texts: Sequence[str]
    seeds: Sequence[LabelledText]
    loss: VoteLoss
    settings: VoteTrainingSettings
    workers: Workers = field(default_factory=Alone)
    aside: LaidAside | None = None
    _tokens: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False)

    def train(self, checkpoint: Checkpoint, round_done: RoundDone) -> list[dict[str, float]]:
        """Update the classifier in place, dropout on, and return every epoch's figures; goes on from a checkpoint.

        The classifier must be as the job first found it: the checkpoint's weights replace its own.
        """
        model, settings = self.classifier.model, self.settings
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
            self.classifier.model.train()
            batches = length_bucketed(self.texts, self.settings.batch_size, rng)
            seed_batches = self._seed_batches(rng)
            figures = []
            for index, batch in enumerate(batches):
                rate = self._learning_rate(epoch + index / len(batches))
                for group in optimizer.param_groups:
                    group["lr"] = rate
                slices = self._slices(batch, next(seed_batches), rng)
                figures.append({**self._update(slices, optimizer), "learning_rate": rate})
        return {name: fmean(row[name] for row in figures) for name in figures[0]}

    def _slices(self, batch: Sequence[int], seeds: Sequence[LabelledText], rng: Random) -> list[_Slice]:
        """A minibatch of votes and one of seed labels, cut up, each slice with the seed of its dropout."""
        works: list[Callable[[], dict[str, float]]] = [
            partial(self._add_vote_gradient, batch[at : at + _SLICE_ROWS], len(batch))
            for at in range(0, len(batch), _SLICE_ROWS)
        ]
        if self.settings.seed_label_weight > 0:
            works += [
                partial(self._add_seed_gradient, seeds[at : at + _SLICE_ROWS], len(seeds))
                for at in range(0, len(seeds), _SLICE_ROWS)
            ]
        return [(rng.getrandbits(63), work) for work in works]

    def _update(self, slices: Sequence[_Slice], optimizer: torch.optim.Optimizer) -> dict[str, float]:
        """One optimiser step; each worker adds the gradients of its share of the slices."""
        parameters = list(self.classifier.model.parameters())
        optimizer.zero_grad()
        figures = self._no_figures()
        for seed, add_gradient in share(slices, self.workers):
            torch.manual_seed(seed)
            for name, value in add_gradient().items():
                figures[name] += value
        figures = add_up_figures(figures, self.workers)
        add_up_gradients(parameters, self.workers)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.settings.largest_gradient)
        optimizer.step()
        return {**figures, "gradient_norm": float(norm)}

    def _no_figures(self) -> dict[str, float]:
        """Every figure that slices tell, 0: what no votes at all would tell."""
        none_BK, none_B = torch.zeros(0, len(self.classifier.labels)), torch.zeros(0, dtype=torch.long)
        return {**self.loss(none_BK, none_B, 1)[1], "policy_loss": 0.0, "seed_loss": 0.0}

    def _add_vote_gradient(self, rows: Sequence[int], count: int) -> dict[str, float]:
        """Add the gradient of some votes of a minibatch of `count`; return their share in its figures."""
        logits_BK = self._logits([self.texts[index] for index in rows])
        loss, figures = self.loss(logits_BK, torch.tensor(rows, device=logits_BK.device), count)
        torch.autograd.backward(loss)
        return {**figures, "policy_loss": float(loss.detach())}

    def _add_seed_gradient(self, seeds: Sequence[LabelledText], count: int) -> dict[str, float]:
        """Add that of the cross-entropy of some of `count` seed labels, weighted; return their share in it, in nats."""
        logits_BK = self._logits([row.text for row in seeds])
        targets_B = torch.tensor([self.classifier.labels.index(row.label) for row in seeds], device=logits_BK.device)
        loss = functional.cross_entropy(logits_BK, targets_B, reduction="sum") / count
        torch.autograd.backward(self.settings.seed_label_weight * loss)
        return {"seed_loss": float(loss.detach())}

    def _logits(self, texts: Sequence[str]) -> Tensor:
        ids_BT, mask_BT = self._encode(texts)
        ids_BT = hide_tokens(ids_BT, self.classifier.tokenizer, self.settings.token_dropout)
        logits_BK: Tensor = self.classifier.model(input_ids=ids_BT, attention_mask=mask_BT).logits
        return logits_BK.float()

    def _encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask as the classifier's own `encode` makes them, each (B, T)."""
        classifier = self.classifier
        if fresh := [text for text in dict.fromkeys(texts) if text not in self._tokens]:
            encoded = classifier.encode(fresh)
            lengths = encoded["attention_mask"].sum(1).tolist()
            rows = encoded["input_ids"].tolist()
            self._tokens.update((t, row[:n]) for t, row, n in zip(fresh, rows, lengths, strict=True))
        tokens = [torch.tensor(self._tokens[text]) for text in texts]
        padding = float(classifier.tokenizer.pad_token_id or 0)
        ids_BT = pad_sequence(tokens, batch_first=True, padding_value=padding)
        lengths_B1 = torch.tensor([[len(row)] for row in tokens])
        mask_BT = (torch.arange(ids_BT.shape[1]) < lengths_B1).long()
        return ids_BT.to(classifier.model.device), mask_BT.to(classifier.model.device)

    def _seed_batches(self, rng: Random) -> Iterator[list[LabelledText]]:
        """Endless batches of seed labels, half as large as those of votes; empty ones when there are none."""
        while not self.seeds:
            yield []
        texts = [row.text for row in self.seeds]
        while True:
            for batch in length_bucketed(texts, max(1, self.settings.batch_size // 2), rng):
                yield [self.seeds[index] for index in batch]

    def _learning_rate(self, epochs_done: float) -> float:
        return self.settings.learning_rate * (1 - epochs_done / self.settings.epochs)
