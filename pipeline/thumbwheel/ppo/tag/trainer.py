"""A tagger's updates on logged votes: any loss on the words that were voted on, the seed tags, and corrections.

Shape suffixes: P words of a slice's texts one after the other, K tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from thumbwheel.policy.tag import EncodedWords, Tagger, demand_all_words
from thumbwheel.ppo.metrics import Metrics
from thumbwheel.ppo.stopping import LaidAside
from thumbwheel.ppo.vote_updates import VoteLoss, VoteTrainingSettings, VoteUpdates
from thumbwheel.pretrain.corpus import TaggedWords
from thumbwheel.pretrain.tag import hidden_logits, target_tags
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers


@dataclass(frozen=True, slots=True)
class TagVoteTrainer(VoteUpdates):
    """One job: a tagger, the words of each vote's text, seed tags, a loss on words, how and by whom.

    Corrected texts are imitated beside it, with a factor.

    Texts are tokenised once, when it is made. The loss's indices count the words of all votes one after the other.
    Raises InvalidInput for a voted text of which the tagger does not see every word.
    """

    tagger: Tagger
    texts: Sequence[tuple[str, ...]]
    seeds: Sequence[TaggedWords]
    loss: VoteLoss
    settings: VoteTrainingSettings
    workers: Workers = field(default_factory=Alone)
    aside: LaidAside | None = None
    corrected: Sequence[TaggedWords] = ()
    correction_weight: float = 0.0
    _encoded: list[EncodedWords] = field(default_factory=list, init=False, repr=False)
    _encoded_seeds: list[EncodedWords] = field(default_factory=list, init=False, repr=False)
    _encoded_corrected: list[EncodedWords] = field(default_factory=list, init=False, repr=False)
    _starts: list[int] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        """Tokenise."""
        self._encoded.extend(self.tagger.encode(self.texts))
        self._encoded_seeds.extend(self.tagger.encode([row.tokens for row in self.seeds]))
        self._encoded_corrected.extend(self.tagger.encode([row.tokens for row in self.corrected]))
        for one in self._encoded:
            demand_all_words(one)
        self._starts.extend(accumulate((len(words) for words in self.texts), initial=0))

    @property
    def model(self) -> PreTrainedModel:
        """The tagger's network."""
        return self.tagger.model

    @property
    def vote_texts(self) -> Sequence[str]:
        """The texts that were voted on."""
        return [" ".join(words) for words in self.texts]

    @property
    def seed_texts(self) -> Sequence[str]:
        """The tagged texts."""
        return [" ".join(row.tokens) for row in self.seeds]

    @property
    def past_texts(self) -> Sequence[str]:
        """The corrected texts."""
        return [" ".join(row.tokens) for row in self.corrected] if self.correction_weight else ()

    def vote_size(self, rows: Sequence[int]) -> int:
        """Words of these texts."""
        return sum(len(self.texts[row]) for row in rows)

    def seed_size(self, rows: Sequence[int]) -> int:
        """Words of these texts."""
        return sum(len(self.seeds[row].tokens) for row in rows)

    def no_figures(self) -> Metrics:
        """What the loss tells of no votes."""
        return self.loss(torch.zeros(0, len(self.tagger.labels)), torch.zeros(0, dtype=torch.long), 1)[1]

    def add_vote_gradient(self, rows: Sequence[int], size: int) -> dict[str, float]:
        """Add the gradient of some votes of a minibatch of `size` words; return their share in its figures."""
        encoded = [self._encoded[row] for row in rows]
        logits_PK = hidden_logits(self.tagger, encoded, self.settings.token_dropout)
        places = [at for row in rows for at in range(self._starts[row], self._starts[row + 1])]
        loss, figures = self.loss(logits_PK, torch.tensor(places, device=logits_PK.device), size)
        torch.autograd.backward(loss)
        return {**figures, "policy_loss": float(loss.detach())}

    def add_seed_gradient(self, rows: Sequence[int], size: int) -> dict[str, float]:
        """Add that of the cross-entropy of some of `size` seed tags, weighted; return their share in it, in nats."""
        encoded, seeds = [self._encoded_seeds[row] for row in rows], [self.seeds[row] for row in rows]
        return {"seed_loss": self._imitate(seeds, encoded, size, self.settings.seed_label_weight)}

    def add_past_gradient(self, rows: Sequence[int], size: int) -> dict[str, float]:
        """The same of corrected texts, a mean over texts' shares of their words; return it as `past_loss`."""
        encoded, texts = [self._encoded_corrected[row] for row in rows], [self.corrected[row] for row in rows]
        words = sum(len(text.tokens) for text in texts)
        return {"past_loss": self._imitate(texts, encoded, words * size / len(rows), self.correction_weight)}

    def _imitate(
        self, texts: Sequence[TaggedWords], encoded: Sequence[EncodedWords], size: float, weight: float
    ) -> float:
        """Add the gradient of the weighted cross-entropy of the texts' tags, their sum over `size`; return that."""
        logits_PK = hidden_logits(self.tagger, encoded, self.settings.token_dropout)
        targets_P = target_tags(self.tagger, texts, encoded).to(logits_PK.device)
        loss = functional.cross_entropy(logits_PK, targets_P, reduction="sum") / size
        torch.autograd.backward(weight * loss)
        return float(loss.detach())
