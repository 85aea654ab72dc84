"""The asyncio client: the same answers, votes and tries as the blocking one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest

from thumbwheel import errors
from thumbwheel.client import AsyncClient
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.feedback.v1 import feedback_pb2 as fb

if TYPE_CHECKING:
    from tests.unit.client.conftest import Script

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
async def client(target: str) -> AsyncIterator[AsyncClient]:
    quick = RetryPolicy(attempts=3, first_s=0.001, most_s=0.01)
    async with AsyncClient(target, timeout_s=20, retry=quick) as client:
        yield client


async def test_asking_and_voting(client: AsyncClient, script: Script) -> None:
    answer = await client.classify("where is it", "desk", user="alice")
    assert (answer.label, answer.version, dict(answer.probabilities)) == ("lost", "v3", {"lost": 0.75, "other": 0.0})
    feedback_id = await answer.thumbs_up("nice")
    sent = script.requests[-1]
    assert (sent.feedback_id, sent.thumb, sent.user_id) == (feedback_id, fb.THUMB_UP, "alice")
    await answer.rate(2)
    assert script.requests[-1].rating == 2
    await answer.retract("thumb")
    assert script.requests[-1].kind == fb.FEEDBACK_KIND_THUMB


async def test_tags_come_and_are_corrected(client: AsyncClient, script: Script) -> None:
    answer = await client.tag(["to", "Rome"], user="alice")
    assert [(word.text, word.tag) for word in answer.words] == [("to", "O"), ("Rome", "B-city")]
    feedback_id = await answer.correct(["O", "O"])
    asked, edited = script.requests
    assert list(asked.tokens) == ["to", "Rome"]
    assert (list(edited.edit.tags.tags), edited.feedback_id) == (["O", "O"], feedback_id)


async def test_candidates_are_ranked(client: AsyncClient, script: Script) -> None:
    generation = await client.generate("hi", n=2, temperature=0.5)
    assert [one.text for one in generation.candidates] == ["hello you", "go away"]
    assert script.requests[0].sampling.temperature == 0.5
    await client.rank(list(reversed(generation.candidates)))
    assert [one.response_id for one in script.requests[-1].ranking.best_first] == ["r1", "r2"]


async def test_rankings_and_edits_carry_comment_and_reasons(client: AsyncClient, script: Script) -> None:
    generation = await client.generate("hi", n=2)
    await client.rank(generation.candidates, "why", reasons=["too-long"])
    await generation.correct("better", "why", reasons=["too-long"])
    assert [(one.comment, list(one.reasons)) for one in script.requests[1:]] == [("why", ["too-long"])] * 2


async def test_a_stream_yields_pieces_and_ends_in_a_generation(client: AsyncClient, script: Script) -> None:
    script.say("hel", "lo")
    stream = client.stream("hi", user="alice")
    assert [piece async for piece in stream] == ["hel", "lo"]
    answer = await stream.generation()
    assert (answer.text, answer.first.finish_reason, answer.first.completion_tokens) == ("hello", "length", 2)
    await answer.thumbs_down()
    assert (script.requests[-1].response_id, script.requests[-1].user_id) == ("r0", "alice")


async def test_a_stream_is_tried_again_only_before_it_began(client: AsyncClient, script: Script) -> None:
    script.refuse(UNAVAILABLE)
    script.say("hel", finish=False)
    script.break_stream(UNAVAILABLE)
    stream = client.stream("hi")
    assert await anext(stream) == "hel"
    with pytest.raises(errors.Unavailable):
        await anext(stream)
    assert len(script.requests) == 2


async def test_leaving_a_stream_cancels_the_call(client: AsyncClient, script: Script) -> None:
    script.say("hel", "lo")
    async with client.stream("hi") as stream:
        assert await anext(stream) == "hel"
    assert stream._call.cancelled()


async def test_a_vote_is_sent_again_with_the_same_id(client: AsyncClient, script: Script) -> None:
    script.refuse(UNAVAILABLE)
    script.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_ms=2)
    feedback_id = await client.ballot("r1", "token").thumbs_up()
    assert [sent.feedback_id for sent in script.requests] == [feedback_id] * 3


async def test_errors_are_those_of_the_tree(client: AsyncClient, script: Script) -> None:
    script.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry_after_ms=250)
    with pytest.raises(errors.Overloaded, match="full") as caught:
        await client.classify("hi")
    assert caught.value.retry_after_s == 0.25
    script.refuse(grpc.StatusCode.NOT_FOUND, "no such policy", reason="UNKNOWN_POLICY")
    with pytest.raises(errors.UnknownPolicy, match="no such policy"):
        await client.describe("desk")
    assert (await client.describe())[0].policy == "desk"
