"""PPO for `generate`: sample replies, score them, step, until the policy pleases more and has drifted little.

Shapes: B replies, R longest reply, N reply tokens of some rows together.
The recipe follows Huang et al. 2024, "The N+ implementation details of RLHF with PPO", arXiv 2403.17031.

Several workers (`workers/port.py`) split every batch: each samples, scores and steps on its share of the rows, and all
know all rollouts, so that what is taken over all of them (whitening, the KL, the number of tokens) is what one worker
would have taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from thumbwheel.errors import NotEnoughData, Unlearnable
from thumbwheel.policy.loading import CausalPolicy, save_causal
from thumbwheel.ppo.checkpoint import Checkpoint
from thumbwheel.ppo.generate.collect import Rollouts, Scorer, collect
from thumbwheel.ppo.generate.engine_rollout import EngineSampler
from thumbwheel.ppo.generate.held_out import Evaluation, best, evaluate, is_due, is_over, set_aside
from thumbwheel.ppo.generate.liked import Held, add_likelihood_gradient, draw_liked
from thumbwheel.ppo.generate.sequences import ROWS, TokenIds, forward_tokens, of_like_length, pack_right
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.generate.trainee import trainee_of
from thumbwheel.ppo.generate.training_state import TrainingState, initial_state, set_learning_rate
from thumbwheel.ppo.losses import clipped_policy_loss, clipped_value_loss, squared_drift
from thumbwheel.ppo.metrics import Metrics, RoundDone
from thumbwheel.reward.rated_reply import RatedReply
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers, add_up_figures, add_up_gradients, share

Prompt = TypeVar("Prompt", bound=TokenIds)

_STEP_FIGURES = ("loss/policy", "loss/value", "loss/anchor", "policy/clipfrac", "policy/approxkl", "val/ratio")


@dataclass(frozen=True, slots=True)
class Improvement:
    """The candidate's folder, the metrics of each iteration, and how the candidate was chosen.

    `iteration` is the one after which the policy was taken, by the evaluations on prompts set aside. Of `weights` that
    the policy has, `learned` were changed, or, with adapters, stand for those.
    """

    folder: Path
    history: tuple[Metrics, ...]
    evaluations: tuple[Evaluation, ...]
    iteration: int
    learned: int
    weights: int


@dataclass(slots=True)
class _Course:
    """How an update went so far, and the best state there was."""

    history: list[Metrics] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    kept: dict[str, Tensor] = field(default_factory=dict)

    @property
    def iteration(self) -> int:
        """The iteration whose state is taken: the best evaluated one, else the last."""
        top = best(self.evaluations)
        return top.iteration if top else len(self.history)

    def add(self, evaluation: Evaluation, state: TrainingState) -> None:
        """Take in an evaluation; keep a copy of the state if it is the best."""
        self.evaluations.append(evaluation)
        if best(self.evaluations) is evaluation:
            self.kept = state.copy()


def improve_generate(  # noqa: PLR0913 - the inputs of a run, each with its own source
    champion: Path,
    scorer: Scorer,
    prompts: Sequence[TokenIds],
    out: Path,
    *,
    seed: int,
    liked: Sequence[RatedReply] = (),
    edits: Sequence[Held] = (),
    settings: PpoSettings | None = None,
    checkpoint: Path | None = None,
    round_done: RoundDone = lambda done, total, metrics: None,
    workers: Workers | None = None,
) -> Improvement:
    """Improve the policy in folder `champion` on logged `prompts`, and save the candidate to `out`.

    `liked` are replies to hold likely: those users liked; `edits` are replies as users corrected them. Without any, the
    reward alone decides. All `workers` call this with the same inputs; the first of them writes.

    The same inputs, seed and number of workers give the same candidate, also when the run was killed and goes on from
    `checkpoint`: every iteration draws from random states of its own, made from seed and iteration.

    Raises:
        NotEnoughData: fewer than `settings.least_prompts` prompts.
        Unlearnable: a score or a loss is no number.
        DamagedArtifact: the champion can not be read.
    """
    settings = settings or PpoSettings()
    state = initial_state(trainee_of(champion, settings, seed), settings, workers or Alone())
    state.engine = EngineSampler(champion) if settings.rollouts == "engine" else None
    prompts = fitting(prompts, state.policy, settings.max_new_tokens)
    check_prompts(prompts, settings)
    saved = Checkpoint(checkpoint, workers=state.workers) if checkpoint else None
    course = _restored(saved, state)
    taught, aside = set_aside(prompts, settings, seed)
    if aside and not course.evaluations:
        course.evaluations.append(evaluate(state, scorer, aside, 0, seed, settings))
    while len(course.history) < settings.iterations and not is_over(course.evaluations, settings):
        done = len(course.history) + 1
        course.history.append(_iterate(state, scorer, taught, (liked, edits), seed, settings, done))
        if is_due(done, settings):
            course.add(evaluate(state, scorer, aside, done, seed, settings), state)
        round_done(done, settings.iterations, course.history[-1])
        if saved and done % settings.checkpoint_every == 0:
            saved.save(state.optimizer, _facts(state, course), course.kept)
    return _ended(state, course, out)


def _iterate(
    state: TrainingState,
    scorer: Scorer,
    prompts: Sequence[TokenIds],
    held: tuple[Sequence[RatedReply], Sequence[Held]],
    seed: int,
    settings: PpoSettings,
    done: int,
) -> Metrics:
    """The iteration that makes `done` of them: replies, and steps on them. `held` are replies liked, and edits."""
    set_learning_rate(state, done - 1, settings)
    rollouts, facts = collect(state, scorer, prompts, seed, done - 1, settings)
    steps = update(state, rollouts, *held, f"{seed} {done - 1}", settings)
    state.kl.update(facts["objective/kl"], settings.episodes)
    return {**facts, **steps, "episode": float(done * settings.episodes)}


def _facts(state: TrainingState, course: _Course) -> dict[str, Any]:
    evaluations = [asdict(evaluation) for evaluation in course.evaluations]
    return {"beta": state.kl.beta, "history": course.history, "evaluations": evaluations}


def _restored(saved: Checkpoint | None, state: TrainingState) -> _Course:
    """What there was when the update was killed; the state goes back to it."""
    before = saved.restore(state.optimizer) if saved else None
    if saved is None or before is None:
        return _Course()
    state.kl.beta = before["beta"]
    evaluations = [Evaluation(**{**one, "rewards_B": tuple(one["rewards_B"])}) for one in before["evaluations"]]
    return _Course(before["history"], evaluations, saved.kept())


def _ended(state: TrainingState, course: _Course, out: Path) -> Improvement:
    """Save the policy that is taken, and tell how it came about."""
    learned, weights = state.counts
    if course.kept:
        state.put_back(course.kept)
    if state.workers.rank == 0:
        save_causal(state.trainee.whole(), out)
    return Improvement(
        out, tuple(course.history), tuple(course.evaluations), course.iteration, learned=learned, weights=weights
    )


def fitting(prompts: Iterable[Prompt], policy: CausalPolicy, max_new_tokens: int) -> list[Prompt]:
    """The prompts that leave room for a whole reply: an architecture may have no positions beyond its last."""
    return [prompt for prompt in prompts if len(prompt) + max_new_tokens <= policy.max_tokens]


def check_prompts(prompts: Sequence[TokenIds], settings: PpoSettings) -> None:
    """Raise NotEnoughData, saying how many there are and how many it takes."""
    if len(prompts) < settings.least_prompts:
        raise NotEnoughData(f"{len(prompts)} prompts, it takes {settings.least_prompts}: collect more requests")


def update(
    state: TrainingState,
    rollouts: Rollouts,
    liked: Sequence[RatedReply],
    edits: Sequence[Held],
    seed: str,
    settings: PpoSettings,
) -> dict[str, float]:
    """Take `epochs` passes over the rollouts in minibatches; stop early when an epoch moved too far.

    Liked replies and edits are drawn from random states of their own, so that the minibatches don't depend on them.
    Returns the means over all steps, and `val/first_ratio`: the ratio in the very first minibatch, which is 1.
    """
    rng, rng_liked, rng_edits = (Random(f"{what} {seed}") for what in ("update", "liked", "edits"))
    liked = liked if settings.liked_weight > 0 else ()
    edits = edits if settings.edit_weight > 0 else ()
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
                rng_edits.choices(edits, k=settings.edit_rows) if edits else (),
            )
            for at in starts
        ]
        steps += epoch
        if sum(facts["policy/approxkl"] for facts in epoch) / len(epoch) > settings.max_update_kl:
            break
    means = {name: sum(facts[name] for facts in steps) / len(steps) for name in steps[0]}
    return {**means, "val/first_ratio": steps[0]["val/ratio"], "val/steps": float(len(steps))}


def step(
    state: TrainingState,
    rollouts: Rollouts,
    rows: Sequence[int],
    liked: Sequence[RatedReply],
    settings: PpoSettings,
    edits: Sequence[Held] = (),
) -> dict[str, float]:
    """Take one optimiser step on some rows of the rollouts, and on liked replies and edits where there are any.

    Each worker's rows run in groups of like length; every mean is over the tokens of all rows of all workers, so the
    groups add up to it.

    Raises:
        Unlearnable: a loss or the gradient is no number; no weight has changed.
    """
    state.optimizer.zero_grad()
    figures = _add_gradients(state, rollouts, rows, settings)
    figures |= _add_held_gradients(state, liked, edits, settings)
    facts = add_up_figures(figures, state.workers)
    add_up_gradients(state.learned, state.workers)
    norm = nn.utils.clip_grad_norm_(state.learned, settings.max_gradient_norm)
    if not isfinite(sum(facts.values()) + float(norm)):
        raise Unlearnable(
            "a loss of PPO is no number (NaN or infinite): learning went astray; lower learn.learning_rate"
        )
    state.optimizer.step()
    return facts


def _add_gradients(
    state: TrainingState, rollouts: Rollouts, rows: Sequence[int], settings: PpoSettings
) -> dict[str, float]:
    """Add the gradient of this worker's share of the rows; return its share of their figures."""
    counts = int(rollouts.mask_BR[list(rows)].sum()), sum(len(rollouts.reference_prompts[i]) for i in rows)
    facts = dict.fromkeys(_STEP_FIGURES, 0.0)
    for group in of_like_length(share(rows, state.workers), rollouts.prompts, rollouts.replies, ROWS):
        part = _add_gradient(state, rollouts, group, counts, settings)
        facts = {name: facts[name] + part[name] for name in facts}
    return facts


def _add_held_gradients(
    state: TrainingState, liked: Sequence[Held], edits: Sequence[Held], settings: PpoSettings
) -> dict[str, float]:
    """Add the gradient of this worker's share of liked replies and edits; return its share of their nats."""
    terms = {"loss/liked": (liked, settings.liked_weight), "loss/edits": (edits, settings.edit_weight)}
    model, workers = state.policy.model, state.workers
    return {
        name: add_likelihood_gradient(model, held, weight, ROWS, workers)
        for name, (held, weight) in terms.items()
        if held
    }


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
