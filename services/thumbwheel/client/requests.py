"""What the clients send: from Python values to the contract's messages."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TypedDict

from thumbwheel.errors import InvalidInput
from thumbwheel.feedback.v1 import feedback_pb2 as fb
from thumbwheel.inference.v1 import inference_pb2 as inf
from thumbwheel.records import FeedbackKind, Message

_KINDS = {
    FeedbackKind.THUMB: fb.FEEDBACK_KIND_THUMB,
    FeedbackKind.RATING: fb.FEEDBACK_KIND_RATING,
    FeedbackKind.RANKING: fb.FEEDBACK_KIND_RANKING,
    FeedbackKind.EDIT: fb.FEEDBACK_KIND_EDIT,
}


class Sampling(TypedDict, total=False):
    """How tokens are drawn; what is left out is the service's default.

    With `top_p` < 1, `top_k` > 0, `stop` or `greedy` the answer teaches nothing.
    """

    temperature: float  # 0 < t <= 5
    top_p: float  # 0 < p <= 1
    top_k: int  # 0: off
    max_new_tokens: int
    stop: Sequence[str]  # at most 4 strings of at most 64 characters
    greedy: bool


def generate_request(
    prompt: str | Sequence[Message], policy: str, n: int, user: str, request_id: str, sampling: Sampling
) -> inf.GenerateRequest:
    """Return the request for `n` candidates. Raises InvalidInput for what the contract can't carry."""
    try:
        request = _with_input(prompt)
        request.MergeFrom(inf.GenerateRequest(policy=policy, n=n, user=user_message(user), request_id=request_id))
        if sampling:
            request.sampling.CopyFrom(inf.Sampling(**sampling))
    except ValueError as error:
        raise InvalidInput("n or sampling", f"out of range: {error}") from error
    return request


def classify_request(text: str, policy: str, user: str, request_id: str, greedy: bool) -> inf.ClassifyRequest:
    """Return the request for one label. Raises InvalidInput for text that UTF-8 can't carry."""
    return inf.ClassifyRequest(
        policy=utf8("policy", policy),
        text=utf8("text", text),
        user=user_message(user),
        request_id=utf8("request_id", request_id),
        greedy=greedy or None,
    )


def user_message(user: str) -> inf.User | None:
    """Return who asks; None for an anonymous user."""
    return inf.User(id=utf8("user", user)) if user else None


def _with_input(prompt: str | Sequence[Message]) -> inf.GenerateRequest:
    if isinstance(prompt, str):
        return inf.GenerateRequest(prompt=utf8("prompt", prompt))
    messages = [
        inf.ChatMessage(role=message.role, content=utf8(f"messages[{index}].content", message.content))
        for index, message in enumerate(prompt)
    ]
    return inf.GenerateRequest(conversation=inf.Conversation(messages=messages))


def utf8(field: str, text: str) -> str:
    """Return `text`. Raises InvalidInput when it holds half a surrogate pair, which UTF-8 can't carry."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(field, f"character {error.start} is not valid Unicode; remove it") from error
    return text


def new_feedback_id() -> str:
    """Return an id under which feedback counts once, however often it is sent."""
    return str(uuid.uuid4())


def retract_request(response_id: str, token: str, user: str, kind: FeedbackKind) -> fb.RetractFeedbackRequest:
    """Return the request that takes back the current vote of a kind."""
    return fb.RetractFeedbackRequest(
        feedback_id=new_feedback_id(), response_id=response_id, feedback_token=token, kind=_KINDS[kind], user_id=user
    )
