"""Whether an engine draws by the probabilities of a plain forward pass: foretold before it starts, then drawn.

An architecture whose attention does not go through transformers' attention interface loads and answers, and is wrong in
the batching loop: from its second token on it sees those of other sequences, or nothing that came before. No error says
so, and what is logged as the probability of each token is off by nats. Hence nothing is served before its first tokens
were compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor
from transformers import PreTrainedModel

from thumbwheel.errors import UnservableVersion

# The first is read together with the prompt, the others through the cache, which is where architectures differ.
NEW_TOKENS = 3
# Versions are loaded in float32, whatever they were saved in. There, in tiny models, architectures whose loop is right
# differed by 5e-5 nats at most (Gemma 2; the others by 3e-6), wrong ones by .3 nats or more at one place.
# (In bfloat16 the right ones would differ by up to .03.)
_TOLERANCE_NATS = 0.01
# Two prompts of unlike lengths and unlike tokens, decoded together: a token that sees the wrong ones shows.
_LENGTHS = (7, 4)


@dataclass(frozen=True, slots=True)
class Foretold:
    """A prompt, and the log-probability in nats of every token at each of the `NEW_TOKENS` places after it.

    Each row is conditional on the likeliest tokens before it.
    """

    prompt_ids: tuple[int, ...]
    rows_V: tuple[Tensor, ...]

    def difference(self, token_ids: Sequence[int], logprobs: Sequence[float]) -> float:
        """Return the largest difference in nats to what a greedy loop reported; infinite where that is no number.

        Two tokens may be likeliest: after one that is not the foretold one there is nothing to compare any more.
        """
        largest = 0.0
        for row_V, token, served in zip(self.rows_V, token_ids, logprobs, strict=False):
            largest = max(largest, abs(served - float(row_V[token])) if isfinite(served) else float("inf"))
            if token != int(row_V.argmax()):
                break
        return largest


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """What a model has to draw before it may answer anybody."""

    model_type: str
    prompts: tuple[Foretold, ...]

    def demand_same(self, prompt: Foretold, token_ids: Sequence[int], logprobs: Sequence[float]) -> None:
        """Raise UnservableVersion, naming the model's type, unless the loop drew as foretold."""
        difference = prompt.difference(token_ids, logprobs)
        if difference > _TOLERANCE_NATS:
            raise UnservableVersion(
                f"a {self.model_type} can't be served: decoded in batches it gives other log-probabilities than by a "
                f"plain pass (by {difference:.3g} nats, at most {_TOLERANCE_NATS} are allowed); begin with a model "
                "of another type, for example Llama, Qwen or GPT-2"
            )


def foretell(model: PreTrainedModel) -> SelfCheck:
    """Foretell with a model that no engine has yet: later a plain forward pass on it would be a wrong one.

    Computes `NEW_TOKENS` times two short sequences; call it off the event loop.

    Raises:
        UnservableVersion: what it computes are no numbers.
    """
    vocabulary = int(model.get_input_embeddings().num_embeddings)
    ids = [index * vocabulary // sum(_LENGTHS) for index in range(sum(_LENGTHS))]
    prompts = (tuple(ids[: _LENGTHS[0]]), tuple(ids[_LENGTHS[0] :]))
    return SelfCheck(type(model).__name__, tuple(Foretold(prompt, _rows(model, prompt)) for prompt in prompts))


@torch.no_grad()
def _rows(model: PreTrainedModel, prompt_ids: Sequence[int]) -> tuple[Tensor, ...]:
    rows_V: list[Tensor] = []
    tokens: list[int] = []
    for _ in range(NEW_TOKENS):
        logits_V = model(input_ids=torch.tensor([[*prompt_ids, *tokens]]), use_cache=False).logits[0, -1]
        rows_V.append(logits_V.float().log_softmax(-1))
        if not bool(rows_V[-1].isfinite().all()):
            raise UnservableVersion(
                f"this {type(model).__name__} computes no numbers (NaN or infinite): its weights are broken; "
                "train it again, or roll back"
            )
        tokens.append(int(rows_V[-1].argmax()))
    return tuple(rows_V)
