"""Votes: give, take back, and the list of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from thumbwheel.client.aio import AsyncClient, FeedbackId
from thumbwheel.client.answers import Ballot
from thumbwheel.errors import InvalidInput
from thumbwheel.policy.bio import entities
from thumbwheel.records import (
    Answer,
    ClassifyAnswer,
    Edit,
    Feedback,
    FeedbackKind,
    GenerateAnswer,
    LoggedResponse,
    PolicyKind,
    RatedResponse,
    TagAnswer,
)
from thumbwheel.web.deps import Deps, VotesOf
from thumbwheel.web.fields import MAX_COMMENT_CHARS, Fields
from thumbwheel.web.guard import posted
from thumbwheel.web.pages import NO_STORE
from thumbwheel.web.visitor import visitor_of

OWN_VOTES = 50
_MAX_ID_CHARS = 64
_MAX_TOKEN_CHARS = 2_048
_MAX_LABEL_CHARS = 200
_MAX_TAGS = 4_096
_KINDS = tuple(FeedbackKind)


def routes(deps: Deps) -> list[Route]:
    """Return the routes of voting."""

    async def give(request: Request) -> Response:
        visitor, fields = await posted(request, deps)
        feedback_id = await _cast(deps.client, fields, visitor.user, deps.max_chars(PolicyKind.GENERATE))
        return JSONResponse({"feedback_id": feedback_id}, headers=NO_STORE)

    async def take_back(request: Request) -> Response:
        visitor, fields = await posted(request, deps)
        fields.only("response_id", "feedback_token", "kind")
        ballot = _ballot(deps.client, fields, visitor.user)
        feedback_id = await ballot.retract(fields.choice("kind", _KINDS))
        return JSONResponse({"feedback_id": feedback_id}, headers=NO_STORE)

    async def own(request: Request) -> Response:
        visitor = visitor_of(request, deps.secret)
        if visitor.is_new:
            return JSONResponse({"votes": [], "complete": True}, headers=NO_STORE)
        complete = await deps.settled()
        rows = await to_thread.run_sync(own_votes, deps.votes, deps.rater_of(visitor.user))
        return JSONResponse({"votes": rows, "complete": complete}, headers=NO_STORE)

    return [
        Route("/votes", give, methods=["POST"]),
        Route("/votes", own, methods=["GET"]),
        Route("/votes/take-back", take_back, methods=["POST"]),
    ]


def _cast(client: AsyncClient, fields: Fields, user: str, max_text_chars: int) -> FeedbackId:
    """Send the vote in a body that has exactly one of the kinds. Raises InvalidInput."""
    fields.only("response_id", "feedback_token", "comment", "reasons", *_KINDS)
    given = [kind for kind in _KINDS if kind in fields]
    if len(given) != 1:
        raise InvalidInput("", f"exactly one of {', '.join(_KINDS)} must be given, {len(given)} are")
    ballot = _ballot(client, fields, user)
    comment = fields.text("comment", MAX_COMMENT_CHARS, shortest=0, default="")
    reasons = fields.reasons("reasons")
    match given[0]:
        case FeedbackKind.THUMB:
            is_up = fields.choice("thumb", ("up", "down")) == "up"
            return (ballot.thumbs_up if is_up else ballot.thumbs_down)(comment, reasons)
        case FeedbackKind.RATING:
            return ballot.rate(fields.integer("rating", 1, 5), comment, reasons)
        case FeedbackKind.RANKING:
            ballots = [_ballot(client, one, user) for one in fields.objects("ranking", 2, 8)]
            return client.rank(ballots, comment, reasons)
        case FeedbackKind.EDIT:
            return _correct(ballot, fields.object("edit"), comment, reasons, max_text_chars)


def _correct(
    ballot: Ballot[FeedbackId], edit: Fields, comment: str, reasons: Sequence[str], max_text_chars: int
) -> FeedbackId:
    edit.only("text", "label", "tags")
    if sum(name in edit for name in ("text", "label", "tags")) != 1:
        raise InvalidInput("edit", "exactly one of text, label, tags must be given")
    if "tags" in edit:
        return ballot.correct_tags(edit.texts("tags", _MAX_TAGS, _MAX_LABEL_CHARS), comment, reasons)
    if "text" in edit:
        return ballot.correct_text(edit.text("text", max_text_chars), comment, reasons)
    return ballot.correct_label(edit.text("label", _MAX_LABEL_CHARS), comment, reasons)


def _ballot(client: AsyncClient, fields: Fields, user: str) -> Ballot[FeedbackId]:
    response_id = fields.text("response_id", _MAX_ID_CHARS)
    return client.ballot(response_id, fields.text("feedback_token", _MAX_TOKEN_CHARS), user)


def own_votes(store: VotesOf, rater: str) -> list[dict[str, Any]]:
    """Return a rater's current votes, a row each, as the page's script reads them."""
    return [_row(store, rated, vote) for rated in store.votes_of(rater, OWN_VOTES) for vote in rated.votes]


def _row(store: VotesOf, rated: RatedResponse, vote: Feedback) -> dict[str, Any]:
    shown = _shown(store, rated, vote)
    edit = vote.edit
    return {
        "feedback_id": vote.feedback_id,
        "response_id": vote.response_id,
        "kind": vote.kind,
        "policy": vote.policy,
        "version": vote.policy_version,
        "question": _question(shown.answer),
        "answer": _text(shown.answer),
        "time_us": vote.time_us,
        "thumb": None if vote.thumb_up is None else ("up" if vote.thumb_up else "down"),
        "rating": vote.rating,
        "ranking": list(vote.ranking),
        "edit": None if edit is None else _corrected(edit, shown.answer),
        "comment": vote.comment,
        "reasons": list(vote.reasons),
    }


def _shown(store: VotesOf, rated: RatedResponse, vote: Feedback) -> LoggedResponse:
    """Return the answer a vote speaks of: of a ranking, the one that was put first."""
    if not vote.ranking or vote.ranking[0] == rated.response.response_id:
        return rated.response
    return store.response(vote.ranking[0]) or rated.response


def _corrected(edit: Edit, answer: Answer) -> str:
    if isinstance(answer, TagAnswer) and len(edit.tags) == len(answer.tokens):
        return _found(answer.tokens, edit.tags)
    return edit.text or edit.label or " ".join(edit.tags)


def _found(tokens: Sequence[str], tags: Sequence[str]) -> str:
    """Words that are tagged as something, with what: "New York (city), Friday (day)"."""
    named = (f"{' '.join(tokens[start:end])} ({name})" for name, start, end in entities(tags) if name)
    return ", ".join(named) or "nothing found"


def _question(answer: Answer) -> str:
    match answer:
        case ClassifyAnswer() | TagAnswer():
            return answer.text
        case GenerateAnswer():
            return answer.messages[-1].content if answer.messages else ""
        case _:
            assert_never(answer)


def _text(answer: Answer) -> str:
    match answer:
        case ClassifyAnswer():
            return answer.label
        case TagAnswer():
            return _found(answer.tokens, answer.tags)
        case GenerateAnswer():
            return answer.text
        case _:
            assert_never(answer)
