"""The demo service's door of inference: answers by rules a test can foresee."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from demo_door import Door, refusing
from demo_facts import HELPDESK, KEYS, LABELS, PLACES, TAGS, TOPICS, now_us
from demo_world import World

from thumbwheel.errors import InvalidInput, UnknownPolicy
from thumbwheel.feedback.raters import Raters
from thumbwheel.feedback.tokens import TokenSigner
from thumbwheel.inference.v1 import inference_pb2 as inf
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceServicer
from thumbwheel.policy.words import split_words
from thumbwheel.records import (
    Answer,
    Channel,
    ClassifyAnswer,
    GenerateAnswer,
    LoggedResponse,
    Message,
    TagAnswer,
    VersionRef,
)


class Inference(Door, InferenceServiceServicer):
    """Answers by rule."""

    @refusing
    def DescribePolicy(self, request: inf.DescribePolicyRequest, context: grpc.ServicerContext) -> Any:
        kinds = {HELPDESK: inf.POLICY_KIND_GENERATE, TOPICS: inf.POLICY_KIND_CLASSIFY}
        if self.world.tags_words:
            kinds[PLACES] = inf.POLICY_KIND_TAG
        labels = {TOPICS: LABELS, PLACES: TAGS}
        policies = [
            inf.PolicyDescription(
                policy=policy,
                kind=kind,
                served=[inf.ServedVersion(channel="champion", policy_version=self.world.champion(policy))],
                labels=labels.get(policy, ()),
            )
            for policy, kind in kinds.items()
            if request.policy in ("", policy)
        ]
        return inf.DescribePolicyResponse(policies=policies)

    @refusing
    def Classify(self, request: inf.ClassifyRequest, context: grpc.ServicerContext) -> Any:
        if request.policy != TOPICS:
            raise UnknownPolicy(f"policy: {request.policy!r} is not served; there are: {TOPICS}")
        label = next((label for label in LABELS if label in request.text.lower()), "other")
        order = sorted(LABELS, key=lambda one: one != label)
        probabilities = [0.85, 0.05, 0.05, 0.05]
        answer = ClassifyAnswer(request.text, LABELS.index(label), label, (0.25,) * 4, 0.02, LABELS)
        stamp = _stamped(self.world, TOPICS, request.user.id, answer)
        likely = [inf.LabelProbability(label=one, probability=p) for one, p in zip(order, probabilities, strict=True)]
        return inf.ClassifyResponse(stamp=stamp, label=label, probabilities=likely)

    @refusing
    def Generate(self, request: inf.GenerateRequest, context: grpc.ServicerContext) -> Any:
        _demand_helpdesk(request)
        openings = ["Thank you for writing:", "Sorry to hear that:"]
        candidates = []
        for index in range(request.n or 1):
            text = f"{openings[index % 2]} {request.prompt}"
            stamp = _stamped(self.world, HELPDESK, request.user.id, _generated(request.prompt, text))
            candidates.append(inf.Candidate(stamp=stamp, text=text, finish_reason=inf.FINISH_REASON_STOP))
        return inf.GenerateResponse(candidates=candidates)

    @refusing
    def StreamGenerate(self, request: inf.GenerateRequest, context: grpc.ServicerContext) -> Any:
        _demand_helpdesk(request)
        return self._words(request, context)

    @refusing
    def Tag(self, request: inf.TagRequest, context: grpc.ServicerContext) -> Any:
        """Words with a capital are cities; those all in capitals are tagged as going on with one."""
        if request.policy != PLACES:
            raise UnknownPolicy(f"policy: {request.policy!r} is not served; there are: {PLACES}")
        words = split_words(request.text)
        tags = tuple(int(word.text[0].isupper()) + int(word.text.isupper()) for word in words)
        answer = TagAnswer(
            request.text,
            tuple(word.text for word in words),
            tuple(word.start for word in words),
            tuple(word.end for word in words),
            tags,
            (0.25, 0.5, 0.25) * len(words),
            0.02,
            TAGS,
        )
        tokens = [
            inf.TaggedToken(token=word.text, tag=TAGS[tag], start=word.start, end=word.end, probability=0.5)
            for word, tag in zip(words, tags, strict=True)
        ]
        return inf.TagResponse(stamp=_stamped(self.world, PLACES, request.user.id, answer), tokens=tokens)

    def _words(self, request: inf.GenerateRequest, context: grpc.ServicerContext) -> Iterator[Any]:
        context.add_callback(lambda: None if context.is_active() else self.world.cancelled.set())
        text = f"Thank you for writing: {request.prompt}"
        stamp = _stamped(self.world, HELPDESK, request.user.id, _generated(request.prompt, text))
        yield inf.StreamGenerateResponse(stamp=stamp)
        for index, word in enumerate(text.split(" ")):
            yield inf.StreamGenerateResponse(text_delta=word if index == 0 else f" {word}")
            self.world.stream_gate.wait(timeout=60)
            if "break" in self.world.failures:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the engine went away")
        yield inf.StreamGenerateResponse(stamp=stamp, finish_reason=inf.FINISH_REASON_STOP)


def _demand_helpdesk(request: inf.GenerateRequest) -> None:
    if request.policy != HELPDESK:
        raise UnknownPolicy(f"policy: {request.policy!r} is not served; there are: {HELPDESK}")
    if not request.prompt:
        raise InvalidInput("prompt", "must have 1 to 16,000 characters")


def _generated(prompt: str, text: str) -> GenerateAnswer:
    return GenerateAnswer((Message("", prompt),), text, (1,), (2,), (-0.5,), 1.0, 1.0, 0, 64, "stop", 0, 1)


def _stamped(world: World, policy: str, user: str, answer: Answer) -> inf.Stamp:
    """Log an answer and return its stamp."""
    response_id, version = world.next_id(), world.champion(policy)
    ref = VersionRef(policy, version, "sha256:ab")
    rater = Raters(KEYS.user_key).rater(user, response_id)
    token = TokenSigner(KEYS, 3600).sign(response_id, response_id, rater, policy, version, now_us())
    world.responses[response_id] = LoggedResponse(
        response_id, response_id, ref, Channel.CHAMPION, "", rater, "", now_us(), "", answer
    )
    return inf.Stamp(
        response_id=response_id,
        policy=policy,
        policy_version=version,
        checkpoint_digest=ref.digest,
        feedback_token=token,
        channel="champion",
        logged=world.logged,
    )
