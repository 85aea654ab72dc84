"""What feedback may look like. Every refusal names the field, the limit and the cure; no rule needs a database."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from thumbwheel.errors import InvalidInput
from thumbwheel.feedback.v1 import feedback_pb2 as pb
from thumbwheel.records import Edit, FeedbackKind, PolicyKind
from thumbwheel.texts import demand_no_control, demand_no_zero

MAX_COMMENT_CHARS = 2_000
MAX_EDIT_CHARS = 16_000
MAX_TAGS = 4_096
MAX_REASONS = 8
MAX_USER_ID_CHARS = 256
MIN_RANKED, MAX_RANKED = 2, 8
_NAMED_LABELS = 50
_NAMED_BYTES = 1_200  # of 8 KiB of headers that carry a status, where they stand three times, once as escapes
_LABEL_CHARS = 40

_REASON = re.compile(r"[a-z0-9-]{1,40}")
_ID_CHARS = 36
_KINDS = {
    pb.FEEDBACK_KIND_THUMB: FeedbackKind.THUMB,
    pb.FEEDBACK_KIND_RATING: FeedbackKind.RATING,
    pb.FEEDBACK_KIND_RANKING: FeedbackKind.RANKING,
    pb.FEEDBACK_KIND_EDIT: FeedbackKind.EDIT,
}
_CORRECTIONS = {PolicyKind.GENERATE: "text", PolicyKind.CLASSIFY: "label", PolicyKind.TAG: "tags"}


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a user thinks: exactly the field that belongs to `kind` is set. `ranking` is checked with its tokens."""

    kind: FeedbackKind
    thumb_up: bool | None = None
    rating: int | None = None
    edit: Edit | None = None


def read_opinion(request: pb.SubmitFeedbackRequest) -> Opinion:
    """Return what the request says of the answer. Raises InvalidInput."""
    match request.WhichOneof("feedback"):
        case "thumb":
            return Opinion(FeedbackKind.THUMB, thumb_up=_thumb_up(request.thumb))
        case "rating":
            return Opinion(FeedbackKind.RATING, rating=_rating(request.rating))
        case "ranking":
            _check_ranking(request.ranking, request.response_id)
            return Opinion(FeedbackKind.RANKING)
        case "edit":
            return Opinion(FeedbackKind.EDIT, edit=_edit(request.edit))
        case _:
            raise InvalidInput("feedback", "is missing; set one of thumb, rating, ranking, edit")


def feedback_id(text: str) -> str:
    """Return the id in lower case. Raises InvalidInput when it is not a UUID."""
    try:
        parsed = uuid.UUID(text) if len(text) == _ID_CHARS else None
    except ValueError:
        parsed = None
    if parsed is None:
        raise InvalidInput("feedback_id", "must be a UUID of 36 characters, chosen by the client; make a new one")
    return str(parsed)


def kind_to_retract(kind: pb.FeedbackKind) -> FeedbackKind:
    """Return the kind of vote to take back. Raises InvalidInput."""
    if kind not in _KINDS:
        raise InvalidInput("kind", f"is missing or unknown; set one of {', '.join(_KINDS.values())}")
    return _KINDS[kind]


def user_id(text: str) -> str:
    """Return the user id, which may be empty. Raises InvalidInput when it is too long or has a zero character."""
    _limit("user_id", text, MAX_USER_ID_CHARS)
    return text


def response_id(text: str) -> str:
    """Return the answer's id. Raises InvalidInput when there is none."""
    if not text:
        raise InvalidInput("response_id", "is missing; send the id that came with the answer")
    return text


def comment(text: str) -> str:
    """Return the comment, which may be empty. Raises InvalidInput when it is too long or has control characters."""
    _limit("comment", text, MAX_COMMENT_CHARS)
    demand_no_control("comment", text)
    return text


def reasons(tags: Sequence[str]) -> tuple[str, ...]:
    """Return the reason tags without doubles. Raises InvalidInput for too many or ill-formed ones."""
    if len(tags) > MAX_REASONS:
        raise InvalidInput("reasons", f"at most {MAX_REASONS} are allowed, got {len(tags)}; send fewer")
    for index, tag in enumerate(tags):
        if not _REASON.fullmatch(tag):
            raise InvalidInput(f"reasons[{index}]", "must be 1 to 40 characters of a-z, 0-9 and '-'")
    return tuple(dict.fromkeys(tags))


def _thumb_up(thumb: pb.Thumb) -> bool:
    if thumb not in (pb.THUMB_UP, pb.THUMB_DOWN):
        raise InvalidInput("thumb", "must be THUMB_UP or THUMB_DOWN")
    return thumb == pb.THUMB_UP


def _rating(rating: int) -> int:
    if not 1 <= rating <= 5:
        raise InvalidInput("rating", f"must be 1 to 5, got {rating}")
    return rating


def _check_ranking(ranking: pb.Ranking, named: str) -> None:
    ids = [candidate.response_id for candidate in ranking.best_first]
    if not MIN_RANKED <= len(ids) <= MAX_RANKED:
        raise InvalidInput("ranking.best_first", f"must name {MIN_RANKED} to {MAX_RANKED} candidates, got {len(ids)}")
    for index, one in enumerate(ids):
        field = f"ranking.best_first[{index}].response_id"
        if not one:
            raise InvalidInput(field, "is missing; send the id that came with the candidate")
        if one in ids[:index]:
            raise InvalidInput(field, "is in the ranking twice; name every candidate once")
    if named not in ids:
        raise InvalidInput("response_id", "must be the id of one of the ranked candidates")


def _edit(edit: pb.Edit) -> Edit:
    match edit.WhichOneof("corrected"):
        case "text":
            text = _corrected("edit.text", edit.text)
            demand_no_control("edit.text", text)
            return Edit(text=text)
        case "label":
            return Edit(label=_corrected("edit.label", edit.label))
        case "tags":
            return Edit(tags=_tags(edit.tags.tags))
        case _:
            raise InvalidInput("edit", "is empty; set one of text, label, tags")


def edit_fits(edit: Edit, kind: PolicyKind) -> None:
    """Refuse a correction that is not of the sort of the answer. Raises InvalidInput."""
    given = "text" if edit.text else "label" if edit.label else "tags"
    wanted = _CORRECTIONS[kind]
    if given != wanted:
        raise InvalidInput(f"edit.{given}", f"does not fit an answer of a {kind} policy; set edit.{wanted}")


def label_exists(label: str, labels: Sequence[str]) -> None:
    """Refuse a label that is not among `labels`, if there are any. Raises InvalidInput, which names some of them."""
    if label not in labels and labels:
        raise InvalidInput("edit.label", f"is not a label of the version that answered; set {_one_of(labels)}")


def tags_fit(tags: Sequence[str], labels: Sequence[str], words: int) -> None:
    """Refuse tags that are not one of `labels` for each of the answer's words. Raises InvalidInput."""
    if len(tags) != words:
        raise InvalidInput("edit.tags", f"must be one for each of the answer's {words:,} tokens, got {len(tags):,}")
    known = frozenset(labels)
    for index, tag in enumerate(tags):
        if tag not in known:
            problem = f"is not a tag of the version that answered; set {_one_of(labels)}"
            raise InvalidInput(f"edit.tags[{index}]", problem)


def _one_of(labels: Sequence[str]) -> str:
    named = _first_of(labels)
    more = len(labels) - len(named)
    rest = f" and {more} more, which DescribePolicy lists" if more else ""
    return f"one of: {', '.join(named)}{rest}"


def _first_of(labels: Sequence[str]) -> list[str]:
    """As many labels as a message has room for."""
    named: list[str] = []
    room = _NAMED_BYTES
    for label in map(_shortened, labels[:_NAMED_LABELS]):
        room -= len(f"{label}, ".encode())
        if room < 0:
            break
        named.append(label)
    return named


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL_CHARS else label[: _LABEL_CHARS - 1] + "…"


def _tags(tags: Sequence[str]) -> tuple[str, ...]:
    if not 1 <= len(tags) <= MAX_TAGS:
        raise InvalidInput("edit.tags", f"must be 1 to {MAX_TAGS:,} tags, one for each token, got {len(tags)}")
    return tuple(_corrected(f"edit.tags[{index}]", tag) for index, tag in enumerate(tags))


def _corrected(field: str, text: str) -> str:
    if not text.strip():
        raise InvalidInput(field, "is empty; send what the answer should have been")
    _limit(field, text, MAX_EDIT_CHARS)
    return text


def _limit(field: str, text: str, most: int) -> None:
    if len(text) > most:
        raise InvalidInput(field, f"at most {most:,} characters are allowed, got {len(text):,}; shorten it")
    demand_no_zero(field, text)
