"""Replies users liked, held likely while the policy learns to please: what is good already shall not be unlearned.

Shapes: N reply tokens of some rows together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Protocol

import torch
from transformers import PreTrainedModel

from thumbwheel.ppo.generate.sequences import forward_tokens, of_like_length, pack_right
from thumbwheel.reward.rated_reply import RatedReply
from thumbwheel.workers.port import Workers, share


class Held(Protocol):
    """A reply that is to be likely after its prompt."""

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """The prompt's tokens; there is one."""

    @property
    def reply_ids(self) -> tuple[int, ...]:
        """The reply's tokens; there is one."""


def liked_replies(rated: Iterable[RatedReply]) -> list[RatedReply]:
    """Return the learnable replies that their rater rather liked, and that answer something."""
    return [row for row in rated if row.learnable and row.target > 0.5 and row.prompt_ids]


def draw_liked(liked: Sequence[RatedReply], count: int, rng: Random) -> list[RatedReply]:
    """Draw `count` with repetition, each as often as its weight says; none where there are none."""
    return rng.choices(liked, weights=[row.weight for row in liked], k=count) if liked else []


def add_likelihood_gradient(
    model: PreTrainedModel, held: Sequence[Held], weight: float, group_rows: int, workers: Workers
) -> float:
    """Add `weight` times the gradient of E[-log pi(token)] over all tokens of the replies; return that mean, in nats.

    Both are this worker's part of a sum over all `workers`.

    The pretraining term of PPO-ptx (Ouyang et al. 2022, arXiv 2203.02155, eq. 2), here on replies users liked, or
    wrote. It is a likelihood of texts, so at temperature 1, whatever replies are sampled at; the gate on forgetting
    measures the same. Rows run in groups of at most `group_rows`, of like length.
    """
    prompts, replies = [row.prompt_ids for row in held], [row.reply_ids for row in held]
    tokens, nats = sum(map(len, replies)), 0.0
    for rows in of_like_length(share(range(len(held)), workers), prompts, replies, group_rows):
        batch = pack_right([prompts[i] for i in rows], [replies[i] for i in rows])
        loss = -forward_tokens(model, batch, temperature=1.0).reply_logprobs_N.sum() / tokens
        torch.mul(loss, weight).backward()  # type: ignore[no-untyped-call]
        nats += loss.item()
    return nats
