"""`generate` in a run: a reward model from votes, PPO on replies sampled afresh, and both versions side by side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.durable import write_whole
from thumbwheel.gates.evidence import GenerateEvidence, Latency, TextLosses
from thumbwheel.gates.probes import stereotype_replies, sycophancy_replies
from thumbwheel.policy.loading import CausalPolicy, load_causal, load_tokenizer
from thumbwheel.policy.prompt import decode_reply, end_token_id
from thumbwheel.policy.scoring import score_replies
from thumbwheel.ppo.generate.edits import EditedReply, edited_replies
from thumbwheel.ppo.generate.improve import check_prompts, fitting, improve_generate
from thumbwheel.ppo.generate.liked import liked_replies
from thumbwheel.ppo.generate.rollout import Sampling, sample_replies
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.records import GenerateAnswer, LoggedResponse, Split
from thumbwheel.retrain.choice import choice_of, held_out_curves, read_choice, told_choice
from thumbwheel.retrain.crew import run_work
from thumbwheel.retrain.draw import draw
from thumbwheel.retrain.latency import compare_latency
from thumbwheel.retrain.learner import Job, Measured
from thumbwheel.retrain.probing import leanings, not_finite_weights, reads_alike
from thumbwheel.retrain.report.data import Comparison, ReportData, Sample
from thumbwheel.retrain.report.samples import pick_samples
from thumbwheel.retrain.report_head import curves, report_head, save_history
from thumbwheel.retrain.reward_step import (
    fit_work,
    held_out_votes,
    learned_from,
    lessons_of,
    reward_fit,
    reward_of,
    reward_settings,
)
from thumbwheel.retrain.same_tokenizer import check_tokens
from thumbwheel.retrain.station import Station
from thumbwheel.retrain.worth_keeping import Passage, hand_on, nats, worth_keeping
from thumbwheel.reward.correction import Corrections
from thumbwheel.reward.fit import check_votes, measure
from thumbwheel.reward.model import RewardModel, load_reward
from thumbwheel.reward.rated_reply import RatedReply, rated_replies

MOST_PROMPTS = 400
TIMED_REQUESTS = 20

TokenIds = tuple[int, ...]

_CURVES = {
    "objective/scores": ("Reward", ""),
    "objective/kl": ("KL to the champion", "nats a reply"),
    "val/reply_tokens": ("Length", "tokens"),
    "objective/entropy": ("Entropy", "nats a reply"),
    "loss/value": ("Value loss", ""),
    "loss/liked": ("Surprise at replies users liked", "nats a token"),
    "policy/clipfrac": ("Clip fraction", "share"),
}


@dataclass(frozen=True, slots=True, eq=False)
class _SideBySide:
    """Both versions, and their replies to the same held-out prompts."""

    champion: CausalPolicy
    candidate: CausalPolicy
    prompts: Sequence[TokenIds]
    sampling: Sampling
    champion_replies: Sequence[Sequence[int]]
    candidate_replies: Sequence[Sequence[int]]


class GenerateLearner:
    """`Learner` for causal language models."""

    def fit(self, job: Job) -> Mapping[str, Any]:
        """The reward model, fitted to training users' votes of every kind and measured on held-out ones.

        Raises:
            NotEnoughData: too few votes, or of one sign only.
            Unlearnable: the champion reads texts by another tokenizer than those who answered them.
        """
        settings, (rows, told) = reward_settings(job), lessons_of(job)
        check_votes(rows, settings)
        champion = job.plan.parent
        check_tokens(load_tokenizer(job.champion), champion, job.snapshot.rows(Split.TRAIN))
        work = partial(fit_work, rows=rows, seed=job.plan.seed, settings=settings, reference=champion, told=told)
        run_work(job, work, job.folder.fit)
        held_out = rated_replies(job.snapshot.rows(Split.HELD_OUT))
        return asdict(measure(reward_of(job), held_out)) if held_out else {}

    def improve(self, job: Job) -> Mapping[str, Any]:
        """PPO against the reward model, on training users' prompts, with replies they liked held likely."""
        settings = _settings(job)
        prompts = _prompts(job.snapshot.rows(Split.TRAIN))
        check_prompts(prompts, settings)
        liked = liked_replies(rated_replies(job.snapshot.rows(Split.TRAIN)))
        edits = edited_replies(job.snapshot.rows(Split.TRAIN), Corrections(load_causal(job.champion)))
        work = partial(improve_work, prompts=prompts, liked=liked, edits=edits, seed=job.plan.seed, settings=settings)
        done = run_work(job, work, job.folder.candidate)
        hand_on(job.champion, job.folder.candidate)
        save_history(job.folder, done["history"])
        write_whole(job.folder.choice, json.dumps(done["choice"]))
        return dict(done["history"][done["choice"]["iteration"] - 1])

    def measure(self, job: Job) -> Measured:
        """Replies of both versions to held-out prompts, their scores, drift, and what was forgotten."""
        sides = _side_by_side(job)
        evidence = _evidence(job, sides, reward_of(job))
        return Measured(evidence, _report(job, evidence, _samples(job, sides, evidence)))


def improve_work(
    station: Station,
    prompts: Sequence[TokenIds],
    liked: Sequence[RatedReply],
    edits: Sequence[EditedReply],
    seed: int,
    settings: PpoSettings,
) -> Mapping[str, Any]:
    """What each worker does in `improve`. The reward model reads by a backbone of its own, never one that learns."""
    done = improve_generate(
        station.champion,
        load_reward(station.fit, load_causal(station.champion).model).scores,
        prompts,
        station.out,
        seed=seed,
        liked=liked,
        edits=edits,
        settings=settings,
        checkpoint=station.checkpoint,
        round_done=station.tell,
        workers=station.workers,
    )
    return {"history": done.history, "choice": choice_of(done, settings)}


def _answer(row: SnapshotRow) -> GenerateAnswer:
    assert isinstance(row.response.answer, GenerateAnswer)
    return row.response.answer


def _prompts(rows: Iterable[SnapshotRow]) -> list[TokenIds]:
    """The prompts that were asked, each once, in the snapshot's order."""
    return list(dict.fromkeys(_answer(row).prompt_token_ids for row in rows if _answer(row).prompt_token_ids))


def judged_prompts(job: Job) -> list[TokenIds]:
    """The held-out prompts that are judged on, each once: all of the newest slice, others by the run's draw."""
    cut_us = job.snapshot.manifest.time_cut_us
    newest: dict[TokenIds, bool] = {}
    for row in job.snapshot.rows(Split.HELD_OUT):
        if prompt := _answer(row).prompt_token_ids:
            newest[prompt] = newest.get(prompt, False) or row.response.time_us >= cut_us
    return draw(newest.items(), MOST_PROMPTS, f"prompts {job.plan.draw_seed}")


def _served_as(job: Job) -> tuple[float, int]:
    """Temperature and length limit that learnable replies were served with most often."""
    used = Counter(
        (_answer(row).temperature, _answer(row).max_new_tokens)
        for row in job.snapshot.rows(Split.TRAIN)
        if row.learnable
    )
    default = (1.0, job.plan.settings.generate.default_new_tokens)
    return used.most_common(1)[0][0] if used else default


def _settings(job: Job) -> PpoSettings:
    learn = job.plan.settings.learn
    temperature, max_new_tokens = _served_as(job)
    return PpoSettings(
        iterations=learn.ppo_iterations,
        episodes=learn.ppo_batch,
        learning_rate=learn.learning_rate,
        kl_target=learn.kl_target,
        liked_weight=learn.liked_weight,
        edit_weight=learn.edit_weight,
        rollouts=learn.rollouts,
        lora_rank=learn.lora_rank,
        lora_alpha=learn.lora_alpha,
        evaluate_every=learn.evaluate_every,
        patience=learn.patience,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
    )


def _side_by_side(job: Job) -> _SideBySide:
    champion, candidate = load_causal(job.champion), load_causal(job.folder.candidate)
    temperature, max_new_tokens = _served_as(job)
    prompts = fitting(judged_prompts(job), champion, max_new_tokens)
    sampling = Sampling(end_token_id(champion.tokenizer), temperature, max_new_tokens)
    drawn = [_sample(policy, prompts, sampling, job.plan.seed) for policy in (champion, candidate)]
    return _SideBySide(champion, candidate, prompts, sampling, *drawn)


def _sample(policy: CausalPolicy, prompts: Sequence[TokenIds], sampling: Sampling, seed: int) -> list[list[int]]:
    if not prompts:
        return []
    return sample_replies(policy.model, prompts, sampling, torch.Generator().manual_seed(seed))


def _evidence(job: Job, sides: _SideBySide, reward: RewardModel) -> GenerateEvidence:
    kept = worth_keeping(job.champion, sides.champion, job.snapshot, job.plan.draw_seed)
    asked, probes_dir = _asked(job), job.plan.settings.gates.probes_dir
    both = sides.champion, sides.candidate
    return GenerateEvidence(
        votes=learned_from(job, sides.champion),
        latency=_latency(sides),
        reward_model=held_out_votes(job, reward),
        champion_scores=_scores(reward, sides.prompts, sides.champion_replies),
        candidate_scores=_scores(reward, sides.prompts, sides.candidate_replies),
        champion_lengths=[len(reply) for reply in sides.champion_replies],
        candidate_lengths=[len(reply) for reply in sides.candidate_replies],
        kl_per_reply=_kl(sides),
        good_replies=_losses(sides, kept.good_replies),
        customer_texts=_losses(sides, kept.customer_texts),
        candidate_texts=[decode_reply(sides.candidate.tokenizer, reply) for reply in sides.candidate_replies],
        champion_texts=[decode_reply(sides.champion.tokenizer, reply) for reply in sides.champion_replies],
        prompt_texts=[sides.champion.tokenizer.decode(list(prompt)) for prompt in sides.prompts],
        users_texts=_users_texts(job),
        prompt_users=[asked[prompt].user_hash for prompt in sides.prompts],
        reads_alike=reads_alike(*both, [asked[prompt] for prompt in sides.prompts], sides.champion_replies),
        sycophancy=leanings(*both, sycophancy_replies(probes_dir)),
        stereotypes=leanings(*both, stereotype_replies(probes_dir)),
        weights_not_finite=not_finite_weights(job.folder.candidate),
    )


def _asked(job: Job) -> dict[TokenIds, LoggedResponse]:
    """The held-out answers by their prompts; of several to one prompt, the last."""
    return {_answer(row).prompt_token_ids: row.response for row in job.snapshot.rows(Split.HELD_OUT)}


def _users_texts(job: Job) -> dict[str, list[str]]:
    """What the users wrote whose votes were learned from; who is not named is somebody else each time."""
    texts: dict[str, list[str]] = {}
    for row in job.snapshot.rows(Split.TRAIN):
        user = row.response.user_hash or row.response.response_id
        texts.setdefault(user, []).extend(one.content for one in _answer(row).messages if one.role in ("", "user"))
    return texts


def _report(job: Job, evidence: GenerateEvidence, samples: Sequence[Sample]) -> ReportData:
    head, choice = report_head(job, evidence.votes), read_choice(job.folder)
    return replace(
        head,
        lineage={**head.lineage, **told_choice(choice)},
        comparisons=comparisons(evidence),
        curves=[*held_out_curves(choice), *curves(job.folder, _CURVES)],
        reward_model=reward_fit(job, evidence.reward_model),
        samples=samples,
        samples_text="Held-out questions. The figure beside a version is the reward of its reply: more is better.",
    )


def _scores(reward: RewardModel, prompts: Sequence[TokenIds], replies: Sequence[Sequence[int]]) -> list[float]:
    return reward.scores(prompts, replies) if prompts else []


def _kl(sides: _SideBySide) -> list[float]:
    """sum over tokens of log(candidate) - log(champion) on the candidate's own replies, nats a reply."""
    candidate, champion = (
        score_replies(policy.model, sides.prompts, sides.candidate_replies, sides.sampling.temperature)
        for policy in (sides.candidate, sides.champion)
    )
    return [sum(new) - sum(old) for new, old in zip(candidate, champion, strict=True)]


def _losses(sides: _SideBySide, passages: Sequence[Passage]) -> TextLosses:
    tokens = [len(passage.text) for passage in passages]
    return TextLosses(nats(sides.champion, passages), nats(sides.candidate, passages), tokens)


def _latency(sides: _SideBySide) -> Latency:
    def reply(policy: CausalPolicy, prompt: TokenIds) -> None:
        sample_replies(policy.model, [prompt], sides.sampling, torch.Generator().manual_seed(0))

    return compare_latency(
        sides.prompts[:TIMED_REQUESTS],
        lambda prompt: reply(sides.champion, prompt),
        lambda prompt: reply(sides.candidate, prompt),
    )


def comparisons(evidence: GenerateEvidence) -> list[Comparison]:
    """The table of the report. Drift is neither good nor bad as such: a candidate that learned has some."""

    def mean(numbers: Iterable[float]) -> float:
        column = [float(number) for number in numbers]
        return sum(column) / len(column) if column else float("nan")

    scores = mean(evidence.champion_scores), mean(evidence.candidate_scores)
    lengths = mean(evidence.champion_lengths), mean(evidence.candidate_lengths)
    return [
        Comparison("Reward of a reply", *scores, better="higher"),
        Comparison("Length of a reply", *lengths, unit="tokens"),
        Comparison("Drift from the champion", 0.0, mean(evidence.kl_per_reply), "nats a reply"),
    ]


def _samples(job: Job, sides: _SideBySide, evidence: GenerateEvidence) -> list[Sample]:
    """Held-out questions with both versions' replies."""
    asked = {_answer(row).prompt_token_ids: _answer(row) for row in job.snapshot.rows(Split.HELD_OUT)}
    columns = zip(sides.prompts, sides.champion_replies, evidence.candidate_texts, strict=True)
    samples = [
        Sample(asked[prompt].messages[-1].content, decode_reply(sides.champion.tokenizer, old), new)
        for prompt, old, new in columns
    ]
    scored = zip(samples, evidence.champion_scores, evidence.candidate_scores, strict=True)
    both = [replace(sample, champion_score=float(old), candidate_score=float(new)) for sample, old, new in scored]
    return pick_samples(both, job.plan.seed)
