"""From a snapshot's rows to the votes PPO learns from."""

from __future__ import annotations

from dataclasses import replace

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.ppo.classify.votes import votes_of
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    Split,
    VersionRef,
)

LABELS = ("a", "b", "c")


def _vote(rater: str, thumb_up: bool | None, kind: FeedbackKind = FeedbackKind.THUMB) -> Feedback:
    rating = 4 if kind is FeedbackKind.RATING else None
    return Feedback(f"f-{rater}", "r-1", rater, "t", "desk", "v1", kind, 5, thumb_up=thumb_up, rating=rating)


def _row(*votes: Feedback) -> SnapshotRow:
    answer = ClassifyAnswer("hello", 1, "b", (0.2, 0.5, 0.3), 0.02, LABELS)
    ref = VersionRef("desk", "v1", "sha256:0")
    response = LoggedResponse("r-1", "q-1", ref, Channel.CHAMPION, "t", "u", "", 1, "", answer)
    return SnapshotRow(response, votes, Split.TRAIN, weight=2.5)


def test_each_thumb_is_a_vote_with_the_logged_probabilities_and_the_rows_weight() -> None:
    up, down = votes_of([_row(_vote("x", True), _vote("y", False))], LABELS)
    assert (up.text, up.label, up.probabilities, up.weight) == ("hello", 1, (0.2, 0.5, 0.3), 2.5)
    assert (up.thumb_up, down.thumb_up) == (True, False)


def test_labels_are_put_into_the_order_of_the_policy() -> None:
    (vote,) = votes_of([_row(_vote("x", True))], ("c", "b", "a"))
    assert vote.label == 1
    assert vote.probabilities == (0.3, 0.5, 0.2)
    (moved,) = votes_of([_row(_vote("x", True))], ("b", "c", "a"))
    assert moved.label == 0
    assert moved.probabilities == (0.5, 0.3, 0.2)


def test_what_can_not_be_learned_from_is_left_out() -> None:
    row = _row(_vote("x", True))
    argmax = replace(row, response=replace(row.response, not_learnable="argmax"))
    rated = _row(_vote("x", None, FeedbackKind.RATING))
    assert votes_of([argmax, rated, _row()], LABELS) == []
    assert votes_of([row], ("a", "b", "other")) == []
