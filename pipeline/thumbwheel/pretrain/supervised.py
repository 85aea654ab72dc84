"""Training on right labels, as first policies of `classify` and `tag` share it: AdamW, warm-up, linear decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedModel

from thumbwheel.pretrain.minibatches import length_bucketed
from thumbwheel.pretrain.step_done import StepDone


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRecipe:
    """How a first encoder is shaped and trained; what differs between kinds is in their own recipes."""

    vocabulary: int = 3000
    max_tokens: int = 256
    width: int = 128
    feed_forward: int = 128
    layers: int
    heads: int = 2
    dropout: float = 0.1
    token_dropout: float = 0.1
    """Share of tokens hidden behind `[MASK]` in training, so that the words around tell, too."""
    learning_rate: float = 2e-3
    batch_size: int
    least_epochs: int = 20
    least_updates: int
    seed: int = 0

    def epochs(self, rows: int) -> int:
        """Passes over `rows` labelled texts: enough for `least_updates`, never fewer than `least_epochs`."""
        return max(self.least_epochs, math.ceil(self.least_updates * self.batch_size / rows))


def fit_supervised(
    model: PreTrainedModel,
    texts: Sequence[str],
    loss_of: Callable[[Sequence[int]], Tensor],
    recipe: EncoderRecipe,
    step_done: StepDone,
) -> None:
    """Minimise `loss_of(the indices of a minibatch of texts)`, a scalar, over all the recipe's passes.

    Minibatches are of texts of about one length. `step_done(epoch, epochs, mean loss)` is called after each pass.
    """
    epochs = recipe.epochs(len(texts))
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    updates = epochs * math.ceil(len(texts) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_up_then_decay(step, updates))
    for epoch in range(epochs):
        model.train()
        losses = []
        for minibatch in length_bucketed(texts, recipe.batch_size, Random(f"batches {recipe.seed} {epoch}")):
            loss = loss_of(minibatch)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        step_done(epoch + 1, epochs, sum(losses) / len(losses))


def warm_up_then_decay(step: int, updates: int) -> float:
    """Factor on the learning rate: up over the first twentieth, then linearly to 0."""
    return min((step + 1) / max(1, updates // 20), 1.0) * max(0.0, 1.0 - step / updates)
