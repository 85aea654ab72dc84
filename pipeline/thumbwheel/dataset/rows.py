"""One row of a snapshot, and its line in `rows.jsonl`.

Floats are written by their shortest decimal that reads back as the same double, so that the logged
log-probabilities are exact. Numbers that are NaN or infinite stay what they are: a gate counts them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, assert_never

from thumbwheel.errors import DamagedArtifact
from thumbwheel.records import (
    Answer,
    Channel,
    ClassifyAnswer,
    Edit,
    Feedback,
    FeedbackKind,
    GenerateAnswer,
    LoggedResponse,
    Message,
    PolicyKind,
    Split,
    TagAnswer,
    VersionRef,
)


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A logged answer with the votes taken of it. `weight` (> 0) is how much it counts in a loss.

    `candidates` are the other answers that rankings among its votes name, as far as they are there.
    """

    response: LoggedResponse
    votes: tuple[Feedback, ...]
    split: Split
    weight: float = 1.0
    candidates: tuple[LoggedResponse, ...] = ()

    @property
    def learnable(self) -> bool:
        """Whether the logged probabilities may enter an importance ratio."""
        return not self.response.not_learnable

    @property
    def lessons(self) -> tuple[Feedback, ...]:
        """The votes a learner reads: of all kinds on replies with a token (`generate`).

        On learnable labels and tags it is each rater's most telling one: the edit, else the thumb, else the rating.
        """
        match self.response.answer:
            case GenerateAnswer(token_ids=token_ids):
                return self.votes if token_ids else ()
            case ClassifyAnswer() | TagAnswer():
                return most_telling(self.votes) if self.learnable else ()
            case answer:
                assert_never(answer)


_TELLING = (FeedbackKind.EDIT, FeedbackKind.THUMB, FeedbackKind.RATING)
"""Votes that labels and tags are learned from, the most telling first: an edit says what was right."""


def most_telling(votes: Iterable[Feedback]) -> tuple[Feedback, ...]:
    """One vote of each rater, the most telling of theirs on an answer, in the order of `votes`."""
    told = [vote for vote in votes if vote.kind in _TELLING]
    best: dict[str, Feedback] = {}
    for vote in sorted(told, key=lambda vote: _TELLING.index(vote.kind)):
        best.setdefault(vote.rater, vote)
    return tuple(vote for vote in told if best[vote.rater] is vote)


def to_line(row: SnapshotRow) -> str:
    """The row as one line of JSON without its line end; the same row gives the same bytes."""
    record: dict[str, Any] = {
        "split": row.split.value,
        "weight": row.weight,
        "response": _plain(row.response),
        "votes": [_plain(vote) for vote in row.votes],
    }
    if row.candidates:
        record["candidates"] = [_plain(candidate) for candidate in row.candidates]
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def from_line(line: str, kind: PolicyKind) -> SnapshotRow:
    """Read what `to_line` wrote. Raises DamagedArtifact when it is something else."""
    try:
        record = json.loads(line)
        return SnapshotRow(
            response=_response(record["response"], kind),
            votes=tuple(_vote(vote) for vote in record["votes"]),
            split=Split(record["split"]),
            weight=record["weight"],
            candidates=tuple(_response(candidate, kind) for candidate in record.get("candidates", ())),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedArtifact("a line of rows.jsonl can not be read; freeze the snapshot again") from error


def _plain(value: Any) -> Any:
    """A record as plain JSON values; fields of a nested record that are empty stay, so that it reads back whole."""
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value] if value and hasattr(value[0], "__dataclass_fields__") else list(value)
    return value


def _response(record: Mapping[str, Any], kind: PolicyKind) -> LoggedResponse:
    nested = {
        "ref": VersionRef(**record["ref"]),
        "channel": Channel(record["channel"]),
        "answer": _answer(record["answer"], kind),
    }
    return LoggedResponse(**{**record, **nested})


def _answer(record: Mapping[str, Any], kind: PolicyKind) -> Answer:
    match kind:
        case PolicyKind.GENERATE:
            return _generate(record)
        case PolicyKind.CLASSIFY:
            return _classify(record)
        case PolicyKind.TAG:
            return _tag(record)
        case _:
            assert_never(kind)


def _generate(record: Mapping[str, Any]) -> GenerateAnswer:
    tuples = {name: tuple(record[name]) for name in ("prompt_token_ids", "token_ids", "logprobs")}
    messages = tuple(Message(**message) for message in record["messages"])
    return GenerateAnswer(**{**record, **tuples, "messages": messages})


def _classify(record: Mapping[str, Any]) -> ClassifyAnswer:
    tuples = {name: tuple(record[name]) for name in ("probabilities", "labels")}
    return ClassifyAnswer(**{**record, **tuples})


def _tag(record: Mapping[str, Any]) -> TagAnswer:
    lists = ("tokens", "starts", "ends", "tag_indices", "probabilities", "labels")
    return TagAnswer(**{**record, **{name: tuple(record[name]) for name in lists}})


def _vote(record: Mapping[str, Any]) -> Feedback:
    edit = record["edit"]
    nested = {
        "kind": FeedbackKind(record["kind"]),
        "ranking": tuple(record["ranking"]),
        "reasons": tuple(record["reasons"]),
        "edit": Edit(**{**edit, "tags": tuple(edit["tags"])}) if edit else None,
    }
    return Feedback(**{**record, **nested})
