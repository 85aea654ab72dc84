"""A classifier's updates on logged votes: any loss on the labels that were voted on, seed labels and past votes.

Shape suffixes: B votes of a slice, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from thumbwheel.policy.classify import Classifier
from thumbwheel.ppo.metrics import Metrics
from thumbwheel.ppo.stopping import LaidAside
from thumbwheel.ppo.vote_updates import VoteLoss, VoteTrainingSettings, VoteUpdates
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.pretrain.token_dropout import hide_tokens
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers

__all__ = ["VoteLoss", "VoteTrainer", "VoteTrainingSettings"]


@dataclass(frozen=True, slots=True, eq=False)
class PastVotes:
    """Texts of votes of any age, what is to be minimised on them, and its factor."""

    texts: Sequence[str]
    loss: VoteLoss
    weight: float


@dataclass(frozen=True, slots=True)
class VoteTrainer(VoteUpdates):
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
    past: PastVotes | None = None
    _tokens: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False)

    @property
    def model(self) -> PreTrainedModel:
        """The classifier's network."""
        return self.classifier.model

    @property
    def vote_texts(self) -> Sequence[str]:
        """The texts that were voted on."""
        return self.texts

    @property
    def seed_texts(self) -> Sequence[str]:
        """The labelled texts."""
        return [row.text for row in self.seeds]

    @property
    def past_texts(self) -> Sequence[str]:
        """The texts of past votes."""
        return self.past.texts if self.past else ()

    def vote_size(self, rows: Sequence[int]) -> int:
        """One label a vote."""
        return len(rows)

    def seed_size(self, rows: Sequence[int]) -> int:
        """One label a text."""
        return len(rows)

    def no_figures(self) -> Metrics:
        """What the loss tells of no votes."""
        return self.loss(torch.zeros(0, len(self.classifier.labels)), torch.zeros(0, dtype=torch.long), 1)[1]

    def add_vote_gradient(self, rows: Sequence[int], size: int) -> dict[str, float]:
        """Add the gradient of some votes of a minibatch of `size`; return their share in its figures."""
        logits_BK = self._logits([self.texts[index] for index in rows])
        loss, figures = self.loss(logits_BK, torch.tensor(rows, device=logits_BK.device), size)
        torch.autograd.backward(loss)
        return {**figures, "policy_loss": float(loss.detach())}

    def add_seed_gradient(self, rows: Sequence[int], size: int) -> dict[str, float]:
        """Add that of the cross-entropy of some of `size` seed labels, weighted; return their share in it, in nats."""
        seeds = [self.seeds[index] for index in rows]
        logits_BK = self._logits([row.text for row in seeds])
        targets_B = torch.tensor([self.classifier.labels.index(row.label) for row in seeds], device=logits_BK.device)
        loss = functional.cross_entropy(logits_BK, targets_B, reduction="sum") / size
        torch.autograd.backward(self.settings.seed_label_weight * loss)
        return {"seed_loss": float(loss.detach())}

    def add_past_gradient(self, rows: Sequence[int], size: int) -> dict[str, float]:
        """Add the weighted gradient of some of `size` past votes; return their share in the `past_loss`, in nats."""
        if self.past is None:
            return {}
        logits_BK = self._logits([self.past.texts[index] for index in rows])
        loss, _ = self.past.loss(logits_BK, torch.tensor(rows, device=logits_BK.device), size)
        torch.autograd.backward(self.past.weight * loss)
        return {"past_loss": float(loss.detach())}

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
