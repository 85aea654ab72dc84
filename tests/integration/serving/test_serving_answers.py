"""Answers over gRPC: stamped, logged before they are given, and exactly what the stamped checkpoint makes."""

from __future__ import annotations

import asyncio
import math
import uuid
from hashlib import sha256
from time import monotonic
from typing import Any

import pytest

from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.policy.classify import load_classifier
from thumbwheel.policy.loading import load_causal
from thumbwheel.policy.prompt import decode_reply, encode_prompt
from thumbwheel.policy.scoring import score_replies
from thumbwheel.records import ClassifyAnswer, GenerateAnswer, Message, PolicyKind

NOW_US = 1_000_000


async def test_generate_answers_with_stamped_and_logged_candidates(home: Any, serve: Any) -> None:
    manifest = home.publish("chat", PolicyKind.GENERATE, seed=1)
    async with serve() as service:
        answer = await service.stub.Generate(
            pb.GenerateRequest(prompt="hello", n=3, user=pb.User(id="ann"), request_id="mine")
        )
    assert len(answer.candidates) == 3
    logged = {one.response_id: one for one in home.logged()}
    for index, candidate in enumerate(answer.candidates):
        stamp = candidate.stamp
        assert uuid.UUID(stamp.response_id).version == 7
        assert (stamp.policy, stamp.policy_version, stamp.channel) == ("chat", "v1", "champion")
        assert stamp.checkpoint_digest == manifest.digest
        assert stamp.logged
        rater = home.raters.rater("ann", stamp.response_id)
        claims = home.tokens.verify(stamp.feedback_token, stamp.response_id, rater, NOW_US)
        assert (claims.policy, claims.policy_version) == ("chat", "v1")
        kept = logged[stamp.response_id]
        assert isinstance(kept.answer, GenerateAnswer)
        assert kept.answer.text == candidate.text
        assert len(kept.answer.token_ids) == candidate.completion_tokens == len(kept.answer.logprobs)
        assert len(kept.answer.prompt_token_ids) == candidate.prompt_tokens
        assert (kept.answer.candidate, kept.answer.candidates) == (index, 3)
        assert (kept.client_request_id, kept.not_learnable) == ("mine", "")
        assert kept.user_hash == home.raters.user_hash("ann")
        assert claims.request == sha256(kept.request_id.encode()).hexdigest()[:16]
    assert len({one.request_id for one in logged.values()}) == 1
    tokens = service.metric("thumbwheel_generated_tokens_total", policy="chat", policy_version="v1")
    assert tokens == sum(candidate.completion_tokens for candidate in answer.candidates)


async def test_two_processes_and_two_candidates_draw_different_answers(home: Any, serve: Any) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1)
    texts = []
    for _ in range(2):
        async with serve() as service:
            answer = await service.stub.Generate(pb.GenerateRequest(prompt="hello", n=2))
            texts += [candidate.text for candidate in answer.candidates]
    assert len(set(texts)) == 4


@pytest.mark.parametrize(
    ("sampling", "not_learnable"),
    [
        ({}, ""),
        ({"temperature": 0.5}, ""),
        ({"temperature": 2.0}, ""),
        ({"top_k": 5}, "top_k"),
        ({"top_p": 0.7, "temperature": 1.5}, "top_p"),
        ({"greedy": True}, "greedy"),
    ],
)
async def test_logged_logprobs_are_those_of_the_full_softmax_at_the_served_temperature(
    home: Any, serve: Any, sampling: dict[str, Any], not_learnable: str
) -> None:
    manifest = home.publish("chat", PolicyKind.GENERATE, seed=1)
    async with serve() as service:
        # Neighbours with other parameters are decoded in the same batch.
        plain = service.stub.Generate(pb.GenerateRequest(prompt="neighbour", n=2))
        answer = await service.stub.Generate(
            pb.GenerateRequest(prompt="hello", n=2, sampling=pb.Sampling(max_new_tokens=24, **sampling))
        )
        await plain
    mine = {candidate.stamp.response_id for candidate in answer.candidates}
    kept = [one for one in home.logged() if one.response_id in mine]
    policy = load_causal(home.registry.fetch("chat", manifest.version))
    prompt = encode_prompt(policy.tokenizer, [Message("", "hello")], 512)
    for one in kept:
        assert isinstance(one.answer, GenerateAnswer)
        assert one.not_learnable == not_learnable
        assert list(one.answer.prompt_token_ids) == prompt
        [expected] = score_replies(policy.model, [prompt], [one.answer.token_ids], one.answer.temperature)
        assert one.answer.logprobs == pytest.approx(expected, abs=2e-4)
        assert one.answer.text == decode_reply(policy.tokenizer, one.answer.token_ids)


async def test_prompts_that_are_read_in_several_steps_keep_every_neighbours_plan(home: Any, serve: Any) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1)
    prompts = [f"{index} " + "long prompt " * 19 for index in range(12)]
    async with serve() as service:
        calls = [
            service.stub.Generate(
                pb.GenerateRequest(
                    prompt=prompt,
                    sampling=pb.Sampling(
                        max_new_tokens=24, temperature=0.4 + 0.2 * index, top_k=3 if index % 3 == 0 else 0
                    ),
                )
            )
            for index, prompt in enumerate(prompts)
        ]
        await asyncio.gather(*calls)
    policy = load_causal(home.registry.fetch("chat", "v1"))
    logged = home.logged()
    assert len(logged) == len(prompts)
    for one in logged:
        answer = one.answer
        assert len(answer.prompt_token_ids) > 200
        [expected] = score_replies(policy.model, [answer.prompt_token_ids], [answer.token_ids], answer.temperature)
        assert answer.logprobs == pytest.approx(expected, abs=5e-4)


async def test_greedy_takes_the_same_tokens_every_time(home: Any, serve: Any) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1)
    async with serve() as service:
        request = pb.GenerateRequest(prompt="hello", n=3, sampling=pb.Sampling(greedy=True, max_new_tokens=8))
        answer = await service.stub.Generate(request)
    assert len({candidate.text for candidate in answer.candidates}) == 1


@pytest.mark.parametrize("candidates", [1, 4])
async def test_a_stream_is_stamped_first_and_last_and_adds_up_to_the_logged_text(
    home: Any, serve: Any, candidates: int
) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1)
    async with serve() as service:
        call = service.stub.StreamGenerate(
            pb.GenerateRequest(prompt="hello", n=candidates, sampling=pb.Sampling(max_new_tokens=20))
        )
        messages = [message async for message in call]
    logged = {one.response_id: one.answer for one in home.logged()}
    assert len(messages) > candidates
    for index in range(candidates):
        mine = [message for message in messages if message.candidate == index]
        first, last = mine[0], mine[-1]
        assert first.stamp.response_id == last.stamp.response_id
        assert first.stamp.policy_version == last.stamp.policy_version == "v1"
        assert last.stamp.logged and last.stamp.feedback_token
        assert last.finish_reason in (pb.FINISH_REASON_STOP, pb.FINISH_REASON_LENGTH)
        assert not any(message.HasField("stamp") for message in mine[1:-1])
        answer = logged[last.stamp.response_id]
        assert "".join(message.text_delta for message in mine) == answer.text
        assert last.completion_tokens == len(answer.token_ids)


async def test_a_stream_sends_no_more_pieces_than_the_interval_allows(home: Any, serve: Any) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1)
    async with serve(generate={"stream_interval_ms": 1_000}) as service:
        started = monotonic()
        call = service.stub.StreamGenerate(pb.GenerateRequest(prompt="hello", sampling=pb.Sampling(max_new_tokens=60)))
        messages = [message async for message in call]
        seconds = monotonic() - started
    [kept] = home.logged()
    assert "".join(message.text_delta for message in messages) == kept.answer.text
    assert len(messages) <= 2 + seconds  # the first, the last, one a second


async def test_the_more_streams_the_fewer_pieces_each(home: Any, serve: Any) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1, endless=True)
    request = pb.GenerateRequest(prompt="hello", sampling=pb.Sampling(max_new_tokens=100))
    async with serve(generate={"stream_interval_ms": 20}) as service:

        async def pieces() -> int:
            return len([message async for message in service.stub.StreamGenerate(request)])

        started = monotonic()
        sent = await asyncio.gather(*(pieces() for _ in range(32)))
        seconds = monotonic() - started
    # Together those of eight streams; besides, of each one the first, the last, and one before all had begun.
    assert sum(sent) <= 8 * seconds / 0.020 + 32 * 3


async def test_a_stop_string_cuts_the_text_and_marks_the_answer(home: Any, serve: Any) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1)
    async with serve() as service:
        whole = await service.stub.Generate(
            pb.GenerateRequest(prompt="hello", sampling=pb.Sampling(greedy=True, max_new_tokens=40))
        )
        text = whole.candidates[0].text
        stop = text[3:5]
        cut_at = text.index(stop)
        sampling = pb.Sampling(greedy=True, max_new_tokens=40, stop=[stop, "never seen"])
        cut = await service.stub.Generate(pb.GenerateRequest(prompt="hello", sampling=sampling))
        call = service.stub.StreamGenerate(pb.GenerateRequest(prompt="hello", sampling=sampling))
        streamed = "".join([message.text_delta async for message in call])
        [served] = service.inference.policies.served("chat")
        assert served.engine.in_flight == 0
    [candidate] = cut.candidates
    assert candidate.text == streamed == text[:cut_at].rstrip()
    assert candidate.finish_reason == pb.FINISH_REASON_STOP_STRING
    assert candidate.completion_tokens < whole.candidates[0].completion_tokens


async def test_a_conversation_is_encoded_by_the_policys_template(home: Any, serve: Any) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1)
    turns = [("system", "be brief"), ("user", "hi"), ("assistant", "yes?"), ("user", "more")]
    async with serve() as service:
        conversation = pb.Conversation(messages=[pb.ChatMessage(role=role, content=text) for role, text in turns])
        await service.stub.Generate(pb.GenerateRequest(conversation=conversation))
    [kept] = home.logged()
    policy = load_causal(home.registry.fetch("chat", "v1"))
    expected = encode_prompt(policy.tokenizer, [Message(*turn) for turn in turns], 512)
    assert list(kept.answer.prompt_token_ids) == expected
    assert [(message.role, message.content) for message in kept.answer.messages] == turns


async def test_classify_answers_and_logs_the_probability_of_every_label_as_served(home: Any, serve: Any) -> None:
    manifest = home.publish("intent", PolicyKind.CLASSIFY, seed=2)
    floor = 0.3
    async with serve(classify={"probability_floor": floor}) as service:
        answer = await service.stub.Classify(pb.ClassifyRequest(text="where is my parcel"))
    [kept] = home.logged()
    assert isinstance(kept.answer, ClassifyAnswer)
    classifier = load_classifier(home.registry.fetch("intent", manifest.version))
    expected = classifier.probabilities(["where is my parcel"], floor)[0].tolist()
    assert kept.answer.probabilities == pytest.approx(expected, abs=1e-6)
    assert kept.answer.labels[kept.answer.label_index] == kept.answer.label == answer.label
    assert kept.answer.probability_floor == pytest.approx(floor)
    shown = [one.probability for one in answer.probabilities]
    assert shown == sorted(shown, reverse=True)
    assert math.isclose(sum(shown), 1.0, abs_tol=1e-5)
    assert min(shown) >= floor / 3 - 1e-6
    assert (answer.stamp.policy, answer.stamp.policy_version) == ("intent", "v1")
    assert answer.stamp.checkpoint_digest == manifest.digest


async def test_labels_are_drawn_from_the_probabilities_that_are_logged(home: Any, serve: Any) -> None:
    home.publish("intent", PolicyKind.CLASSIFY, seed=2)
    async with serve(classify={"probability_floor": 0.5}) as service:
        answers = [await service.stub.Classify(pb.ClassifyRequest(text="x")) for _ in range(300)]
    [probabilities] = {one.answer.probabilities for one in home.logged()}
    counts = [sum(a.label == label for a in answers) for label in ("refund", "delivery", "other")]
    # Pearson's chi-square with 2 degrees of freedom stays below 13.8 in 999 of 1,000 runs.
    expected = [300 * p for p in probabilities]
    assert sum((c - e) ** 2 / e for c, e in zip(counts, expected, strict=True)) < 13.8


@pytest.mark.parametrize("by_setting", [False, True])
async def test_an_argmax_answer_says_that_it_teaches_nothing(home: Any, serve: Any, by_setting: bool) -> None:
    home.publish("intent", PolicyKind.CLASSIFY, seed=2)
    async with serve(classify={"mode": "argmax" if by_setting else "sample"}) as service:
        answers = [
            await service.stub.Classify(pb.ClassifyRequest(text="x", greedy=None if by_setting else True))
            for _ in range(5)
        ]
    assert {a.label for a in answers} == {answers[0].probabilities[0].label}
    assert {one.not_learnable for one in home.logged()} == {"greedy"}


async def test_describe_policy_tells_what_is_served(home: Any, serve: Any) -> None:
    chat = home.publish("chat", PolicyKind.GENERATE, seed=1)
    home.publish("intent", PolicyKind.CLASSIFY, seed=2)
    async with serve() as service:
        everything = await service.stub.DescribePolicy(pb.DescribePolicyRequest())
        one = await service.stub.DescribePolicy(pb.DescribePolicyRequest(policy="chat"))
    assert [policy.policy for policy in everything.policies] == ["chat", "intent"]
    [described] = one.policies
    assert described.kind == pb.POLICY_KIND_GENERATE
    [served] = described.served
    assert (served.channel, served.policy_version, served.checkpoint_digest) == ("champion", "v1", chat.digest)
    assert (described.max_input_tokens, described.max_new_tokens) == (256, 256)
    intent = everything.policies[1]
    assert list(intent.labels) == ["refund", "delivery", "other"]
    assert intent.max_input_tokens == 64
    assert math.isclose(intent.probability_floor, 0.02, abs_tol=1e-7)


async def test_drawn_tokens_are_counted_by_version(home: Any, serve: Any) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1)
    async with serve() as service:
        answer = await service.stub.Generate(pb.GenerateRequest(prompt="hello", n=2))
        async for _ in service.stub.StreamGenerate(pb.GenerateRequest(prompt="hello")):
            pass
        drawn = sum(len(one.answer.token_ids) for one in home.logged())
        counted = service.metric("thumbwheel_generated_tokens_total", policy="chat", policy_version="v1")
    assert counted == drawn > sum(candidate.completion_tokens for candidate in answer.candidates)
