"""The rollouts of PPO for `generate`: fresh replies, what they are worth, and what the policy thought of them.

Shapes: B replies, R longest reply, N reply tokens of some rows together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from thumbwheel.errors import Unlearnable
from thumbwheel.policy.prompt import end_token_id
from thumbwheel.ppo.advantages import generalised_advantages, whiten
from thumbwheel.ppo.generate.rollout import Sampling, draws
from thumbwheel.ppo.generate.sequences import ROWS, TokenIds, forward_tokens, of_like_length, pack_right
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.generate.training_state import TrainingState
from thumbwheel.ppo.losses import kl_k1
from thumbwheel.workers.port import Workers, share

# A reply without an end scores at most this, one deviation below the mean, less the penalty: else a policy that is cut
# off learns to promise without end. Huang et al. pay a fixed -1; below that, here, worse replies still score less.
_CEILING_UNFINISHED = -1.0


class Scorer(Protocol):
    """What judges replies: a reward model, or a rule. On served ones scores have a mean near 0, a deviation near 1."""

    def __call__(self, prompts: Sequence[TokenIds], replies: Sequence[TokenIds]) -> Sequence[float]:
        """Return one score for each reply."""


@dataclass(frozen=True, slots=True, eq=False)
class Rollouts:
    """One iteration's replies with what the policy thought when it wrote them. Everything (B, R) is 0 on padding.

    `reference_prompts` has, a row, the reference's log-probabilities of the prompt's tokens but the first.
    """

    prompts: Sequence[TokenIds]
    replies: Sequence[TokenIds]
    mask_BR: Tensor
    logprobs_BR: Tensor
    values_BR: Tensor
    advantages_BR: Tensor
    returns_BR: Tensor
    reference_prompts: Sequence[Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What a policy thought of replies and prompts. (B, R) is 0 on padding; `prompts` holds one tensor a row.

    The workers have each thought of their share, and added up.
    """

    mask_BR: Tensor
    logprobs_BR: Tensor
    values_BR: Tensor
    prompts: Sequence[Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class JudgedReplies:
    """Fresh replies and what they are worth, before anything is made of it.

    `paid_B` is the score by the rule for replies without an end; `penalty_BR` is log pi - log pi_ref, 0 on padding.
    """

    replies: Sequence[TokenIds]
    policy: Memory
    reference: Memory
    finished_B: Tensor
    scores_B: Tensor
    paid_B: Tensor
    penalty_BR: Tensor


@torch.no_grad()
def judged_replies(
    state: TrainingState,
    scorer: Scorer,
    prompts: Sequence[TokenIds],
    generator: torch.Generator,
    settings: PpoSettings,
) -> JudgedReplies:
    """Sample one reply for each prompt by draws from `generator`, and score it: all workers know all.

    Raises:
        Unlearnable: a score is no number.
    """
    end_id = end_token_id(state.policy.tokenizer)
    sampling = Sampling(end_id, settings.temperature, settings.max_new_tokens)
    replies = _sample(state, prompts, sampling, draws(len(prompts), sampling, generator))
    own = _remember(state, state.policy.model, state.value_head, prompts, replies, settings.temperature)
    with state.trainee.reference() as champion:
        reference = _remember(state, champion, None, prompts, replies, settings.temperature)
    finished_B = torch.tensor([reply[-1] == end_id for reply in replies])
    scores_B = _score(scorer, prompts, replies, state.workers)
    unfinished_B = scores_B.clamp(max=_CEILING_UNFINISHED) - settings.unfinished_penalty
    paid_B = torch.where(finished_B, scores_B, unfinished_B)
    penalty_BR = kl_k1(own.logprobs_BR, reference.logprobs_BR) * own.mask_BR
    return JudgedReplies(replies, own, reference, finished_B, scores_B, paid_B, penalty_BR)


@torch.no_grad()
def collect(
    state: TrainingState,
    scorer: Scorer,
    prompts: Sequence[TokenIds],
    seed: int,
    iteration: int,
    settings: PpoSettings,
) -> tuple[Rollouts, dict[str, float]]:
    """Sample one reply for each of `episodes` prompts, score them, and estimate advantages: all workers know all.

    Old, new and reference log-probabilities all come from the training scorer, in float32; a reply's at the temperature
    it was sampled at, a prompt's at 1. The score is paid at the last real token; every token pays
    beta (log pi - log pi_ref).

    Raises:
        Unlearnable: a score is no number.
    """
    rng = Random(f"prompts {seed} {iteration}")
    asked = [prompts[i] for i in _draw(len(prompts), settings.episodes, rng)]
    judged = judged_replies(state, scorer, asked, torch.Generator().manual_seed(rng.getrandbits(63)), settings)
    mask_BR, logprobs_BR, values_BR = judged.policy.mask_BR, judged.policy.logprobs_BR, judged.policy.values_BR
    rewards_BR = token_rewards(judged.paid_B, judged.penalty_BR, mask_BR, state.kl.beta)
    advantages_BR, returns_BR = generalised_advantages(rewards_BR, values_BR, mask_BR, settings.gamma, settings.lam)
    rollouts = Rollouts(
        asked,
        judged.replies,
        mask_BR,
        logprobs_BR,
        values_BR,
        whiten(advantages_BR, mask_BR),
        returns_BR,
        judged.reference.prompts,
    )
    return rollouts, {
        "objective/kl": float(judged.penalty_BR.sum(-1).mean()),
        "objective/scores": float(judged.scores_B.mean()),
        "objective/rlhf_reward": float(rewards_BR.sum(-1).mean()),
        "objective/entropy": float(-logprobs_BR.sum(-1).mean()),
        "val/eos_share": float(judged.finished_B.float().mean()),
        "val/reply_tokens": float(mask_BR.sum(-1).float().mean()),
        "beta": state.kl.beta,
        "lr": float(state.optimizer.param_groups[0]["lr"]),
    }


def token_rewards(scores_B: Tensor, penalty_BR: Tensor, mask_BR: Tensor, beta: float) -> Tensor:
    """Return -beta penalty at every real token, plus the score at the last one. (B, R)."""
    rewards_BR = -beta * penalty_BR * mask_BR
    last_B1 = mask_BR.sum(-1, keepdim=True) - 1
    return rewards_BR.scatter_add(1, last_B1, scores_B.unsqueeze(-1))


def _remember(
    state: TrainingState,
    model: PreTrainedModel,
    value_head: nn.Linear | None,
    prompts: Sequence[TokenIds],
    replies: Sequence[TokenIds],
    temperature: float,
) -> Memory:
    lengths = torch.tensor([len(reply) for reply in replies])
    mask_BR = torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
    logprobs_BR, values_BR = torch.zeros(mask_BR.shape), torch.zeros(mask_BR.shape)
    before_B = [len(prompt) - 1 for prompt in prompts]
    of_prompts_BP = torch.zeros(len(prompts), max(before_B))
    for rows in of_like_length(share(range(len(prompts)), state.workers), prompts, replies, ROWS):
        outputs = forward_tokens(model, pack_right([prompts[i] for i in rows], [replies[i] for i in rows]), temperature)
        index = torch.tensor(rows)
        logprobs_BR[index] = logprobs_BR[index].masked_scatter(mask_BR[index], outputs.reply_logprobs_N)
        if value_head is not None:
            values_N = value_head(outputs.hidden_ND).squeeze(-1)
            values_BR[index] = values_BR[index].masked_scatter(mask_BR[index], values_N)
        parts = torch.split(outputs.prompt_logprobs_M, [before_B[i] for i in rows])
        for row, part in zip(rows, parts, strict=True):
            of_prompts_BP[row, : len(part)] = part
    state.workers.add_up(logprobs_BR, values_BR, of_prompts_BP)
    of_prompts = [row[:length] for row, length in zip(of_prompts_BP, before_B, strict=True)]
    return Memory(mask_BR, logprobs_BR, values_BR, of_prompts)


def _sample(
    state: TrainingState, prompts: Sequence[TokenIds], sampling: Sampling, uniform_BR: Tensor
) -> list[list[int]]:
    """The replies to all prompts; each worker samples its share."""
    ids_BR = torch.zeros(uniform_BR.shape, dtype=torch.long)
    lengths_B = torch.zeros(len(prompts), dtype=torch.long)
    mine = share(range(len(prompts)), state.workers)
    replies = state.replies([prompts[i] for i in mine], sampling, uniform_BR[mine])
    for row, reply in zip(mine, replies, strict=True):
        ids_BR[row, : len(reply)] = torch.tensor(reply)
        lengths_B[row] = len(reply)
    state.workers.add_up(ids_BR, lengths_B)
    return [ids[:length] for ids, length in zip(ids_BR.tolist(), lengths_B.tolist(), strict=True)]


def _score(scorer: Scorer, prompts: Sequence[TokenIds], replies: Sequence[TokenIds], workers: Workers) -> Tensor:
    """The scores of all replies, (B,); each worker scores its share."""
    scores_B = torch.zeros(len(replies))
    if mine := share(range(len(replies)), workers):
        scores_B[mine] = torch.tensor(list(scorer([prompts[i] for i in mine], [replies[i] for i in mine])))
    workers.add_up(scores_B)
    if not bool(scores_B.isfinite().all()):
        wrong = int((~scores_B.isfinite()).sum())
        raise Unlearnable(
            f"the reward model gives no number (NaN or infinite) for {wrong} of {len(scores_B)} replies: there is "
            "nothing to learn from; start another run, and if it ends the same look at the champion's weights"
        )
    return scores_B


def _draw(available: int, wanted: int, rng: Random) -> list[int]:
    """Draw without repetition while there is enough, else with."""
    if wanted <= available:
        return rng.sample(range(available), wanted)
    return rng.choices(range(available), k=wanted)
