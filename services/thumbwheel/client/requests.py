"""What the clients send: from Python values to the contract's messages."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Final, TypedDict, TypeVar

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

M = TypeVar("M")

# What the service allows at most, whatever its settings; told where the contract can not even carry a number.
_LIMITS: Final = {
    "n": "1 to 8",
    "rating": "1 to 5",
    "limit": "1 to 1,000",
    "sampling.top_k": "0 to 1,000,000",
    "sampling.max_new_tokens": "1 to 4,096",
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
    request = _with_input(prompt)
    request.MergeFrom(request_of(inf.GenerateRequest, policy=policy, n=n, request_id=request_id))
    request.MergeFrom(inf.GenerateRequest(user=user_message(user)))
    if sampling:
        request.sampling.CopyFrom(_sampling_message(sampling))
    return request


def _sampling_message(sampling: Sampling) -> inf.Sampling:
    for name in ("top_k", "max_new_tokens"):
        if name in sampling:
            int32(f"sampling.{name}", sampling[name])
    for index, stop in enumerate(sampling.get("stop", ())):
        utf8(f"sampling.stop[{index}]", stop)
    return inf.Sampling(**sampling)


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


def request_of(message: Callable[..., M], **fields: str | int) -> M:
    """Return the message with these fields. Raises InvalidInput, naming the field, for what it can't carry."""
    return message(**{name: _carried(name, value) for name, value in fields.items()})


def _carried(field: str, value: str | int) -> str | int:
    return utf8(field, value) if isinstance(value, str) else int32(field, value)


def int32(field: str, value: int) -> int:
    """Return `value`. Raises InvalidInput when the contract's whole numbers, of 32 bits, can't carry it."""
    if not -(2**31) <= value < 2**31:
        raise InvalidInput(field, f"must be {_LIMITS[field]}: choose a number in that range")
    return value


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
    request = request_of(fb.RetractFeedbackRequest, response_id=response_id, feedback_token=token, user_id=user)
    request.feedback_id, request.kind = new_feedback_id(), _KINDS[kind]
    return request
