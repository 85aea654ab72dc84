"""The user's page and its questions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import asdict
from typing import Any, assert_never

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from thumbwheel.client.aio import AsyncStream, FeedbackId
from thumbwheel.client.answers import Candidate, Classification, PolicyDescription, Tagging
from thumbwheel.errors import InvalidInput, ThumbwheelError, Unavailable
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.web.deps import Deps
from thumbwheel.web.guard import is_local, posted
from thumbwheel.web.pages import NO_STORE, render
from thumbwheel.web.problems import body_of
from thumbwheel.web.visitor import csrf_token, remember, visitor_of

Answer = Classification[FeedbackId] | Candidate[FeedbackId] | Tagging[FeedbackId]

MAX_POLICY_CHARS = 100
_PAIR = 2
_TOO_LONG = re.compile(r"has (\d+) (?:tokens|words|characters), at most (\d+) are allowed")
_TWICE = 1.75  # rounded, from here on it is "about two times"
_NUMBERS = dict(enumerate(("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=2))


def _askable(kind: PolicyKind) -> bool:
    """Whether the page can ask a policy of that kind."""
    match kind:
        case PolicyKind.CLASSIFY | PolicyKind.GENERATE | PolicyKind.TAG:
            return True
        case _:
            assert_never(kind)


def routes(deps: Deps) -> list[Route]:
    """Return the routes of asking."""

    async def page(request: Request) -> Response:
        visitor = visitor_of(request, deps.secret)
        context = {
            "csrf": csrf_token(visitor, deps.secret),
            "policies": [policy_json(policy, deps) for policy in await _policies(deps) if _askable(policy.kind)],
            "operator_link": deps.operate_remotely or is_local(request),
        }
        response = render("ask.html", context)
        remember(response, visitor, request, deps.secret)
        return response

    async def classify(request: Request) -> Response:
        visitor, fields = await posted(request, deps)
        fields.only("policy", "text")
        policy = fields.text("policy", MAX_POLICY_CHARS)
        text = fields.text("text", deps.max_chars(PolicyKind.CLASSIFY))
        with _as_on_the_page():
            return _answers([await deps.client.classify(text, policy, user=visitor.user)])

    async def tag(request: Request) -> Response:
        visitor, fields = await posted(request, deps)
        fields.only("policy", "text")
        policy = fields.text("policy", MAX_POLICY_CHARS)
        text = fields.text("text", deps.max_chars(PolicyKind.TAG))
        with _as_on_the_page():
            return _answers([await deps.client.tag(text, policy, user=visitor.user)])

    async def generate(request: Request) -> Response:
        visitor, fields = await posted(request, deps)
        fields.only("policy", "text", "candidates")
        policy = fields.text("policy", MAX_POLICY_CHARS)
        text = fields.text("text", deps.max_chars(PolicyKind.GENERATE))
        with _as_on_the_page():
            if fields.integer("candidates", 1, _PAIR) == 1:
                return await _streamed(deps.client.stream(text, policy, user=visitor.user))
            return _answers((await deps.client.generate(text, policy, n=_PAIR, user=visitor.user)).candidates)

    return [
        Route("/", page, methods=["GET"]),
        Route("/ask/classify", classify, methods=["POST"]),
        Route("/ask/tag", tag, methods=["POST"]),
        Route("/ask/generate", generate, methods=["POST"]),
    ]


@contextmanager
def _as_on_the_page() -> Iterator[None]:
    """Let a message that the service refuses be called what it is called here, and one too long in words for users."""
    try:
        yield
    except InvalidInput as error:
        field = "text" if error.field == "prompt" else error.field
        if field == "text" and (found := _TOO_LONG.match(error.problem)):
            raise _TooLong(field, _too_long(int(found[1]), int(found[2]))) from error
        raise InvalidInput(field, error.problem) from error


class _TooLong(InvalidInput):
    """Told to who wrote the message, who knows of no fields."""

    def __str__(self) -> str:
        return self.problem


def _too_long(size: int, most: int) -> str:
    """How much too long a message is, of units that users need not know: tokens, words or characters."""
    times = size / most
    if times < _TWICE:
        return f"Your message is too long: leave out about {10 * math.ceil(10 * (1 - most / size))}\u202f%."
    named = _NUMBERS.get(round(times), f"{round(times):,}")
    return f"Your message is too long: about {named} times what this policy reads."


async def _policies(deps: Deps) -> Sequence[PolicyDescription]:
    """Return what can be asked; nothing while the service is away, so that the page itself still opens."""
    try:
        return await deps.client.describe()
    except Unavailable:
        return []


def policy_json(policy: PolicyDescription, deps: Deps) -> dict[str, Any]:
    """Return what the page shows of a policy; `version` is the champion's, `is_drawn` whether its labels are drawn."""
    version = next((one.version for one in policy.served if one.channel == Channel.CHAMPION), "")
    return {
        "name": policy.policy,
        "kind": policy.kind,
        "version": version,
        "labels": policy.labels,
        "is_drawn": deps.are_drawn(policy.kind),
        "max_chars": deps.max_chars(policy.kind),
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    """Return an answer as the page's script reads it.

    The feedback token goes along: it is good only together with the visitor's signed cookie, which scripts
    can not read, and keeping it in the page keeps this server without state.
    """
    receipt = answer.receipt
    shared = {
        "response_id": receipt.response_id,
        "feedback_token": receipt.token,
        "policy": receipt.policy,
        "version": receipt.version,
        "rateable": receipt.logged,
    }
    shown: dict[str, Any] = {"finish_reason": "", "probabilities": [], "words": []}
    match answer:
        case Candidate():
            shown |= {"text": answer.text, "finish_reason": answer.finish_reason}
        case Classification():
            likely = [{"label": label, "probability": p} for label, p in answer.probabilities.items()]
            shown |= {"text": answer.label, "probabilities": likely}
        case Tagging():
            words = [asdict(word) for word in answer.words]
            shown |= {"text": " ".join(answer.tags), "words": words}
        case _:
            assert_never(answer)
    return {**shared, **shown}


def _answers(answers: Sequence[Answer]) -> Response:
    return JSONResponse({"answers": [answer_json(answer) for answer in answers]}, headers=NO_STORE)


async def _streamed(stream: AsyncStream) -> Response:
    """Return a stream of JSON lines. What fails before the first line still gets a status of its own."""
    lines = _lines(stream)
    first = await anext(lines)
    headers = {**NO_STORE, "X-Accel-Buffering": "no"}
    return StreamingResponse(_from(first, lines), media_type="application/x-ndjson", headers=headers)


async def _from(first: bytes, lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield all lines; an error on the way becomes the last one."""
    async with aclosing(lines):
        yield first
        try:
            async for line in lines:
                yield line
        except ThumbwheelError as error:
            yield _line(body_of(error))


async def _lines(stream: AsyncStream) -> AsyncGenerator[bytes, None]:
    """Yield the text as it is made, then the whole answer. Closed early, it stops the computation."""
    async with stream:
        async for delta in stream:
            yield _line({"text": delta})
        yield _line({"answer": answer_json((await stream.generation()).first)})


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
