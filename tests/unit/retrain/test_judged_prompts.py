"""What a `generate` run is judged on when there is more than it looks at: by lot, the newest slice always in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tiny_policy import tiny_gpt2, tiny_policy, without_padding

from thumbwheel.config.settings import Settings
from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.dataset.snapshot import Snapshot
from thumbwheel.policy.prompt import decode_reply
from thumbwheel.records import (
    Channel,
    Feedback,
    FeedbackKind,
    GenerateAnswer,
    LoggedResponse,
    Message,
    PolicyKind,
    Split,
    VersionRef,
)
from thumbwheel.retrain.draw import draw
from thumbwheel.retrain.learn_generate import MOST_PROMPTS, judged_prompts
from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.plan import Plan
from thumbwheel.retrain.worth_keeping import MOST_TEXTS, WORTH_KEEPING_FILE, nats, worth_keeping

PLAN = Plan("run-1", "chat", PolicyKind.GENERATE, "v1", ("v1",), 9, 0, 1, Settings())
ASKED, NEWEST = 1000, 50


def row(n: int) -> SnapshotRow:
    answer = GenerateAnswer((Message("user", "x"),), "y", (1, n), (2, n), (-1.0, -1.0), 1.0, 1.0, 0, 9, "stop", 0, 1)
    ref = VersionRef("chat", "v1", "sha256:1")
    response = LoggedResponse(f"r{n}", f"q{n}", ref, Channel.CHAMPION, "", "u", "", n, "", answer)
    vote = Feedback(f"f{n}", f"r{n}", "u", "", "chat", "v1", FeedbackKind.THUMB, n, thumb_up=True)
    return SnapshotRow(response, (vote,), Split.HELD_OUT)


def snapshot(asked: int = ASKED) -> Snapshot:
    """`asked` held-out answers in the order of time, the newest 50 of them after the cut."""
    manifest = SimpleNamespace(time_cut_us=asked - NEWEST)
    return cast(Snapshot, SimpleNamespace(rows=lambda split: map(row, range(asked)), manifest=manifest))


def judged(plan: Plan = PLAN, asked: int = ASKED) -> list[int]:
    job = SimpleNamespace(plan=plan, snapshot=snapshot(asked))
    return [prompt[1] for prompt in judged_prompts(cast(Job, job))]


def test_the_newest_are_judged_on_and_the_rest_is_drawn_anew_with_new_votes() -> None:
    first, again, other = judged(), judged(), judged(replace(PLAN, watermark=10))
    assert first == again == sorted(set(first))
    assert len(first) == len(other) == MOST_PROMPTS
    for prompts in (first, other):
        assert set(prompts) >= set(range(ASKED - NEWEST, ASKED))
        older = [n for n in prompts if n < ASKED - NEWEST]
        assert sum(older) / len(older) == pytest.approx((ASKED - NEWEST) / 2, abs=60)
    assert first != other


def test_a_run_that_is_merely_repeated_is_judged_on_the_same() -> None:
    assert judged(replace(PLAN, run_id="run-2", started_us=2)) == judged()


def test_what_there_is_room_for_is_taken_whole() -> None:
    assert judged(asked=MOST_PROMPTS) == list(range(MOST_PROMPTS))


def test_a_newest_slice_too_large_is_drawn_from() -> None:
    drawn = draw(((n, n >= 100) for n in range(1000)), 300, "seed")
    assert len(drawn) == 300 and min(drawn) >= 100 and max(drawn) > 900


def test_texts_worth_keeping_are_drawn_alike(tmp_path: Path) -> None:
    def kept(seed: str) -> tuple[list[int], list[int]]:
        found = worth_keeping(tmp_path, tiny_policy(), snapshot(), seed)
        return [reply.text[1] for reply in found.good_replies], [text.text[0] for text in found.customer_texts]

    for numbers, others in zip(kept("run-1"), kept("run-2"), strict=True):
        assert len(numbers) == MOST_TEXTS and numbers != others
        assert set(numbers) >= set(range(ASKED - NEWEST, ASKED)) and min(numbers) < 100
    assert kept("run-1") == kept("run-1")


def test_replies_beyond_the_last_position_are_not_kept_and_their_questions_are(tmp_path: Path) -> None:
    policy = without_padding(tiny_gpt2())  # 64 positions, of which its tokenizer says nothing
    policy.tokenizer.model_max_length = int(1e30)
    policy.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    chats = [[("user", "order 417"), ("assistant", reply)] for reply in ("it is on its way", "on its way " * 60)]
    chats.append([("user", "where is my parcel " * 60), ("assistant", "it is on its way")])
    lines = [{"messages": [{"role": role, "content": text} for role, text in chat]} for chat in chats]
    (tmp_path / WORTH_KEEPING_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    kept = worth_keeping(tmp_path, policy, snapshot(), "run-1")
    assert [decode_reply(policy.tokenizer, one.text) for one in kept.good_replies] == ["it is on its way"]
    assert len(kept.customer_texts) == 2 and len(nats(policy, [*kept.good_replies, *kept.customer_texts])) == 3
