"""The door of inference: converts, calls the engine, logs, converts back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

from grpc.aio import ServicerContext
from structlog.contextvars import bind_contextvars

from thumbwheel.config.settings import Classify, Generate, Tag
from thumbwheel.errors import DeadlineMissed, Overloaded, UnknownPolicy
from thumbwheel.inference.beside import Beside
from thumbwheel.inference.engine import ClassifyEngine, EngineLimits, Labelled, TagEngine, Tagged
from thumbwheel.inference.generate_task import GenerateTask
from thumbwheel.inference.request_log import Origin, RequestLog, new_id
from thumbwheel.inference.swap import PolicyInfo, ServedPolicies
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.v1 import inference_pb2_grpc
from thumbwheel.inference.validate import (
    Asker,
    ClassifyQuery,
    GenerateQuery,
    TagQuery,
    check_classify,
    check_generate,
    check_tag,
)
from thumbwheel.records import ClassifyAnswer, PolicyKind, TagAnswer
from thumbwheel.telemetry.metrics import QueueMetrics

# version "00", trace id, parent id and flags, joined by "-"
_TRACE_PARENT_CHARS = 55
SERVICE = "thumbwheel.inference.v1.InferenceService"

_KIND = {
    PolicyKind.GENERATE: pb.POLICY_KIND_GENERATE,
    PolicyKind.CLASSIFY: pb.POLICY_KIND_CLASSIFY,
    PolicyKind.TAG: pb.POLICY_KIND_TAG,
}

_Context = ServicerContext[Any, Any]
_T = TypeVar("_T")


class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """Implements `thumbwheel.inference.v1.InferenceService`."""

    def __init__(
        self,
        policies: ServedPolicies,
        request_log: RequestLog,
        generate: Generate,
        classify: Classify,
        tag: Tag,
        metrics: QueueMetrics,
        beside: Beside,
    ) -> None:
        """Answer with what `policies` serve, within the limits of the settings; trials and shadows go on `beside`."""
        self._policies = policies
        self._request_log = request_log
        self._generate = generate
        self._classify = classify
        self._tag = tag
        self._metrics = metrics
        self._beside = beside

    async def Generate(self, request: pb.GenerateRequest, context: _Context) -> pb.GenerateResponse:
        """One or more candidates, each with its own stamp."""
        query = check_generate(request, self._generate)
        return await _within_deadline(context, self._generated(query, context))

    # Messages are written, not yielded: a cancelled call is then cancelled at this very place, not when a suspended
    # generator happens to be collected.
    async def StreamGenerate(  # type: ignore[override]
        self, request: pb.GenerateRequest, context: _Context
    ) -> None:
        """The same as it is made. A candidate's last message follows its durable log entry."""
        query = check_generate(request, self._generate)
        await _within_deadline(context, self._streamed(query, context))

    async def Classify(self, request: pb.ClassifyRequest, context: _Context) -> pb.ClassifyResponse:
        """One label, and the probability of every label as served."""
        query = check_classify(request, self._classify)
        return await _within_deadline(context, self._classified(query, context))

    async def Tag(self, request: pb.TagRequest, context: _Context) -> pb.TagResponse:
        """One tag for each word, and how likely it was."""
        query = check_tag(request, self._tag)
        return await _within_deadline(context, self._tagged(query, context))

    async def DescribePolicy(self, request: pb.DescribePolicyRequest, context: _Context) -> pb.DescribePolicyResponse:
        """What is served now; with an empty name everything."""
        self._policies.demand_known()
        infos = [info for info in self._policies.known() if request.policy in ("", info.policy)]
        if request.policy and not infos:
            have = ", ".join(info.policy for info in self._policies.known()) or "none"
            raise UnknownPolicy(f"policy: {request.policy[:64]!r} does not exist; there is: {have}")
        return pb.DescribePolicyResponse(policies=[self._describe(info) for info in infos])

    async def _generated(self, query: GenerateQuery, context: _Context) -> pb.GenerateResponse:
        with self._origin(query.policy, PolicyKind.GENERATE, query.asker, context) as origin:
            task = GenerateTask(self._request_log, origin, query)
            await self._drawn(origin, task, None)
            stamps = await task.log()
            self._beside.shadows.generated(origin.served.ref.policy, query)
        return pb.GenerateResponse(candidates=[task.candidate(i, stamp) for i, stamp in enumerate(stamps)])

    async def _streamed(self, query: GenerateQuery, context: _Context) -> None:
        with self._origin(query.policy, PolicyKind.GENERATE, query.asker, context) as origin:
            task = GenerateTask(self._request_log, origin, query)
            await self._drawn(origin, task, context)
            self._beside.shadows.generated(origin.served.ref.policy, query)

    async def _classified(self, query: ClassifyQuery, context: _Context) -> pb.ClassifyResponse:
        with self._origin(query.policy, PolicyKind.CLASSIFY, query.asker, context) as origin:
            engine = cast(ClassifyEngine, origin.served.engine)
            labelled = await self._counted("classify", engine.classify(query.text, query.greedy))
            answer = _classify_answer(query, labelled, engine.limits)
            not_learnable = "" if labelled.sampled else "greedy"
            logged = self._request_log.response(origin, new_id(), answer, not_learnable)
            [stamp] = await self._request_log.log(origin, [logged])
            self._beside.shadows.classified(origin.served.ref.policy, query, labelled.label_index)
        return _classify_response(stamp, answer)

    async def _tagged(self, query: TagQuery, context: _Context) -> pb.TagResponse:
        with self._origin(query.policy, PolicyKind.TAG, query.asker, context) as origin:
            engine = cast(TagEngine, origin.served.engine)
            words = [word.text for word in query.words]
            tagged = await self._counted("tag", engine.tag(words, query.greedy))
            answer = _tag_answer(query, tagged, engine.limits)
            not_learnable = "" if tagged.sampled else "greedy"
            logged = self._request_log.response(origin, new_id(), answer, not_learnable)
            [stamp] = await self._request_log.log(origin, [logged])
            self._beside.shadows.tagged(origin.served.ref.policy, query, tagged.tag_indices)
        return _tag_response(stamp, answer)

    @contextmanager
    def _origin(self, name: str, kind: PolicyKind, asker: Asker, context: _Context) -> Iterator[Origin]:
        """Choose who answers and keep that engine to the end of the request."""
        policy = self._policies.resolve(name, kind)
        user_hash = self._request_log.user_hash(asker)
        self._beside.demand_pace(user_hash)
        counting = partial(self._beside.tally.counting, time_left_s=context.time_remaining)
        with self._policies.choose(policy, user_hash).lease() as served, counting(served):
            bind_contextvars(policy=policy, policy_version=served.ref.version)
            yield self._request_log.origin(asker, user_hash, served, _trace_parent(context))

    async def _drawn(self, origin: Origin, task: GenerateTask, out: _Context | None) -> None:
        ref = origin.served.ref
        try:
            await self._counted("generate", task.run(out))
        finally:
            # Those too that were drawn before who asked went away.
            self._metrics.tokens.inc(task.tokens, policy=ref.policy, policy_version=ref.version)

    async def _counted(self, queue: str, work: Awaitable[_T]) -> _T:
        self._metrics.depth.add(1, queue=queue)
        try:
            return await work
        except Overloaded:
            self._metrics.refused.inc(queue=queue)
            raise
        finally:
            self._metrics.depth.add(-1, queue=queue)

    def _describe(self, info: PolicyInfo) -> pb.PolicyDescription:
        served = self._policies.served(info.policy)
        limits = served[0].engine.limits if served else EngineLimits()
        versions = [
            pb.ServedVersion(
                channel=one.channel.value, policy_version=one.ref.version, checkpoint_digest=one.ref.digest
            )
            for one in served
        ]
        return pb.PolicyDescription(
            policy=info.policy,
            kind=_KIND[info.kind],
            served=versions,
            labels=limits.labels,
            max_input_tokens=limits.max_input_tokens,
            max_new_tokens=limits.max_new_tokens,
            probability_floor=limits.probability_floor,
        )


async def _within_deadline(context: _Context, work: Awaitable[_T]) -> _T:
    """Stop the work when the caller's deadline passes. Raises DeadlineMissed."""
    # The stubs leave out that without a deadline there is no time remaining.
    remaining_s: float | None = context.time_remaining()
    if remaining_s is None:
        return await work
    try:
        async with asyncio.timeout(remaining_s):
            return await work
    except TimeoutError as error:
        raise DeadlineMissed("the deadline passed before the answer was there: allow more time") from error


def _trace_parent(context: _Context) -> str:
    """The caller's W3C trace context, if it sent one of the right length."""
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent" and isinstance(value, str) and len(value) == _TRACE_PARENT_CHARS:
            return value
    return ""


def _classify_answer(query: ClassifyQuery, labelled: Labelled, limits: EngineLimits) -> ClassifyAnswer:
    return ClassifyAnswer(
        text=query.text,
        label_index=labelled.label_index,
        label=limits.labels[labelled.label_index],
        probabilities=labelled.probabilities,
        probability_floor=limits.probability_floor,
        labels=limits.labels,
    )


def _classify_response(stamp: pb.Stamp, answer: ClassifyAnswer) -> pb.ClassifyResponse:
    ranked = sorted(zip(answer.labels, answer.probabilities, strict=True), key=lambda pair: -pair[1])
    return pb.ClassifyResponse(
        stamp=stamp,
        label=answer.label,
        probabilities=[pb.LabelProbability(label=label, probability=p) for label, p in ranked],
    )


def _tag_answer(query: TagQuery, tagged: Tagged, limits: EngineLimits) -> TagAnswer:
    return TagAnswer(
        text=query.text,
        tokens=tuple(word.text for word in query.words),
        starts=tuple(word.start for word in query.words),
        ends=tuple(word.end for word in query.words),
        tag_indices=tagged.tag_indices,
        probabilities=tagged.probabilities,
        probability_floor=limits.probability_floor,
        labels=limits.labels,
    )


def _tag_response(stamp: pb.Stamp, answer: TagAnswer) -> pb.TagResponse:
    words = zip(answer.tokens, answer.tags, answer.starts, answer.ends, answer.tag_indices, answer.rows, strict=True)
    return pb.TagResponse(
        stamp=stamp,
        tokens=[
            pb.TaggedToken(token=token, tag=tag, start=start, end=end, probability=row[index])
            for token, tag, start, end, index, row in words
        ],
    )
