"""From a snapshot's rows to the votes PPO learns from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.ppo.classify.votes import ClassifyVote, votes_of
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    Edit,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    Split,
    VersionRef,
)

LABELS = ("a", "b", "c")


def _vote(rater: str, **said: Any) -> Feedback:
    kind = FeedbackKind.THUMB if "thumb_up" in said else FeedbackKind.RATING if "rating" in said else FeedbackKind.EDIT
    return Feedback(f"f-{rater}-{kind}", "r-1", rater, "t", "desk", "v1", kind, 5, **said)


def _row(*votes: Feedback) -> SnapshotRow:
    answer = ClassifyAnswer("hello", 1, "b", (0.2, 0.5, 0.3), 0.02, LABELS)
    ref = VersionRef("desk", "v1", "sha256:0")
    response = LoggedResponse("r-1", "q-1", ref, Channel.CHAMPION, "t", "u", "", 1, "", answer)
    return SnapshotRow(response, votes, Split.TRAIN, weight=2.5)


def _up(rater: str = "x") -> Feedback:
    return _vote(rater, thumb_up=True)


def _votes(*votes: Feedback, labels: tuple[str, ...] = LABELS) -> list[ClassifyVote]:
    return [vote for _, vote in votes_of([_row(*votes)], labels)]


def test_each_thumb_is_a_vote_with_the_logged_probabilities_and_the_rows_weight() -> None:
    (first, up), (second, down) = votes_of([_row(_up(), _vote("y", thumb_up=False))], LABELS)
    assert (first, second) == ("x", "y")
    assert (up.text, up.label, up.probabilities, up.weight) == ("hello", 1, (0.2, 0.5, 0.3), 2.5)
    assert (up.reward, down.reward) == (1.0, -1.0)


def test_stars_lie_evenly_between_a_thumb_down_and_a_thumb_up() -> None:
    votes = [_vote(str(stars), rating=stars) for stars in (1, 2, 3, 4, 5)]
    assert [vote.reward for vote in _votes(*votes)] == [-1.0, -0.5, 0.0, 0.5, 1.0]


def test_a_correction_says_whether_the_served_label_was_right() -> None:
    corrections = [_vote(label, edit=Edit(label=label)) for label in ("b", "c", "a label of the user's own")]
    assert [vote.reward for vote in _votes(*corrections)] == [1.0, -1.0, -1.0]


def test_of_a_raters_votes_on_an_answer_the_most_telling_one_counts() -> None:
    said = _up("x"), _vote("x", rating=1), _vote("y", rating=2), _vote("z", edit=Edit(label="c")), _up("z")
    taken = votes_of([_row(*said)], LABELS)
    assert [(rater, vote.reward) for rater, vote in taken] == [("x", 1.0), ("y", -0.5), ("z", -1.0)]


def test_labels_are_put_into_the_order_of_the_policy() -> None:
    (vote,) = _votes(_up(), labels=("c", "b", "a"))
    assert vote.label == 1
    assert vote.probabilities == (0.3, 0.5, 0.2)
    (moved,) = _votes(_up(), labels=("b", "c", "a"))
    assert moved.label == 0
    assert moved.probabilities == (0.5, 0.3, 0.2)


def test_what_can_not_be_learned_from_is_left_out() -> None:
    row = _row(_up())
    argmax = replace(row, response=replace(row.response, not_learnable="argmax"))
    ranking = Feedback("f", "r-1", "x", "t", "desk", "v1", FeedbackKind.RANKING, 5, ranking=("r-1", "r-2"))
    assert votes_of([argmax, _row(ranking), _row()], LABELS) == []
    assert votes_of([row], ("a", "b", "other")) == []
