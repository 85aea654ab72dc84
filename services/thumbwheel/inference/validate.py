"""Requests as they come in, turned into checked ones. Every complaint names the field, the limit and the cure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from thumbwheel.config.settings import Classify, Generate, Tag
from thumbwheel.errors import InvalidInput
from thumbwheel.inference.sampling import Sampling
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.policy.words import Word, joined_words, split_words
from thumbwheel.records import ROLES, Message
from thumbwheel.texts import demand_no_zero

MAX_USER_ID_CHARS = 256
MAX_REQUEST_ID_CHARS = 128
MAX_MESSAGES = 256
MAX_STOP_STRINGS = 4
MAX_STOP_CHARS = 64
MAX_TEMPERATURE = 5.0
MIN_TEMPERATURE = 0.01
MAX_TOP_K = 1_000_000


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, in the client's words."""

    user_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class GenerateQuery:
    """A checked `GenerateRequest`. `sampling.max_new_tokens` still has to be held against the engine's limit."""

    policy: str
    messages: tuple[Message, ...]
    sampling: Sampling
    candidates: int
    asker: Asker


@dataclass(frozen=True, slots=True)
class ClassifyQuery:
    """A checked `ClassifyRequest`."""

    policy: str
    text: str
    greedy: bool
    asker: Asker


@dataclass(frozen=True, slots=True)
class TagQuery:
    """A checked `TagRequest`. `words` stand in `text`, which is the request's own or its tokens joined by blanks."""

    policy: str
    text: str
    words: tuple[Word, ...]
    greedy: bool
    asker: Asker


def check_generate(request: pb.GenerateRequest, settings: Generate) -> GenerateQuery:
    """Check everything that can be checked without the engine. Raises InvalidInput."""
    candidates = request.n or 1
    if not 1 <= candidates <= settings.max_candidates:
        problem = f"must be 1..{settings.max_candidates}, got {request.n}: leave it out for 1, or ask again for more"
        raise InvalidInput("n", problem)
    return GenerateQuery(
        request.policy,
        _messages(request, settings.max_input_chars),
        _sampling(request.sampling, settings),
        candidates,
        _asker(request.user, request.request_id),
    )


def check_classify(request: pb.ClassifyRequest, settings: Classify) -> ClassifyQuery:
    """Check everything that can be checked without the engine. Raises InvalidInput."""
    _demand_text("text", request.text)
    _demand_length("text", len(request.text), settings.max_input_chars)
    return ClassifyQuery(request.policy, request.text, request.greedy, _asker(request.user, request.request_id))


def check_tag(request: pb.TagRequest, settings: Tag) -> TagQuery:
    """Check everything that can be checked without the engine. Raises InvalidInput."""
    if request.text and request.tokens:
        raise InvalidInput("tokens", "stand beside text: send one of the two")
    text, words = _given_words(request, settings) if request.tokens else _found_words(request.text, settings)
    if len(words) > settings.max_words:
        field = "tokens" if request.tokens else "text"
        raise InvalidInput(field, f"has {len(words)} words, at most {settings.max_words} are allowed: shorten it")
    return TagQuery(request.policy, text, words, request.greedy, _asker(request.user, request.request_id))


def _given_words(request: pb.TagRequest, settings: Tag) -> tuple[str, tuple[Word, ...]]:
    for index, token in enumerate(request.tokens):
        if not split_words(token):
            raise InvalidInput(f"tokens[{index}]", "is empty or blank: leave it out")
    text, words = joined_words(request.tokens)
    _demand_length("tokens", len(text), settings.max_input_chars)
    return text, words


def _found_words(text: str, settings: Tag) -> tuple[str, tuple[Word, ...]]:
    _demand_text("text", text)
    _demand_length("text", len(text), settings.max_input_chars)
    words = split_words(text)
    if not words:
        raise InvalidInput("text", "has no word: send some text")
    return text, words


def _asker(user: pb.User, request_id: str) -> Asker:
    _demand_length("user.id", len(user.id), MAX_USER_ID_CHARS)
    demand_no_zero("user.id", user.id)  # a vote's is refused for one: the answer could never be rated
    _demand_length("request_id", len(request_id), MAX_REQUEST_ID_CHARS)
    return Asker(user.id, request_id)


def _messages(request: pb.GenerateRequest, max_chars: int) -> tuple[Message, ...]:
    kind = request.WhichOneof("input")
    if kind is None:
        raise InvalidInput("input", "is missing: set prompt or conversation")
    if kind == "prompt":
        _demand_text("prompt", request.prompt)
        _demand_length("prompt", len(request.prompt), max_chars)
        return (Message("", request.prompt),)
    turns = request.conversation.messages
    if not 1 <= len(turns) <= MAX_MESSAGES:
        problem = f"must have 1..{MAX_MESSAGES} messages, got {len(turns)}: send the user's and the latest before it"
        raise InvalidInput("conversation.messages", problem)
    for index, turn in enumerate(turns):
        _check_turn(f"conversation.messages[{index}]", turn)
    _demand_length("conversation", sum(len(turn.content) for turn in turns), max_chars)
    if turns[-1].role == "assistant":
        raise InvalidInput(
            f"conversation.messages[{len(turns) - 1}].role",
            "the last message must not be the assistant's: end with what is to be answered",
        )
    return tuple(Message(turn.role, turn.content) for turn in turns)


def _check_turn(field: str, turn: pb.ChatMessage) -> None:
    if turn.role not in ROLES:
        raise InvalidInput(f"{field}.role", f"must be one of {', '.join(ROLES)}")
    _demand_text(f"{field}.content", turn.content)


def _sampling(given: pb.Sampling, settings: Generate) -> Sampling:
    return Sampling(
        temperature=_temperature(given),
        top_p=_top_p(given),
        top_k=_between("sampling.top_k", given.top_k, 0, MAX_TOP_K, "0 keeps every token"),
        max_new_tokens=_new_tokens(given, settings),
        stop=_stop(given),
        greedy=given.greedy,
        asked_length=given.HasField("max_new_tokens"),
    )


def _temperature(given: pb.Sampling) -> float:
    if not given.HasField("temperature"):
        return 1.0
    value = given.temperature
    # The limit is a fp32 number as sent, hence a hair below 0.01.
    if not (math.isfinite(value) and MIN_TEMPERATURE * 0.999 <= value <= MAX_TEMPERATURE):
        raise InvalidInput(
            "sampling.temperature",
            f"must lie in {MIN_TEMPERATURE}..{MAX_TEMPERATURE}, got {value:g}; for the likeliest token set greedy",
        )
    return value


def _top_p(given: pb.Sampling) -> float:
    if not given.HasField("top_p"):
        return 1.0
    if not (math.isfinite(given.top_p) and 0.0 < given.top_p <= 1.0):
        problem = f"must be above 0 and at most 1, got {given.top_p:g}: leave it out to keep every token"
        raise InvalidInput("sampling.top_p", problem)
    return given.top_p


def _new_tokens(given: pb.Sampling, settings: Generate) -> int:
    if not given.HasField("max_new_tokens"):
        return min(settings.default_new_tokens, settings.max_new_tokens)
    cure = "leave it out for the service's default"
    return _between("sampling.max_new_tokens", given.max_new_tokens, 1, settings.max_new_tokens, cure)


def _stop(given: pb.Sampling) -> tuple[str, ...]:
    if len(given.stop) > MAX_STOP_STRINGS:
        problem = f"at most {MAX_STOP_STRINGS} strings, got {len(given.stop)}: leave some out"
        raise InvalidInput("sampling.stop", problem)
    for index, stop in enumerate(given.stop):
        if not 1 <= len(stop) <= MAX_STOP_CHARS:
            cure = "shorten it" if stop else "leave it out"
            problem = f"must have 1..{MAX_STOP_CHARS} characters, has {len(stop)}: {cure}"
            raise InvalidInput(f"sampling.stop[{index}]", problem)
    return tuple(given.stop)


def _between(field: str, value: int, low: int, high: int, cure: str) -> int:
    if not low <= value <= high:
        raise InvalidInput(field, f"must lie in {low}..{high}, got {value}: {cure}")
    return value


def _demand_text(field: str, text: str) -> None:
    if not text.strip():
        raise InvalidInput(field, "is empty: send some text")


def _demand_length(field: str, length: int, limit: int) -> None:
    if length > limit:
        raise InvalidInput(field, f"has {length} characters, at most {limit} are allowed: shorten it")
