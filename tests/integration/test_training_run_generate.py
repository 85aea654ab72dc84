"""A whole `generate` run on a very small policy: interrupted while it learns, it ends as if it had not been."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
import torch

from thumbwheel.config.settings import Data, Generate, Learn, Settings
from thumbwheel.gates.judge import GENERATE
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
    Run,
    RunState,
    RunStep,
    VersionRef,
)
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.retrain.cycle import Cycle
from thumbwheel.retrain.learners import learner_for
from thumbwheel.retrain.lock import RunLease
from thumbwheel.retrain.plan import make_plan
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.retrain.worth_keeping import WORTH_KEEPING_FILE
from thumbwheel.store.port import Batch, FeedbackStore
from thumbwheel.store.sql import open_store

pytestmark = pytest.mark.slow

ROWS = 500
NEW_TOKENS = 8
ORDERS = ["lamp", "table", "chair", "book", "radio"]
LEARN = Learn(ppo_iterations=7, ppo_batch=16)


class Killed(BaseException):
    """Stands for the end of the process."""


def chats(count: int) -> list[Chat]:
    draw = random.Random(1)
    made: list[Chat] = []
    for n in range(count):
        thing = draw.choice(ORDERS)
        reply = f"your {thing} is on its way" if n % 2 else f"ask about the {thing} elsewhere"
        made.append((Message("user", f"where is my {thing} number {n % 200}"), Message("assistant", reply)))
    return made


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generate") / "v1"
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
    store.apply(Batch("test", "all", 0, 0, ROWS, responses, votes, list(range(ROWS))))


class Interrupted(RunFolder):
    """A run's folder whose process ends once `improve` has told of its sixth iteration."""

    def tell(self, step: RunStep, done: int, total: int, figures: object = None) -> None:
        RunFolder.tell(self, step, done, total, figures)  # type: ignore[arg-type]
        if (step, done) == (RunStep.IMPROVE, 6):
            raise Killed


def test_an_interrupted_run_measures_what_an_undisturbed_one_does(tmp_path: Path, policy: Path) -> None:
    data = Data(min_votes_generate=100, held_out=0.2)
    settings = Settings(home=tmp_path, data=data, learn=LEARN, generate=Generate(default_new_tokens=NEW_TOKENS))
    store = open_store(settings.database_url)
    registry = SqlRegistry(settings.database_url, LocalArtifacts(settings.versions_dir))
    made = registry.publish(NewVersion("chat", PolicyKind.GENERATE), policy)
    registry.move("chat", Channel.CHAMPION, "v1", actor="test", reason="first")
    fill(store, policy, made.digest)
    plan = make_plan(store, registry, settings, "chat")

    def cycle(folder: RunFolder, lease: RunLease) -> Cycle:
        folder.path.mkdir(parents=True, exist_ok=True)
        return Cycle(plan, folder, store, registry, learner_for, lease, lambda: time.time_ns() // 1000)

    runs: list[Run] = []
    with RunLease(store, "chat", plan.run_id) as lease:
        plain, broken = settings.runs_dir / "plain", settings.runs_dir / "broken"
        with pytest.raises(Killed):
            refused = cycle(Interrupted(broken), lease).run()
            pytest.fail(refused.summary)
        runs.append(cycle(RunFolder(broken), lease).run())
        runs.append(cycle(RunFolder(plain), lease).run())
    store.close()
    registry.close()

    assert [run.state in (RunState.PROMOTED, RunState.REJECTED) for run in runs] == [True, True]
    assert [gate.name for gate in runs[0].gates] == [gate.name for gate in GENERATE]
    timeless = [[gate for gate in run.gates if gate.name != "latency"] for run in runs]
    values = [[(gate.name, repr(gate.value)) for gate in gates] for gates in timeless]
    assert values[0] == values[1]
    for name in ("model.safetensors", WORTH_KEEPING_FILE):
        assert (broken / "candidate" / name).read_bytes() == (plain / "candidate" / name).read_bytes()
    assert not RunFolder(broken).checkpoint.exists()
    page = (plain / "report.html").read_text()
    assert "where is my" in page and "KL" in page
    assert "Surprise at replies users liked" in page, "the thumbs up did not reach the update"
