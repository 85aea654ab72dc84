"""The demo service's door of feedback: checks tokens and keeps the current votes."""

from __future__ import annotations

from typing import Any

import grpc
from demo_door import Door, refusing
from demo_facts import KEYS, now_us

from thumbwheel.errors import NothingToRetract
from thumbwheel.feedback.raters import Raters
from thumbwheel.feedback.tokens import TokenSigner
from thumbwheel.feedback.v1 import feedback_pb2 as fb
from thumbwheel.feedback.v1.feedback_pb2_grpc import FeedbackServiceServicer
from thumbwheel.records import Edit, Feedback, FeedbackKind, VersionRef

_KINDS = {
    fb.FEEDBACK_KIND_THUMB: FeedbackKind.THUMB,
    fb.FEEDBACK_KIND_RATING: FeedbackKind.RATING,
    fb.FEEDBACK_KIND_RANKING: FeedbackKind.RANKING,
    fb.FEEDBACK_KIND_EDIT: FeedbackKind.EDIT,
}


class FeedbackDoor(Door, FeedbackServiceServicer):
    """Checks tokens and keeps the current votes."""

    @refusing
    def SubmitFeedback(self, request: fb.SubmitFeedbackRequest, context: grpc.ServicerContext) -> Any:
        rater = self._verified(request.user_id, request.response_id, request.feedback_token)
        ranked = request.ranking.best_first
        for one in ranked:
            self._verified(request.user_id, one.response_id, one.feedback_token)
        vote = _vote(request, rater, self.world.responses[request.response_id].ref)
        self.world.votes[vote.response_id, rater, vote.kind] = vote
        return fb.SubmitFeedbackResponse(feedback_id=request.feedback_id)

    @refusing
    def RetractFeedback(self, request: fb.RetractFeedbackRequest, context: grpc.ServicerContext) -> Any:
        rater = self._verified(request.user_id, request.response_id, request.feedback_token)
        if self.world.votes.pop((request.response_id, rater, _KINDS[request.kind]), None) is None:
            raise NothingToRetract("there is no vote of this kind on this answer")
        return fb.RetractFeedbackResponse(feedback_id=request.feedback_id)

    def _verified(self, user: str, response_id: str, token: str) -> str:
        rater = Raters(KEYS.user_key).rater(user, response_id)
        TokenSigner(KEYS, 3600).verify(token, response_id, rater, now_us())
        return rater


def _vote(request: fb.SubmitFeedbackRequest, rater: str, ref: VersionRef) -> Feedback:
    """A ranking is kept under the smallest id of those ranked."""
    kind = FeedbackKind(request.WhichOneof("feedback") or "thumb")
    ranking = tuple(one.response_id for one in request.ranking.best_first)
    return Feedback(
        feedback_id=request.feedback_id,
        response_id=min(ranking, default=request.response_id),
        rater=rater,
        tenant="",
        policy=ref.policy,
        policy_version=ref.version,
        kind=kind,
        time_us=now_us(),
        thumb_up=request.thumb == fb.THUMB_UP if kind is FeedbackKind.THUMB else None,
        rating=request.rating if kind is FeedbackKind.RATING else None,
        ranking=ranking,
        edit=Edit(request.edit.text, request.edit.label, tuple(request.edit.tags.tags))
        if kind is FeedbackKind.EDIT
        else None,
        comment=request.comment,
        reasons=tuple(request.reasons),
    )


def _edit(edit: fb.Edit) -> Edit:
    return Edit(edit.text, edit.label, tuple(edit.tags.tags))
