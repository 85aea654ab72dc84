"""PPO for `generate`: sample replies, score them, step, until the policy pleases more and has drifted little.

Shapes: B replies, R longest reply, N reply tokens of some rows together.
The recipe follows Huang et al. 2024, "The N+ implementation details of RLHF with PPO", arXiv 2403.17031.

Several workers (`workers/port.py`) split every batch: each samples, scores and steps on its share of the rows, and all
know all rollouts, so that what is taken over all of them (whitening, the KL, the number of tokens) is what one worker
would have taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from thumbwheel.errors import NotEnoughData
from thumbwheel.policy.loading import CausalPolicy, load_causal, save_causal
from thumbwheel.policy.prompt import end_token_id
from thumbwheel.ppo.advantages import generalised_advantages, whiten
from thumbwheel.ppo.checkpoint import Checkpoint
from thumbwheel.ppo.generate.liked import add_liked_gradient, draw_liked
from thumbwheel.ppo.generate.rollout import Sampling, draws, replies_by
from thumbwheel.ppo.generate.sequences import TokenIds, forward_tokens, of_like_length, pack_right
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.generate.training_state import TrainingState, initial_state, set_learning_rate
from thumbwheel.ppo.losses import clipped_policy_loss, clipped_value_loss, kl_k1, squared_drift
from thumbwheel.ppo.metrics import Metrics, RoundDone
from thumbwheel.reward.rated_reply import RatedReply
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers, add_up_figures, add_up_gradients, share

# Rows run together; what matters for speed is that they are of like length.
_ROWS = 16


# A reply without an end scores at most this, one deviation below the mean, less the penalty: else a policy that is cut
# off learns to promise without end. Huang et al. pay a fixed -1; below that, here, worse replies still score less.
_CEILING_UNFINISHED = -1.0

_STEP_FIGURES = ("loss/policy", "loss/value", "loss/anchor", "policy/clipfrac", "policy/approxkl", "val/ratio")


class Scorer(Protocol):
    """What judges replies: a reward model, or a rule. On served ones scores have a mean near 0, a deviation near 1."""

    def __call__(self, prompts: Sequence[TokenIds], replies: Sequence[TokenIds]) -> Sequence[float]:
        """Return one score for each reply."""


@dataclass(frozen=True, slots=True)
class Improvement:
    """The candidate's folder, and the metrics of each iteration."""

    folder: Path
    history: tuple[Metrics, ...]


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


def improve_generate(  # noqa: PLR0913 - the inputs of a run, each with its own source
    champion: Path,
    scorer: Scorer,
    prompts: Sequence[TokenIds],
    out: Path,
    *,
    seed: int,
    liked: Sequence[RatedReply] = (),
    settings: PpoSettings | None = None,
    checkpoint: Path | None = None,
    round_done: RoundDone = lambda done, total, metrics: None,
    workers: Workers | None = None,
) -> Improvement:
    """Improve the policy in folder `champion` on logged `prompts`, and save the candidate to `out`.

    `liked` are replies to hold likely: those users liked. Without any, the reward alone decides. All `workers` call
    this with the same inputs; the first of them writes.

    The same inputs, seed and number of workers give the same candidate, also when the run was killed and goes on from
    `checkpoint`: every iteration draws from random states of its own, made from seed and iteration.

    Raises:
        NotEnoughData: fewer than `settings.least_prompts` prompts.
        DamagedArtifact: the champion can not be read.
    """
    settings = settings or PpoSettings()
    check_prompts(prompts, settings)
    reference = load_causal(champion)
    state = initial_state(load_causal(champion), settings, workers or Alone())
    saved = Checkpoint(checkpoint, workers=state.workers) if checkpoint else None
    history: list[Metrics] = []
    if saved and (before := saved.restore(state.optimizer)) is not None:
        state.kl.beta, history = before["beta"], before["history"]
    for iteration in range(len(history), settings.iterations):
        set_learning_rate(state, iteration, settings)
        rollouts, facts = collect(state, reference, scorer, prompts, seed, iteration, settings)
        steps = update(state, rollouts, liked, f"{seed} {iteration}", settings)
        state.kl.update(facts["objective/kl"], settings.episodes)
        history.append({**facts, **steps, "episode": float((iteration + 1) * settings.episodes)})
        round_done(iteration + 1, settings.iterations, history[-1])
        if saved and (iteration + 1) % settings.checkpoint_every == 0:
            saved.save(state.optimizer, {"beta": state.kl.beta, "history": history})
    if state.workers.rank == 0:
        save_causal(state.policy, out)
    return Improvement(out, tuple(history))


def check_prompts(prompts: Sequence[TokenIds], settings: PpoSettings) -> None:
    """Raise NotEnoughData, saying how many there are and how many it takes."""
    if len(prompts) < settings.least_prompts:
        raise NotEnoughData(f"{len(prompts)} prompts, it takes {settings.least_prompts}: collect more requests")


@torch.no_grad()
def collect(
    state: TrainingState,
    reference: CausalPolicy,
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
    """
    rng = Random(f"prompts {seed} {iteration}")
    asked = [prompts[i] for i in _draw(len(prompts), settings.episodes, rng)]
    generator = torch.Generator().manual_seed(rng.getrandbits(63))
    end_id = end_token_id(state.policy.tokenizer)
    sampling = Sampling(end_id, settings.temperature, settings.max_new_tokens)
    replies = _sample(state, asked, sampling, draws(len(asked), sampling, generator))
    old = _remember(state, state.policy.model, state.value_head, asked, replies, settings.temperature)
    anchor = _remember(state, reference.model, None, asked, replies, settings.temperature)
    mask_BR, logprobs_BR, values_BR = old.mask_BR, old.logprobs_BR, old.values_BR
    penalty_BR = kl_k1(logprobs_BR, anchor.logprobs_BR) * mask_BR
    finished_B = torch.tensor([reply[-1] == end_id for reply in replies])
    scores_B = _score(scorer, asked, replies, state.workers)
    paid_B = torch.where(finished_B, scores_B, scores_B.clamp(max=_CEILING_UNFINISHED) - settings.unfinished_penalty)
    rewards_BR = token_rewards(paid_B, penalty_BR, mask_BR, state.kl.beta)
    advantages_BR, returns_BR = generalised_advantages(rewards_BR, values_BR, mask_BR, settings.gamma, settings.lam)
    rollouts = Rollouts(
        asked,
        replies,
        mask_BR,
        logprobs_BR,
        values_BR,
        whiten(advantages_BR, mask_BR),
        returns_BR,
        anchor.prompts,
    )
    return rollouts, {
        "objective/kl": float(penalty_BR.sum(-1).mean()),
        "objective/scores": float(scores_B.mean()),
        "objective/rlhf_reward": float(rewards_BR.sum(-1).mean()),
        "objective/entropy": float(-logprobs_BR.sum(-1).mean()),
        "val/eos_share": float(finished_B.float().mean()),
        "val/reply_tokens": float(mask_BR.sum(-1).float().mean()),
        "beta": state.kl.beta,
        "lr": float(state.optimizer.param_groups[0]["lr"]),
    }


def token_rewards(scores_B: Tensor, penalty_BR: Tensor, mask_BR: Tensor, beta: float) -> Tensor:
    """Return -beta penalty at every real token, plus the score at the last one. (B, R)."""
    rewards_BR = -beta * penalty_BR * mask_BR
    last_B1 = mask_BR.sum(-1, keepdim=True) - 1
    return rewards_BR.scatter_add(1, last_B1, scores_B.unsqueeze(-1))


def update(
    state: TrainingState, rollouts: Rollouts, liked: Sequence[RatedReply], seed: str, settings: PpoSettings
) -> dict[str, float]:
    """Take `epochs` passes over the rollouts in minibatches; stop early when an epoch moved too far.

    Liked replies are drawn from a random state of their own, so that the minibatches don't depend on them.
    Returns the means over all steps, and `val/first_ratio`: the ratio in the very first minibatch, which is 1.
    """
    rng, rng_liked = Random(f"update {seed}"), Random(f"liked {seed}")
    liked = liked if settings.liked_weight > 0 else ()
    steps: list[dict[str, float]] = []
    for _ in range(settings.epochs):
        order = list(range(len(rollouts.replies)))
        rng.shuffle(order)
        starts = range(0, len(order), settings.minibatch)
        epoch = [
            step(
                state,
                rollouts,
                order[at : at + settings.minibatch],
                draw_liked(liked, settings.liked_rows, rng_liked),
                settings,
            )
            for at in starts
        ]
        steps += epoch
        if sum(facts["policy/approxkl"] for facts in epoch) / len(epoch) > settings.max_update_kl:
            break
    means = {name: sum(facts[name] for facts in steps) / len(steps) for name in steps[0]}
    return {**means, "val/first_ratio": steps[0]["val/ratio"], "val/steps": float(len(steps))}


def step(
    state: TrainingState, rollouts: Rollouts, rows: Sequence[int], liked: Sequence[RatedReply], settings: PpoSettings
) -> dict[str, float]:
    """Take one optimiser step on some rows of the rollouts, and on liked replies where there are any.

    Each worker's rows run in groups of like length; every mean is over the tokens of all rows of all workers, so the
    groups add up to it.
    """
    parameters = state.optimizer.param_groups[0]["params"]
    state.optimizer.zero_grad()
    facts = add_up_figures(_add_gradients(state, rollouts, rows, liked, settings), state.workers)
    add_up_gradients(parameters, state.workers)
    nn.utils.clip_grad_norm_(parameters, settings.max_gradient_norm)
    state.optimizer.step()
    return facts


def _add_gradients(
    state: TrainingState, rollouts: Rollouts, rows: Sequence[int], liked: Sequence[RatedReply], settings: PpoSettings
) -> dict[str, float]:
    """Add the gradient of this worker's share of a step; return its share of the step's figures."""
    counts = int(rollouts.mask_BR[list(rows)].sum()), sum(len(rollouts.reference_prompts[i]) for i in rows)
    facts = dict.fromkeys(_STEP_FIGURES, 0.0)
    for group in of_like_length(share(rows, state.workers), rollouts.prompts, rollouts.replies, _ROWS):
        part = _add_gradient(state, rollouts, group, counts, settings)
        facts = {name: facts[name] + part[name] for name in facts}
    if liked:
        weight = settings.liked_weight
        facts["loss/liked"] = add_liked_gradient(state.policy.model, liked, weight, _ROWS, state.workers)
    return facts


def _add_gradient(
    state: TrainingState, rollouts: Rollouts, rows: Sequence[int], counts: tuple[int, int], settings: PpoSettings
) -> dict[str, float]:
    """Add the gradient of some rows' share in the losses; `counts`: reply and prompt tokens of the whole step."""
    index, reply_count = torch.tensor(rows), torch.tensor(counts[0])
    batch = pack_right([rollouts.prompts[i] for i in rows], [rollouts.replies[i] for i in rows])
    outputs = forward_tokens(state.policy.model, batch, settings.temperature)
    mask_BR = rollouts.mask_BR[index]
    everything_N = torch.ones_like(outputs.reply_logprobs_N, dtype=torch.bool)
    policy = clipped_policy_loss(
        outputs.reply_logprobs_N,
        rollouts.logprobs_BR[index][mask_BR],
        rollouts.advantages_BR[index][mask_BR],
        everything_N,
        settings.clip,
        reply_count,
    )
    value = clipped_value_loss(
        state.value_head(outputs.hidden_ND).squeeze(-1),
        rollouts.values_BR[index][mask_BR],
        rollouts.returns_BR[index][mask_BR],
        everything_N,
        settings.value_clip,
        reply_count,
    )
    reference_M = torch.cat([rollouts.reference_prompts[i] for i in rows])
    drift = squared_drift(outputs.prompt_logprobs_M, reference_M).sum() / max(1, counts[1])
    (policy.loss + settings.value_weight * value + settings.anchor_weight * drift).backward()  # type: ignore[no-untyped-call]
    return {
        "loss/policy": policy.loss.item(),
        "loss/value": value.item(),
        "loss/anchor": drift.item(),
        "policy/clipfrac": float(policy.clip_fraction),
        "policy/approxkl": float(policy.approx_kl),
        "val/ratio": float(policy.mean_ratio),
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Memory:
    """What a policy thought of replies and prompts. (B, R) is 0 on padding; `prompts` holds one tensor a row.

    The workers have each thought of their share, and added up.
    """

    mask_BR: Tensor
    logprobs_BR: Tensor
    values_BR: Tensor
    prompts: Sequence[Tensor]


def _remember(
    state: TrainingState,
    model: PreTrainedModel,
    value_head: nn.Linear | None,
    prompts: Sequence[TokenIds],
    replies: Sequence[TokenIds],
    temperature: float,
) -> _Memory:
    lengths = torch.tensor([len(reply) for reply in replies])
    mask_BR = torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
    logprobs_BR, values_BR = torch.zeros(mask_BR.shape), torch.zeros(mask_BR.shape)
    before_B = [len(prompt) - 1 for prompt in prompts]
    of_prompts_BP = torch.zeros(len(prompts), max(before_B))
    for rows in of_like_length(share(range(len(prompts)), state.workers), prompts, replies, _ROWS):
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
    return _Memory(mask_BR, logprobs_BR, values_BR, of_prompts)


def _sample(
    state: TrainingState, prompts: Sequence[TokenIds], sampling: Sampling, uniform_BR: Tensor
) -> list[list[int]]:
    """The replies to all prompts; each worker samples its share."""
    ids_BR = torch.zeros(uniform_BR.shape, dtype=torch.long)
    lengths_B = torch.zeros(len(prompts), dtype=torch.long)
    mine = share(range(len(prompts)), state.workers)
    replies = replies_by(state.policy.model, [prompts[i] for i in mine], sampling, uniform_BR[mine])
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
    return scores_B


def _draw(available: int, wanted: int, rng: Random) -> list[int]:
    """Draw without repetition while there is enough, else with."""
    if wanted <= available:
        return rng.sample(range(available), wanted)
    return rng.choices(range(available), k=wanted)
