"""A small causal language model from scratch, with a tokenizer of its own, in about a minute on one core.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from thumbwheel.errors import InvalidData
from thumbwheel.policy.loading import CausalPolicy, save_causal
from thumbwheel.policy.prompt import encode_prompt, encode_reply
from thumbwheel.pretrain.corpus import Chat
from thumbwheel.pretrain.step_done import StepDone
from thumbwheel.pretrain.tokenizer import train_tokenizer


@dataclass(frozen=True, slots=True)
class FirstPolicySettings:
    """Size and training of a first policy.

    `initializer_range` is larger than usual: at this width the usual .02 does not learn to copy a number from the
    question into the answer. `prompt_weight` is the weight of a customer's token in the loss; a reply's is 1.
    """

    steps: int = 620
    batch_rows: int = 32
    learning_rate: float = 5e-3
    warmup_steps: int = 50
    weight_decay: float = 0.05
    prompt_weight: float = 0.1
    vocabulary: int = 900
    width: int = 128
    layers: int = 2
    heads: int = 4
    feed_forward: int = 512
    max_tokens: int = 256
    initializer_range: float = 0.09


@dataclass(frozen=True, slots=True)
class _Example:
    """Token ids of a dialogue with the weight of each in the loss."""

    ids: list[int]
    weights: list[float]


def train_first_policy(
    chats: Sequence[Chat],
    folder: Path,
    seed: int,
    settings: FirstPolicySettings | None = None,
    step_done: StepDone = lambda step, steps, loss: None,
) -> None:
    """Train on chats, or on plain text (one message of role `""` each), and save to `folder`.

    The same chats, seed and settings give the same weights. `step_done` is told (step, steps, loss).

    Raises:
        InvalidData: chats and plain text are mixed, or there is nothing to learn from.
    """
    settings = settings or FirstPolicySettings()
    torch.manual_seed(seed)
    texts = [turn.content.strip() for chat in chats for turn in chat]
    tokenizer = train_tokenizer(texts, settings.vocabulary, settings.max_tokens, chat=_is_chat(chats))
    examples = [_example(tokenizer, chat, settings) for chat in chats]
    model = build_model(tokenizer, settings)
    _train(model, examples, Random(seed), settings, step_done)
    save_causal(CausalPolicy(model.eval(), tokenizer), folder)


def train_further(
    policy: CausalPolicy, chats: Sequence[Chat], folder: Path, seed: int, settings: FirstPolicySettings
) -> None:
    """Train a policy of any size on more chats, or plain texts, and save it to `folder`; the tokenizer stays.

    Of the settings those of training count, not those of size. `policy` itself is changed.

    Raises:
        InvalidData: chats and plain text are mixed, or there is nothing to learn from.
    """
    _is_chat(chats)
    examples = [_example(policy.tokenizer, chat, settings) for chat in chats]
    _train(policy.model, examples, Random(seed), settings, lambda step, steps, loss: None)
    save_causal(CausalPolicy(policy.model.eval(), policy.tokenizer), folder)


def build_model(tokenizer: PreTrainedTokenizerBase, settings: FirstPolicySettings) -> PreTrainedModel:
    """Return an untrained Llama with tied embeddings, sized for the tokenizer."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=settings.feed_forward,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        max_position_embeddings=settings.max_tokens,
        initializer_range=settings.initializer_range,
        tie_word_embeddings=True,
        attention_dropout=0.0,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def _is_chat(chats: Sequence[Chat]) -> bool:
    plain = sum(chat[0].role == "" for chat in chats)
    if not chats or plain not in (0, len(chats)):
        raise InvalidData("data", "mix of chats and plain text, or no rows: give one of the two")
    return plain == 0


def _example(tokenizer: PreTrainedTokenizerBase, chat: Chat, settings: FirstPolicySettings) -> _Example:
    """Encode turn by turn with the very functions that serving uses, so that both see the same tokens."""
    ids: list[int] = []
    weights: list[float] = []
    if chat[0].role == "":
        ids = [int(tokenizer.bos_token_id), *encode_reply(tokenizer, chat[0].content.strip())]
        weights = [1.0] * len(ids)
    for i, turn in enumerate(chat):
        if turn.role == "assistant" and i > 0:
            prompt = encode_prompt(tokenizer, chat[:i], max_tokens=1_000_000)
            reply = encode_reply(tokenizer, turn.content.strip())
            weights += [settings.prompt_weight] * (len(prompt) - len(ids)) + [1.0] * len(reply)
            ids = prompt + reply
    return _Example(ids[: settings.max_tokens], weights[: settings.max_tokens])


def _train(
    model: PreTrainedModel,
    examples: Sequence[_Example],
    rng: Random,
    settings: FirstPolicySettings,
    step_done: StepDone,
) -> None:
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings))
    batches = _batches(examples, rng, settings.batch_rows)
    model.train()
    for step in range(settings.steps):
        loss = _weighted_loss(model, *next(batches))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        step_done(step + 1, settings.steps, loss.item())


def _rate(step: int, settings: FirstPolicySettings) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))


def _batches(examples: Sequence[_Example], rng: Random, batch_rows: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (ids_BT, weights_BT) without end; rows of like length share a batch, so that little is padding."""
    while True:
        order = list(range(len(examples)))
        rng.shuffle(order)
        for start in range(0, len(order), batch_rows * 16):
            pool = sorted(order[start : start + batch_rows * 16], key=lambda i: len(examples[i].ids))
            batches = [pool[at : at + batch_rows] for at in range(0, len(pool), batch_rows)]
            rng.shuffle(batches)
            yield from (_pad([examples[i] for i in rows]) for rows in batches)


def _pad(rows: Sequence[_Example]) -> tuple[Tensor, Tensor]:
    """Pad on the right: causal attention never looks there, and weight 0 keeps it out of the loss."""
    T = max(len(row.ids) for row in rows)
    ids_BT = torch.tensor([row.ids + [0] * (T - len(row.ids)) for row in rows])
    weights_BT = torch.tensor([row.weights + [0.0] * (T - len(row.weights)) for row in rows])
    return ids_BT, weights_BT


def _weighted_loss(model: PreTrainedModel, ids_BT: Tensor, weights_BT: Tensor) -> Tensor:
    """Weighted mean negative log-probability of each next token, in nats."""
    logits_BTV = model(input_ids=ids_BT, use_cache=False).logits[:, :-1].float()
    losses = F.cross_entropy(logits_BTV.flatten(0, 1), ids_BT[:, 1:].flatten(), reduction="none")
    weights = weights_BT[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum().clamp(min=1e-6)
