"""One trial of learning `generate` from thumbs: first policy, votes, reward model, PPO, and what PPO has to beat."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import fmean

import torch
from transformers import PreTrainedModel

from record import code_state
from thumbwheel.policy.loading import CausalPolicy, load_causal
from thumbwheel.policy.prompt import decode_reply, encode_prompt, encode_reply, end_token_id
from thumbwheel.policy.scoring import perplexity, score_replies
from thumbwheel.ppo.generate.baselines import best_of_n, supervise_generate
from thumbwheel.ppo.generate.improve import improve_generate
from thumbwheel.ppo.generate.liked import liked_replies
from thumbwheel.ppo.generate.rollout import Sampling, sample_replies
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.metrics import Metrics
from thumbwheel.pretrain.corpus import Chat
from thumbwheel.pretrain.generate import train_first_policy
from thumbwheel.records import Message
from thumbwheel.reward.calibration import roc_auc
from thumbwheel.reward.fit import fit, measure
from thumbwheel.reward.model import RewardModel
from thumbwheel.reward.rated_reply import RatedReply
from thumbwheel.simulate.users import SimulatedUser


@dataclass(frozen=True)
class Question:
    """What is asked, how good a reply to it truly is, in [0, 1], and a reply worth keeping."""

    messages: tuple[Message, ...]
    quality: Callable[[str], float]
    good_reply: str


@dataclass(frozen=True)
class Outcome:
    """Means over the held-out questions, one reply each, sampled at temperature 1. Perplexities are ratios."""

    first: float
    supervised: float
    ppo: float
    best_of_8: float
    first_up: float
    ppo_up: float
    kl: float
    good_text: float
    customers_text: float
    auc_votes: float
    auc_truth: float
    calibration_error: float
    first_policy_s: float
    reward_s: float
    ppo_s: float


@dataclass(frozen=True)
class Trial:
    """A seeded trial in a folder of its own; `ask(n, rng)` makes n questions. Votes: one in ten is wrong.

    It takes the steps of a run (reward model, PPO) with their own settings, one after the other, in this process. No
    gate is asked, and every answer is rated: the demonstration has the gates, too.
    """

    work: Path
    seed: int
    chats: Sequence[Chat]
    ask: Callable[[int, Random], list[Question]]
    votes: int = 3000
    held_out_votes: int = 600
    held_out: int = 500
    raters: int = 200
    """How many users give the votes, in turns."""
    user: SimulatedUser = SimulatedUser()
    settings: PpoSettings = PpoSettings()

    def run(self) -> Outcome:
        """Run it, or read what an earlier run of the same folder found with the very same code."""
        done, state = self.work / "outcome.json", code_state()
        if done.exists() and (found := json.loads(done.read_text()))["code"] == state:
            return Outcome(**found["outcome"])
        self._clear()
        outcome = self._run()
        done.write_text(json.dumps({"code": state, "outcome": asdict(outcome)}, indent=1))
        return outcome

    def _clear(self) -> None:
        """Remove what a trial of other code has left, and nothing else."""
        self.work.mkdir(parents=True, exist_ok=True)
        for name in ("first", "ppo", "supervised"):
            shutil.rmtree(self.work / name, ignore_errors=True)
        for name in ("checkpoint.safetensors", "outcome.json"):
            (self.work / name).unlink(missing_ok=True)

    def _run(self) -> Outcome:
        clock = [time.process_time()]
        first = self._first()
        clock.append(time.process_time())
        questions, rows = self._rate(first)
        clock.append(time.process_time())
        reward = fit(first.model, rows[: self.votes], self.seed)
        quality = measure(reward, rows[self.votes :])
        clock.append(time.process_time())
        prompts = [row.prompt_ids for row in rows]
        pleased = liked_replies(rows[: self.votes])
        improve_generate(
            self.work / "first",
            reward.scores,
            prompts[: self.votes],
            self.work / "ppo",
            seed=self.seed,
            liked=pleased,
            settings=self.settings,
            checkpoint=self.work / "checkpoint.safetensors",
            round_done=self._tell,
        )
        clock.append(time.process_time())
        supervise_generate(
            self.work / "first",
            [row.prompt_ids for row in pleased],
            [row.reply_ids for row in pleased],
            self.work / "supervised",
            self.seed,
        )
        truths = [
            self._pleases(q, decode_reply(first.tokenizer, r.reply_ids)) for q, r in zip(questions, rows, strict=True)
        ]
        held_out_scores = reward.scores(prompts[self.votes :], [row.reply_ids for row in rows[self.votes :]])
        return Outcome(
            **self._compare(first, reward),
            auc_votes=quality.auc,
            auc_truth=roc_auc(held_out_scores, truths[self.votes :]),
            calibration_error=quality.calibration_error,
            first_policy_s=clock[1] - clock[0],
            reward_s=clock[3] - clock[2],
            ppo_s=clock[4] - clock[3],
        )

    def _first(self) -> CausalPolicy:
        train_first_policy(self.chats, self.work / "first", self.seed)
        return load_causal(self.work / "first")

    def _rate(self, policy: CausalPolicy) -> tuple[list[Question], list[RatedReply]]:
        rng = Random(f"votes {self.seed}")
        questions = self.ask(self.votes + self.held_out_votes, rng)
        prompts = [self._prompt(policy, question) for question in questions]
        replies = self._sample(policy, policy.model, prompts, 1)
        rows = []
        for number, (question, prompt, reply) in enumerate(zip(questions, prompts, replies, strict=True)):
            up = self.user.thumb(question.quality(decode_reply(policy.tokenizer, reply)), rng)
            rows.append(RatedReply(tuple(prompt), tuple(reply), float(bool(up)), rater=f"user {number % self.raters}"))
        return questions, rows

    def _compare(self, first: CausalPolicy, reward: RewardModel) -> dict[str, float]:
        questions = self.ask(self.held_out, Random(f"held out {self.seed}"))
        prompts = [self._prompt(first, question) for question in questions]
        ppo = load_causal(self.work / "ppo").model
        supervised = load_causal(self.work / "supervised").model
        generator = torch.Generator().manual_seed(self.seed)
        sampled = {
            "first": self._sample(first, first.model, prompts, 2),
            "supervised": self._sample(first, supervised, prompts, 2),
            "ppo": self._sample(first, ppo, prompts, 2),
            "best_of_8": best_of_n(first.model, reward.scores, prompts, 8, self._sampling(first), generator),
        }
        texts = {name: [decode_reply(first.tokenizer, reply) for reply in rows] for name, rows in sampled.items()}
        drift = [
            sum(new) - sum(old)
            for new, old in zip(
                score_replies(ppo, prompts, sampled["ppo"]),
                score_replies(first.model, prompts, sampled["ppo"]),
                strict=True,
            )
        ]
        return {
            **{n: fmean(q.quality(t) for q, t in zip(questions, rows, strict=True)) for n, rows in texts.items()},
            "first_up": fmean(self._pleases(q, t) for q, t in zip(questions, texts["first"], strict=True)),
            "ppo_up": fmean(self._pleases(q, t) for q, t in zip(questions, texts["ppo"], strict=True)),
            "kl": fmean(drift),
            **self._forgetting(first, ppo, questions, prompts),
        }

    def _forgetting(
        self, first: CausalPolicy, ppo: PreTrainedModel, questions: list[Question], prompts: list[list[int]]
    ) -> dict[str, float]:
        good = [encode_reply(first.tokenizer, question.good_reply) for question in questions]
        starts = [prompt[:2] for prompt in prompts]
        customers = [prompt[2:] for prompt in prompts]
        return {
            "good_text": perplexity(ppo, prompts, good) / perplexity(first.model, prompts, good),
            "customers_text": perplexity(ppo, starts, customers) / perplexity(first.model, starts, customers),
        }

    def _pleases(self, question: Question, reply: str) -> bool:
        return question.quality(reply) >= self.user.pleasing_quality

    def _prompt(self, policy: CausalPolicy, question: Question) -> list[int]:
        return encode_prompt(policy.tokenizer, question.messages, policy.max_tokens - self.settings.max_new_tokens)

    def _sampling(self, policy: CausalPolicy) -> Sampling:
        return Sampling(end_token_id(policy.tokenizer), 1.0, self.settings.max_new_tokens)

    def _sample(
        self, policy: CausalPolicy, model: PreTrainedModel, prompts: list[list[int]], salt: int
    ) -> list[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 100 + salt)
        return sample_replies(model, prompts, self._sampling(policy), generator)

    def _tell(self, done: int, total: int, facts: Metrics) -> None:
        line = " ".join(f"{name} {facts[name]:.3f}" for name in ("objective/scores", "objective/kl", "beta"))
        print(f"  seed {self.seed} iteration {done}/{total}: {line}", flush=True)
