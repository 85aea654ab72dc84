"""The feedback door: checks a vote, makes it durable, and only then says OK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from grpc.aio import ServicerContext
from structlog.contextvars import bind_contextvars

from thumbwheel import errors
from thumbwheel.bus.port import RecordAppender
from thumbwheel.feedback import validate
from thumbwheel.feedback.corrections import Corrections
from thumbwheel.feedback.sent_once import SentOnce
from thumbwheel.feedback.tokens import TokenClaims
from thumbwheel.feedback.v1 import feedback_pb2 as pb
from thumbwheel.feedback.v1.feedback_pb2_grpc import FeedbackServiceServicer
from thumbwheel.feedback.voters import Voters
from thumbwheel.feedback.votes import VoteLookup
from thumbwheel.records import Feedback, FeedbackKind, Retraction
from thumbwheel.telemetry.metrics import FeedbackMetrics

_Context = ServicerContext[Any, Any]
_TENANT = ""

_OUTCOMES: dict[type[errors.ThumbwheelError], str] = {
    errors.InvalidInput: "invalid",
    errors.TokenMissing: "refused",
    errors.TokenRefused: "refused",
    errors.AlreadyExists: "refused",
    errors.Overloaded: "limited",
    errors.Unavailable: "unavailable",
    errors.NothingToRetract: "absent",
}


class Clock(Protocol):
    """Tells the time."""

    def now_us(self) -> int:
        """Return microseconds since the epoch, later than any returned before."""


class FeedbackServicer(FeedbackServiceServicer):
    """Implements `thumbwheel.feedback.v1.FeedbackService`."""

    def __init__(
        self,
        voters: Voters,
        log: RecordAppender,
        lookup: VoteLookup,
        clock: Clock,
        metrics: FeedbackMetrics,
        corrections: Corrections,
    ) -> None:
        """Take votes of `voters` into `log`; `lookup` says what they sent before, `corrections` which ones fit."""
        self._corrections = corrections
        self._voters = voters
        self._sent = SentOnce(log)
        self._lookup = lookup
        self._clock = clock
        self._metrics = metrics

    async def SubmitFeedback(self, request: pb.SubmitFeedbackRequest, context: _Context) -> pb.SubmitFeedbackResponse:
        """Take one vote. The same again under its `feedback_id` is OK and counts once; ingest sees to that.

        Raises AlreadyExists when another content was sent under the `feedback_id` before.
        """
        with self._counted(_kind_named(request), "accepted"):
            feedback, claims = self._feedback(request)
            if feedback.edit:
                await self._corrections.check(feedback.edit, feedback.response_id, claims)
            if not await self._lookup.is_known(feedback):
                await self._append(feedback)
        return pb.SubmitFeedbackResponse(feedback_id=feedback.feedback_id)

    async def RetractFeedback(
        self, request: pb.RetractFeedbackRequest, context: _Context
    ) -> pb.RetractFeedbackResponse:
        """Take a vote back; taking back what is taken back already is OK and changes nothing.

        Raises NothingToRetract when a vote of that kind was never given, AlreadyExists as `SubmitFeedback` does.
        """
        with self._counted(_KIND_NAMES.get(request.kind, "none"), "retracted"):
            retraction = self._retraction(request)
            if not await self._lookup.is_known(retraction):
                await self._demand_vote(retraction)
                # Also where the store says that it is taken back: a later vote may be on its way there.
                await self._append(retraction)
        return pb.RetractFeedbackResponse(feedback_id=retraction.feedback_id)

    async def _append(self, record: Feedback | Retraction) -> None:
        try:
            await self._sent.append(record)
        except (errors.Unavailable, errors.Overloaded):
            self._voters.give_back(record.rater)  # what was not taken doesn't count against the rater's pace
            raise

    async def _demand_vote(self, retraction: Retraction) -> None:
        if not await self._lookup.has_voted(retraction.response_id, retraction.rater, retraction.kind):
            raise errors.NothingToRetract(_nothing(retraction.kind))

    def _feedback(self, request: pb.SubmitFeedbackRequest) -> tuple[Feedback, TokenClaims]:
        now_us = self._clock.now_us()
        feedback_id = validate.feedback_id(request.feedback_id)
        response_id = validate.response_id(request.response_id)
        user_id = validate.user_id(request.user_id)
        opinion = validate.read_opinion(request)
        comment, reasons = validate.comment(request.comment), validate.reasons(request.reasons)
        if opinion.kind is FeedbackKind.RANKING:
            response_id, rater, claims = self._voters.admit_ranking(request.ranking, user_id, now_us)
        else:
            rater, claims = self._voters.admit(response_id, request.feedback_token, user_id, now_us)
        bind_contextvars(policy=claims.policy, policy_version=claims.policy_version)
        feedback = Feedback(
            feedback_id=feedback_id,
            response_id=response_id,
            rater=rater,
            tenant=_TENANT,
            policy=claims.policy,
            policy_version=claims.policy_version,
            kind=opinion.kind,
            time_us=now_us,
            thumb_up=opinion.thumb_up,
            rating=opinion.rating,
            ranking=tuple(one.response_id for one in request.ranking.best_first),
            edit=opinion.edit,
            comment=comment,
            reasons=reasons,
        )
        return feedback, claims

    def _retraction(self, request: pb.RetractFeedbackRequest) -> Retraction:
        now_us = self._clock.now_us()
        feedback_id = validate.feedback_id(request.feedback_id)
        response_id = validate.response_id(request.response_id)
        user_id = validate.user_id(request.user_id)
        kind = validate.kind_to_retract(request.kind)
        rater, claims = self._voters.admit(response_id, request.feedback_token, user_id, now_us)
        bind_contextvars(policy=claims.policy, policy_version=claims.policy_version)
        return Retraction(feedback_id, response_id, rater, _TENANT, kind, now_us)

    @contextmanager
    def _counted(self, kind: str, success: str) -> Iterator[None]:
        try:
            yield
        except errors.ThumbwheelError as error:
            outcome = next((name for base, name in _OUTCOMES.items() if isinstance(error, base)), "failed")
            self._metrics.received.inc(kind=kind, outcome=outcome)
            raise
        self._metrics.received.inc(kind=kind, outcome=success)


_KIND_NAMES = {number: name.removeprefix("FEEDBACK_KIND_").lower() for name, number in pb.FeedbackKind.items()}


def _kind_named(request: pb.SubmitFeedbackRequest) -> str:
    return request.WhichOneof("feedback") or "none"


def _nothing(kind: FeedbackKind) -> str:
    cure = "; a ranking is taken back with its candidate of smallest id" if kind is FeedbackKind.RANKING else ""
    return f"kind: you gave no {kind} on this answer, so there is nothing to retract{cure}"
