"""Votes whose tokens the champion would read as something else are refused by the name of their version."""

from __future__ import annotations

import pytest
from tiny_policy import TINY, tiny_policy

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.errors import Unlearnable
from thumbwheel.policy.prompt import encode_prompt
from thumbwheel.pretrain.tokenizer import train_tokenizer
from thumbwheel.records import Channel, GenerateAnswer, LoggedResponse, Message, Split, VersionRef
from thumbwheel.retrain.same_tokenizer import check_tokens

LOGGED_BY = tiny_policy().tokenizer
TALK = (Message("user", "please cancel order 417"),)


def row(version: str, prompt: tuple[int, ...] | None = None) -> SnapshotRow:
    ids = tuple(encode_prompt(LOGGED_BY, TALK, 99)) if prompt is None else prompt
    answer = GenerateAnswer(TALK, "no", ids, (60, 2), (-1.0, -1.0), 1.0, 1.0, 0, 8, "stop", 0, 1)
    ref = VersionRef("chat", version, "sha256:0")
    return SnapshotRow(LoggedResponse("r", "q", ref, Channel.CHAMPION, "", "u", "", 0, "", answer), (), Split.TRAIN)


def test_the_tokenizer_of_the_answers_is_accepted() -> None:
    check_tokens(LOGGED_BY, "v3", [row("v1"), row("v2")])
    check_tokens(LOGGED_BY, "v3", [])


def test_another_tokenizer_is_refused_with_the_versions_it_is_none_of() -> None:
    other = train_tokenizer(["quite other words, so other merges"] * 9, TINY.vocabulary, TINY.max_tokens, chat=True)
    with pytest.raises(
        Unlearnable, match=r"tokenizer of v3 is not .* for v1 \(2 of 2 prompts\), v2 \(1 of 1 prompts\);"
    ):
        check_tokens(other, "v3", [row("v1"), row("v1"), row("v2")])
    with pytest.raises(Unlearnable, match=r"for v2 \(1 of 2 prompts\);"):
        check_tokens(LOGGED_BY, "v3", [row("v1"), row("v2"), row("v2", (1, 2, 3))])


def test_a_tokenizer_without_the_chat_template_is_refused() -> None:
    bare = train_tokenizer(["please cancel order 417"] * 5, TINY.vocabulary, TINY.max_tokens, chat=False)
    with pytest.raises(Unlearnable, match="promote a version with the tokenizer of those"):
        check_tokens(bare, "v3", [row("v1")])
