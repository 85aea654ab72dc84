"""What PPO has to beat: supervision on thumbs-up replies alone, and the best of n samples.

Shapes: B replies, R longest reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from transformers import PreTrainedModel

from thumbwheel.errors import NotEnoughData
from thumbwheel.policy.loading import load_causal, save_causal
from thumbwheel.policy.scoring import pack, reply_logprobs
from thumbwheel.ppo.advantages import masked_mean
from thumbwheel.ppo.generate.collect import Scorer
from thumbwheel.ppo.generate.rollout import Sampling, sample_replies
from thumbwheel.ppo.generate.sequences import TokenIds


@dataclass(frozen=True, slots=True)
class SupervisionSettings:
    """How the policy is tuned on replies that pleased."""

    epochs: int = 3
    batch_rows: int = 32
    learning_rate: float = 3e-4


def supervise_generate(
    champion: Path,
    prompts: Sequence[TokenIds],
    replies: Sequence[TokenIds],
    out: Path,
    seed: int,
    settings: SupervisionSettings | None = None,
) -> float:
    """Tune the champion on replies with a thumb up by their likelihood, save to `out`; return the last loss, in nats.

    Raises:
        NotEnoughData: there are no replies.
    """
    settings = settings or SupervisionSettings()
    if not replies:
        raise NotEnoughData("no thumbs up, it takes at least one: collect more feedback")
    policy = load_causal(champion)
    optimizer = torch.optim.Adam(policy.model.parameters(), lr=settings.learning_rate, eps=1e-5)
    rng = Random(f"supervise {seed}")
    last = float("nan")
    for _ in range(settings.epochs):
        order = rng.sample(range(len(replies)), len(replies))
        for at in range(0, len(order), settings.batch_rows):
            rows = order[at : at + settings.batch_rows]
            batch = pack([prompts[i] for i in rows], [replies[i] for i in rows])
            loss = -masked_mean(reply_logprobs(policy.model, batch, 1.0), batch.reply_mask_BR)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            last = loss.item()
    save_causal(policy, out)
    return last


def best_of_n(
    model: PreTrainedModel,
    scorer: Scorer,
    prompts: Sequence[TokenIds],
    n: int,
    sampling: Sampling,
    generator: torch.Generator,
) -> list[list[int]]:
    """Sample n replies a prompt and return the one that `scorer` likes best. Serving it costs n times."""
    best: list[tuple[float, list[int]]] = [(-float("inf"), []) for _ in prompts]
    for _ in range(n):
        replies = sample_replies(model, prompts, sampling, generator)
        for i, (score, reply) in enumerate(zip(scorer(prompts, replies), replies, strict=True)):
            if score > best[i][0]:
                best[i] = (score, reply)
    return [reply for _, reply in best]
