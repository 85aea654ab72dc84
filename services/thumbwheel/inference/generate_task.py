"""The work of one generate request: from the checked query to logged and stamped candidates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from grpc.aio import ServicerContext

from thumbwheel.errors import InvalidInput
from thumbwheel.inference.engine import Drawing, EngineLimits, GenerateEngine, Progress
from thumbwheel.inference.request_log import Origin, RequestLog, new_id
from thumbwheel.inference.sampling import Finish, Sampling
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.validate import GenerateQuery
from thumbwheel.records import GenerateAnswer, LoggedResponse

_FINISH = {
    Finish.STOP: pb.FINISH_REASON_STOP,
    Finish.LENGTH: pb.FINISH_REASON_LENGTH,
    Finish.STOP_STRING: pb.FINISH_REASON_STOP_STRING,
}

_Stream = ServicerContext[Any, pb.StreamGenerateResponse]


class GenerateTask:
    """One generate request on its way: candidates, their ids, and what becomes of them."""

    def __init__(self, request_log: RequestLog, origin: Origin, query: GenerateQuery) -> None:
        """Encode the prompt of `query` for the engine of `origin`; what it draws goes into `request_log`.

        Raises InvalidInput when the prompt, or the length asked for, is more than this version takes.
        """
        self._request_log = request_log
        self._origin = origin
        self._query = query
        self._engine = cast(GenerateEngine, origin.served.engine)
        self._sampling = _within(query.sampling, self._engine.limits)
        self._prompt_ids = self._engine.encode(query.messages)
        self._ids = [new_id() for _ in range(query.candidates)]
        self._begun: set[int] = set()
        self._answers: dict[int, LoggedResponse] = {}
        self._drawing: Drawing | None = None

    @property
    def tokens(self) -> int:
        """How many tokens were drawn so far."""
        return self._drawing.tokens if self._drawing is not None else 0

    async def run(self, out: _Stream | None) -> None:
        """Draw the candidates; with `out`, write messages as text is made and each candidate's end once logged."""
        async with self._engine.generate(
            self._prompt_ids, self._sampling, self._query.candidates, stream=out is not None
        ) as self._drawing:
            async for step in self._drawing:
                if step.finished is not None:
                    self._answers[step.candidate] = self._answer(step)
                if out is not None:
                    await out.write(await self._message(step))

    async def log(self) -> list[pb.Stamp]:
        """Make all candidates durable at once; their stamps in order."""
        return await self._request_log.log(self._origin, [self._answers[i] for i in range(self._query.candidates)])

    def candidate(self, index: int, stamp: pb.Stamp) -> pb.Candidate:
        """One candidate of a unary answer."""
        answer = self._answers[index].answer
        assert isinstance(answer, GenerateAnswer)
        return pb.Candidate(
            stamp=stamp,
            text=answer.text,
            finish_reason=_FINISH[Finish(answer.finish_reason)],
            prompt_tokens=len(answer.prompt_token_ids),
            completion_tokens=len(answer.token_ids),
        )

    async def _message(self, step: Progress) -> pb.StreamGenerateResponse:
        message = pb.StreamGenerateResponse(candidate=step.candidate, text_delta=step.delta)
        if step.finished is not None:
            [stamp] = await self._request_log.log(self._origin, [self._answers[step.candidate]])
            message.stamp.CopyFrom(stamp)
            message.finish_reason = _FINISH[step.finished.finish]
            message.prompt_tokens = len(self._prompt_ids)
            message.completion_tokens = len(step.finished.token_ids)
        elif step.candidate not in self._begun:
            message.stamp.CopyFrom(self._request_log.preliminary_stamp(self._origin, self._ids[step.candidate]))
        self._begun.add(step.candidate)
        return message

    def _answer(self, step: Progress) -> LoggedResponse:
        done = step.finished
        assert done is not None
        answer = GenerateAnswer(
            messages=self._query.messages,
            text=done.text,
            prompt_token_ids=tuple(self._prompt_ids),
            token_ids=done.token_ids,
            logprobs=done.logprobs,
            temperature=self._sampling.temperature,
            top_p=self._sampling.top_p,
            top_k=self._sampling.top_k,
            max_new_tokens=self._sampling.max_new_tokens,
            finish_reason=done.finish.value,
            candidate=step.candidate,
            candidates=self._query.candidates,
        )
        not_learnable = self._sampling.not_learnable(done.finish)
        return self._request_log.response(self._origin, self._ids[step.candidate], answer, not_learnable)


def _within(sampling: Sampling, limits: EngineLimits) -> Sampling:
    """Hold the length asked for against this version's limit; the default shrinks to it."""
    if sampling.max_new_tokens <= limits.max_new_tokens:
        return sampling
    if sampling.asked_length:
        raise InvalidInput(
            "sampling.max_new_tokens",
            f"must lie in 1..{limits.max_new_tokens} for this policy, got {sampling.max_new_tokens}",
        )
    return replace(sampling, max_new_tokens=limits.max_new_tokens)
