"""What a `generate` run tells the gates of the votes it learned from."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from types import SimpleNamespace
from typing import cast

from tiny_policy import tiny_policy

from thumbwheel.config.settings import Data, Settings
from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.gates.evidence import Votes
from thumbwheel.records import (
    Channel,
    Edit,
    Feedback,
    FeedbackKind,
    GenerateAnswer,
    LoggedResponse,
    Message,
    PolicyKind,
    Split,
    VersionRef,
)
from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.plan import Plan
from thumbwheel.retrain.reward_step import learned_from

SETTINGS = Settings(data=Data(min_votes_generate=70))
PLAN = Plan("run-1", "chat", PolicyKind.GENERATE, "v1", ("v1",), 9, 0, 1, SETTINGS)
EDIT, RANKING, THUMB, RATING = FeedbackKind.EDIT, FeedbackKind.RANKING, FeedbackKind.THUMB, FeedbackKind.RATING


def response(name: str, logprobs: tuple[float, ...] = (-1.0, -1.0)) -> LoggedResponse:
    answer = GenerateAnswer((Message("user", "x"),), "no", (1, 4), (60, 2), logprobs, 1.0, 1.0, 0, 9, "stop", 0, 1)
    return LoggedResponse(name, "q", VersionRef("chat", "v1", "sha256:1"), Channel.CHAMPION, "", "u", "", 0, "", answer)


def vote(kind: FeedbackKind, rater: str, **what: object) -> Feedback:
    return replace(Feedback("f", "r1", rater, "", "chat", "v1", kind, 0), **what)  # type: ignore[arg-type]


def told(*rows: SnapshotRow) -> Votes:
    job = SimpleNamespace(plan=PLAN, snapshot=SimpleNamespace(rows=lambda split: iter(rows)))
    return learned_from(cast(Job, job), tiny_policy())


def test_votes_that_became_no_lesson_are_not_counted() -> None:
    votes = (
        vote(THUMB, "u1", thumb_up=True),
        vote(RATING, "u2", rating=2),
        vote(RATING, "u2", rating=3),
        vote(RANKING, "u3", ranking=("r1", "r2")),
        vote(RANKING, "u4", ranking=("r1", "gone")),
        vote(EDIT, "u5", edit=Edit("order 417")),
        vote(EDIT, "u6", edit=Edit(" no ")),
        vote(EDIT, "u6", edit=Edit("order 417 is cancelled " * 50)),
    )
    found = told(SnapshotRow(response("r1"), votes, Split.TRAIN, candidates=(response("r2"),)))
    assert (found.positive, found.negative, found.least, found.not_finite) == (3, 3, 70, 0)
    assert found.per_rater == {"u1": 1, "u2": 2, "u3": 1, "u5": 1}


def test_logged_log_probabilities_that_are_no_numbers_are_counted() -> None:
    up = (vote(THUMB, "u1", thumb_up=True),)
    logged = ((nan, -1.0), (-1.0, -2.0), (-inf, nan))
    assert told(*(SnapshotRow(response("r1", each), up, Split.TRAIN) for each in logged)).not_finite == 3
