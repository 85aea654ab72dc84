"""Whoever sends a wrong value is told what to send instead; statuses and fields are tested where they are served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from thumbwheel.config.settings import Classify, Generate, Tag
from thumbwheel.errors import InvalidInput
from thumbwheel.feedback.validate import user_id as vote_of
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.validate import check_classify, check_generate, check_tag

MANY = pb.Conversation(messages=[pb.ChatMessage(role="user", content="x")] * 257)
OWN_LAST = pb.Conversation(messages=[pb.ChatMessage(role="assistant", content="x")])


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"n": 9}, "n: must be 1..8, got 9: leave it out for 1, or ask again for more"),
        (
            {"sampling": pb.Sampling(top_p=2)},
            "sampling.top_p: must be above 0 and at most 1, got 2: leave it out to keep every token",
        ),
        (
            {"sampling": pb.Sampling(stop=["x" * 65])},
            "sampling.stop[0]: must have 1..64 characters, has 65: shorten it",
        ),
        ({"sampling": pb.Sampling(stop=[""])}, "sampling.stop[0]: must have 1..64 characters, has 0: leave it out"),
        ({"sampling": pb.Sampling(stop=["x"] * 5)}, "sampling.stop: at most 4 strings, got 5: leave some out"),
        (
            {"sampling": pb.Sampling(top_k=-1)},
            "sampling.top_k: must lie in 0..1000000, got -1: 0 keeps every token",
        ),
        (
            {"sampling": pb.Sampling(max_new_tokens=0)},
            "sampling.max_new_tokens: must lie in 1..512, got 0: leave it out for the service's default",
        ),
        (
            {"prompt": None, "conversation": MANY},
            "conversation.messages: must have 1..256 messages, got 257: send the user's and the latest before it",
        ),
        (
            {"prompt": None, "conversation": OWN_LAST},
            "conversation.messages[0].role: the last message must not be the assistant's: end with what is to be "
            "answered",
        ),
    ],
)
def test_field_limit_and_cure(fields: dict[str, Any], told: str) -> None:
    settings = Generate(max_candidates=8, max_new_tokens=512)
    with pytest.raises(InvalidInput) as refused:
        check_generate(pb.GenerateRequest(**{"prompt": "hello", **fields}), settings)
    assert str(refused.value) == told


@pytest.mark.parametrize(
    "check",
    [
        lambda user: check_generate(pb.GenerateRequest(prompt="hello", user=user), Generate()),
        lambda user: check_classify(pb.ClassifyRequest(text="hello", user=user), Classify()),
        lambda user: check_tag(pb.TagRequest(text="hello", user=user), Tag()),
    ],
)
def test_a_user_who_could_not_vote_afterwards_is_refused_at_once(check: Callable[[pb.User], Any]) -> None:
    assert check(pb.User(id="ann")).asker.user_id == "ann"
    with pytest.raises(InvalidInput) as refused:
        check(pb.User(id="ann\0"))
    assert str(refused.value) == "user.id: must not contain the zero character; remove it"
    with pytest.raises(InvalidInput, match=refused.value.problem):
        vote_of("ann\0")
