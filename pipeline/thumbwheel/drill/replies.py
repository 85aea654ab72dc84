"""The ground of policies that reply: a small help desk, its first policy, and thumbs on what that said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import torch

from thumbwheel.drill.bench import Bench, days_ago_us
from thumbwheel.drill.voting import Served, vote_on
from thumbwheel.policy.loading import load_causal
from thumbwheel.policy.prompt import decode_reply, encode_prompt, end_token_id
from thumbwheel.policy.scoring import score_replies
from thumbwheel.ppo.generate.rollout import Sampling, sample_replies
from thumbwheel.pretrain.corpus import Chat
from thumbwheel.pretrain.generate import FirstPolicySettings, train_first_policy, train_further
from thumbwheel.records import GenerateAnswer, Message
from thumbwheel.retrain.worth_keeping import WORTH_KEEPING_FILE, hand_on
from thumbwheel.simulate.helpdesk import write_worth_keeping
from thumbwheel.simulate.message import HelpRequest
from thumbwheel.simulate.world import World

POLICY = "drill-reply"
MATTERS = ("cancel_order", "late_order", "return_item", "reset_password", "send_invoice")
_NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class ReplySize:
    """How large the ground is. The defaults take about a minute on one core."""

    users: int = 120
    votes: int = 2_300
    wrong_thumbs: float = 0.05
    chats: int = 3_000
    lessons: int = 600
    first: FirstPolicySettings = field(
        default_factory=lambda: FirstPolicySettings(
            steps=260, batch_rows=24, vocabulary=700, width=96, feed_forward=256
        )
    )
    further: FirstPolicySettings = field(
        default_factory=lambda: FirstPolicySettings(steps=50, batch_rows=24, learning_rate=2e-3, warmup_steps=5)
    )
    max_new_tokens: int = 64


@dataclass(frozen=True, slots=True, eq=False)
class ReplyGround:
    """What planted policies that reply grow on. `asked` is what users asked of the champion."""

    world: World
    seed: int
    size: ReplySize
    bench: Bench
    asked: Sequence[tuple[str, HelpRequest]]

    def good(self, rows: int, name: str, spoil: Callable[[HelpRequest, str, Random], str] | None = None) -> list[Chat]:
        """Messages with good replies, which `spoil` may change."""
        rng = Random(f"{name} {self.seed}")
        changed = spoil or (lambda request, reply, rng: reply)
        asked = [self.world.message(rng) for _ in range(rows)]
        return [chat_of(one.text, changed(one, self.world.good_reply(one), rng)) for one in asked]

    def taught(self, chats: Sequence[Chat], folder: Path, settings: FirstPolicySettings | None = None) -> None:
        """Write the champion as it is after some steps on the chats, with what it is to keep."""
        champion = self.bench.champion
        train_further(load_causal(champion), chats, folder, self.seed, settings or self.size.further)
        hand_on(champion, folder)


def chat_of(text: str, reply: str) -> Chat:
    """A message and its reply."""
    return (Message("user", text), Message("assistant", reply))


def desk(seed: int) -> World:
    """The help desk of a drill: few enough matters for a policy trained in seconds."""
    return World(seed, MATTERS, typos=0.0)


def first_replies(world: World, seed: int, size: ReplySize, folder: Path) -> None:
    """Train a first policy on replies of mixed quality, and lay beside it what it is to keep."""
    rng = Random(f"chats {seed}")
    asked = [world.message(rng) for _ in range(size.chats)]
    chats = [chat_of(one.text, world.mixed_reply(one, rng)) for one in asked]
    train_first_policy(chats, folder, seed, size.first)
    write_worth_keeping(world, 200, rng, folder / WORTH_KEEPING_FILE)


def collect(world: World, seed: int, size: ReplySize, bench: Bench) -> ReplyGround:
    """Let users ask the champion, and vote on what it says."""
    rng = Random(f"asked {seed}")
    asked = [(f"user-{rng.randrange(size.users):03}", world.message(rng)) for _ in range(size.votes)]
    policy = load_causal(bench.champion)
    messages = [(Message("user", request.text),) for _, request in asked]
    prompts = [tuple(encode_prompt(policy.tokenizer, one, _NO_LIMIT)) for one in messages]
    sampling = Sampling(end_token_id(policy.tokenizer), 1.0, size.max_new_tokens)
    replies = sample_replies(policy.model, prompts, sampling, torch.Generator().manual_seed(seed))
    logprobs = score_replies(policy.model, prompts, replies)
    served = []
    for (user, request), said, prompt, reply, row in zip(asked, messages, prompts, replies, logprobs, strict=True):
        text = decode_reply(policy.tokenizer, reply)
        ended = "stop" if reply[-1] == sampling.end_id else "length"
        drawn = (1.0, 1.0, 0, size.max_new_tokens, ended, 0, 1)
        answer = GenerateAnswer(said, text, prompt, tuple(reply), tuple(row), *drawn)
        served.append(Served(user, answer, world.reply_quality(request, text)))
    vote_on(bench.store, bench.ref, served, days_ago_us(1.0), rng, size.wrong_thumbs)
    return ReplyGround(world, seed, size, bench, asked)
