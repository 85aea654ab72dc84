"""Tags over gRPC: stamped, logged before they are given with every probability, and what the checkpoint makes."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.policy.tag import load_tagger
from thumbwheel.records import PolicyKind, TagAnswer

TEXT = "寄到 Rome, please"
WORDS = ["寄", "到", "Rome", ",", "please"]
OFFSETS = [(0, 1), (1, 2), (3, 7), (7, 8), (9, 15)]


async def test_tags_are_stamped_logged_and_those_of_the_checkpoint(home: Any, serve: Any) -> None:
    manifest = home.publish("places", PolicyKind.TAG, seed=1)
    async with serve(tag={"probability_floor": 0.1}) as service:
        answer = await service.stub.Tag(pb.TagRequest(text=TEXT, user=pb.User(id="ann"), request_id="mine"))
        [described] = (await service.stub.DescribePolicy(pb.DescribePolicyRequest())).policies
    assert [one.token for one in answer.tokens] == WORDS
    assert [(one.start, one.end) for one in answer.tokens] == OFFSETS
    assert (answer.stamp.policy_version, answer.stamp.checkpoint_digest, answer.stamp.logged) == (
        "v1",
        manifest.digest,
        True,
    )
    [kept] = home.logged()
    logged = kept.answer
    assert isinstance(logged, TagAnswer)
    assert (logged.text, list(logged.tokens)) == (TEXT, WORDS)
    assert list(zip(logged.starts, logged.ends, strict=True)) == OFFSETS
    assert (kept.client_request_id, kept.not_learnable, kept.user_hash) == (
        "mine",
        "",
        home.raters.user_hash("ann"),
    )
    [expected_WK] = load_tagger(home.registry.fetch("places", "v1")).probabilities([WORDS], 0.1)
    for row, expected_K in zip(logged.rows, expected_WK.tolist(), strict=True):
        assert row == pytest.approx(expected_K, abs=1e-6)
    assert logged.tags == tuple(one.tag for one in answer.tokens)
    served = [row[index] for row, index in zip(logged.rows, logged.tag_indices, strict=True)]
    assert [one.probability for one in answer.tokens] == pytest.approx(served)
    assert (described.kind, list(described.labels)) == (pb.POLICY_KIND_TAG, ["O", "B-city", "I-city"])
    assert described.probability_floor == pytest.approx(0.1)


async def test_given_words_stand_in_a_text_of_theirs_and_greedy_teaches_nothing(home: Any, serve: Any) -> None:
    home.publish("places", PolicyKind.TAG, seed=1)
    async with serve() as service:
        answer = await service.stub.Tag(pb.TagRequest(tokens=["New York", "x"], greedy=True))
    [kept] = home.logged()
    assert isinstance(kept.answer, TagAnswer)
    assert (kept.answer.text, kept.not_learnable) == ("New York x", "greedy")
    assert [(one.token, one.start, one.end) for one in answer.tokens] == [("New York", 0, 8), ("x", 9, 10)]
    assert all(row[index] == max(row) for row, index in zip(kept.answer.rows, kept.answer.tag_indices, strict=True))


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (pb.TagRequest(), "text: is empty"),
        (pb.TagRequest(text="\u200b\u200b"), "text: has no word"),
        (pb.TagRequest(text="x", tokens=["x"]), "tokens: stand beside text"),
        (pb.TagRequest(tokens=["x", " "]), r"tokens\[1\]: is empty or blank"),
        (pb.TagRequest(text="x " * 9), "text: has 9 words, at most 8"),
        (pb.TagRequest(tokens=["x"] * 9), "tokens: has 9 words, at most 8"),
        (pb.TagRequest(text="x" * 101), "text: has 101 characters, at most 100"),
        (pb.TagRequest(text="x" * 80), "text: has .* tokens, at most 64 are allowed: shorten it"),
    ],
)
async def test_what_can_not_be_tagged_is_refused_with_its_cure(
    home: Any, serve: Any, request_: pb.TagRequest, complaint: str
) -> None:
    home.publish("places", PolicyKind.TAG, seed=1)
    async with serve(tag={"max_words": 8, "max_input_chars": 100}) as service:
        with pytest.raises(grpc.aio.AioRpcError, match=complaint) as refused:
            await service.stub.Tag(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert home.logged() == []
