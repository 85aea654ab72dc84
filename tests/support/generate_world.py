"""A home with a very small `generate` policy, and votes on what it served."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from recorded_batch import recorded_batch
from training_world import TrainingWorld

from thumbwheel.config.settings import Artifacts, Data, Generate, Learn, Settings
from thumbwheel.policy.loading import load_causal
from thumbwheel.policy.prompt import decode_reply, encode_prompt, end_token_id
from thumbwheel.policy.scoring import score_replies
from thumbwheel.ppo.generate.rollout import Sampling, sample_replies
from thumbwheel.pretrain.corpus import Chat
from thumbwheel.pretrain.generate import FirstPolicySettings, train_first_policy
from thumbwheel.records import (
    Channel,
    Feedback,
    FeedbackKind,
    GenerateAnswer,
    LoggedResponse,
    Message,
    PolicyKind,
    VersionRef,
)
from thumbwheel.retrain.worth_keeping import WORTH_KEEPING_FILE
from thumbwheel.store.port import FeedbackStore

ROWS = 500
NEW_TOKENS = 8
ORDERS = ["lamp", "table", "chair", "book", "radio"]
LEARN = Learn(ppo_iterations=7, ppo_batch=16, niceness=0)


def chats(count: int) -> list[Chat]:
    draw = random.Random(1)
    made: list[Chat] = []
    for n in range(count):
        thing = draw.choice(ORDERS)
        reply = f"your {thing} is on its way" if n % 2 else f"ask about the {thing} elsewhere"
        made.append((Message("user", f"where is my {thing} number {n % 200}"), Message("assistant", reply)))
    return made


def make_first_generator(folder: Path) -> Path:
    small = FirstPolicySettings(steps=40, batch_rows=16, width=32, layers=1, heads=2, feed_forward=64, vocabulary=300)
    train_first_policy(chats(300), folder, seed=0, settings=small)
    kept = [{"messages": [{"role": m.role, "content": m.content} for m in chat]} for chat in chats(60)]
    (folder / WORTH_KEEPING_FILE).write_text("".join(json.dumps(chat) + "\n" for chat in kept))
    return folder


def fill(store: FeedbackStore, folder: Path, digest: str) -> None:
    """Replies as served, and thumbs up for the half of them whose tokens have the lower mean number."""
    loaded = load_causal(folder)
    asked = [chat[:1] for chat in chats(ROWS)]
    prompts = [tuple(encode_prompt(loaded.tokenizer, messages, 200)) for messages in asked]
    sampling = Sampling(end_token_id(loaded.tokenizer), 1.0, NEW_TOKENS)
    replies = sample_replies(loaded.model, prompts, sampling, torch.Generator().manual_seed(1))
    logprobs = score_replies(loaded.model, prompts, replies)
    liked = [sum(reply) / len(reply) for reply in replies]
    middle = sorted(liked)[len(liked) // 2]
    responses, votes = [], []
    for n, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        text = decode_reply(loaded.tokenizer, reply)
        answer = GenerateAnswer(
            asked[n], text, prompt, tuple(reply), tuple(logprobs[n]), 1.0, 1.0, 0, NEW_TOKENS, "stop", 0, 1
        )
        ids, user = (f"r{n:04}", f"q{n}"), f"u{n % 30}"
        ref = VersionRef("chat", "v1", digest)
        responses.append(LoggedResponse(*ids, ref, Channel.CHAMPION, "", user, "", n, "", answer))
        up = (liked[n] < middle) != (n % 10 == 0)
        votes.append(Feedback(f"f{n}", f"r{n:04}", user, "", "chat", "v1", FeedbackKind.THUMB, n, thumb_up=up))
    store.apply(recorded_batch("test", "all", 0, 0, ROWS, responses, votes, list(range(ROWS))))


class GenerateWorld(TrainingWorld):
    """A home with the policy and the votes."""

    def __init__(self, home: Path, first: Path, learn: Learn = LEARN, artifacts: Artifacts | None = None) -> None:
        settings = Settings(
            home=home,
            data=Data(min_votes_generate=100, held_out=0.2),
            learn=learn,
            generate=Generate(default_new_tokens=NEW_TOKENS),
            artifacts=artifacts or Artifacts(),
        )
        super().__init__(settings, "chat", PolicyKind.GENERATE, first)
        fill(self.store, first, self.digest)
