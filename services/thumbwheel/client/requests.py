"""What the clients send: from Python values to the contract's messages."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypedDict, TypeVar

from thumbwheel.client.values import LIMITS, flag, int32, items, real, strings, utf8
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

# A turn of a conversation may be written as a mapping of "role" and "content" too.
Prompt: TypeAlias = str | Sequence[Message | Mapping[str, object]]


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


_SAMPLING: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "temperature": real,
    "top_p": real,
    "top_k": int32,
    "max_new_tokens": int32,
    "stop": strings,
    "greedy": flag,
}


def generate_request(
    prompt: Prompt, policy: str, n: int, user: str, request_id: str, sampling: Sampling
) -> inf.GenerateRequest:
    """Return the request for `n` candidates. Raises InvalidInput for what the contract can't carry."""
    request = _with_input(prompt)
    request.MergeFrom(request_of(inf.GenerateRequest, policy=policy, n=n, request_id=request_id))
    request.MergeFrom(inf.GenerateRequest(user=user_message(user)))
    if sampling:
        request.sampling.CopyFrom(_sampling_message(sampling))
    return request


def _sampling_message(sampling: Sampling) -> inf.Sampling:
    _only(sampling, "sampling", _SAMPLING)
    given = {name: value for name, value in sampling.items() if value is not None}
    return inf.Sampling(**{name: _SAMPLING[name](f"sampling.{name}", value) for name, value in given.items()})


def _only(given: Mapping[str, object], field: str, known: Mapping[str, object] | Sequence[str]) -> None:
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise InvalidInput(field, f"has no {ascii(unknown)[:60]}; known are {', '.join(known)}")


def classify_request(text: str, policy: str, user: str, request_id: str, greedy: bool) -> inf.ClassifyRequest:
    """Return the request for one label. Raises InvalidInput for what the contract can't carry."""
    return inf.ClassifyRequest(
        policy=utf8("policy", policy),
        text=utf8("text", text),
        user=user_message(user),
        request_id=utf8("request_id", request_id),
        greedy=flag("greedy", greedy) or None,
    )


def tag_request(text: str | Sequence[str], policy: str, user: str, request_id: str, greedy: bool) -> inf.TagRequest:
    """Return the request for tags, of a text or of its words. Raises InvalidInput for what the contract can't carry."""
    said = {"text": utf8("text", text)} if isinstance(text, str) else {"tokens": strings("text", text)}
    if not isinstance(text, str) and not said["tokens"]:
        raise InvalidInput("text", "has no words: give a string, or a list of at least one")
    return inf.TagRequest(
        policy=utf8("policy", policy),
        user=user_message(user),
        request_id=utf8("request_id", request_id),
        greedy=flag("greedy", greedy) or None,
        **said,
    )


def user_message(user: str) -> inf.User | None:
    """Return who asks; None for an anonymous user."""
    return inf.User(id=utf8("user", user)) if user else None


def _with_input(prompt: Prompt) -> inf.GenerateRequest:
    if isinstance(prompt, str):
        return inf.GenerateRequest(prompt=utf8("prompt", prompt))
    turns = items("prompt", prompt, "a string or a list of messages")
    messages = [_chat_message(f"messages[{index}]", turn) for index, turn in enumerate(turns)]
    return inf.GenerateRequest(conversation=inf.Conversation(messages=messages))


def _chat_message(field: str, turn: Message | Mapping[str, object]) -> inf.ChatMessage:
    message = _message(field, turn)
    return inf.ChatMessage(role=utf8(f"{field}.role", message.role), content=utf8(f"{field}.content", message.content))


def _message(field: str, turn: Message | Mapping[str, Any]) -> Message:
    if isinstance(turn, Message):
        return turn
    if not isinstance(turn, Mapping):
        raise InvalidInput(field, f"must be a Message or a mapping of role and content, got {type(turn).__name__}")
    _only(turn, field, ("role", "content"))
    for name in ("role", "content"):
        if name not in turn:
            raise InvalidInput(f"{field}.{name}", "is missing; a message has role and content")
    return Message(turn["role"], turn["content"])


def request_of(message: Callable[..., M], **fields: Any) -> M:
    """Return the message with these fields. Raises InvalidInput, naming the field, for what it can't carry."""
    return message(**{name: _carried(name, value) for name, value in fields.items()})


def _carried(field: str, value: Any) -> str | int:
    return int32(field, value) if field in LIMITS else utf8(field, value)


def new_feedback_id() -> str:
    """Return an id under which feedback counts once, however often it is sent."""
    return str(uuid.uuid4())


def retract_request(response_id: str, token: str, user: str, kind: FeedbackKind) -> fb.RetractFeedbackRequest:
    """Return the request that takes back the current vote of a kind."""
    request = request_of(fb.RetractFeedbackRequest, response_id=response_id, feedback_token=token, user_id=user)
    request.feedback_id, request.kind = new_feedback_id(), _KINDS[kind]
    return request
