"""Which votes a `classify` run explains beside PPO, and whose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from thumbwheel.config.settings import Learn, Settings
from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    Edit,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    PolicyKind,
    Split,
    VersionRef,
)
from thumbwheel.retrain import learn_classify
from thumbwheel.retrain.learn_classify import past_votes, votes_of_any_age
from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.plan import Plan

LABELS = ("card", "cash")


def _row(user: int, part: Split, edit: str = "") -> SnapshotRow:
    answer = ClassifyAnswer("my card", 0, "card", (0.5, 0.5), 0.02, LABELS)
    response = LoggedResponse("r", "q", VersionRef("p", "v1", ""), Channel.CHAMPION, "", f"u{user}", "", 1, "", answer)
    kind = FeedbackKind.EDIT if edit else FeedbackKind.THUMB
    said = {"edit": Edit(label=edit)} if edit else {"thumb_up": True}
    return SnapshotRow(response, (Feedback("f", "r", f"u{user}", "", "p", "v1", kind, 2, **said),), part)


class Rows:
    """What is asked of a snapshot."""

    def __init__(self, *rows: SnapshotRow) -> None:
        self._rows = rows
        self.manifest = SimpleNamespace(counts=SimpleNamespace(looked_at={}))

    def rows(self, split: Split) -> Iterator[SnapshotRow]:
        return (row for row in self._rows if row.split is split)


@pytest.fixture(autouse=True)
def champion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn_classify, "load_classifier", lambda folder: SimpleNamespace(labels=LABELS))


def _job(*rows: SnapshotRow, parent: str = "v9", weight: float = 0.3) -> Job:
    settings = Settings(learn=Learn(classify_past_weight=weight, classify_validation=0.5))
    plan = Plan("run", "p", PolicyKind.CLASSIFY, parent, (parent,), 1, 0, 0, settings)
    return cast(Job, SimpleNamespace(plan=plan, snapshot=Rows(*rows), champion=Path()))


def test_nothing_is_explained_that_ppo_hears_anyway() -> None:
    current = [_row(user, Split.TRAIN) for user in range(4)]
    assert past_votes(_job(*current), with_aside=True) == []
    assert len(past_votes(_job(*current, _row(5, Split.OLDER)), with_aside=True)) == 5
    assert len(past_votes(_job(*current, _row(6, Split.TRAIN, edit="cash")), with_aside=True)) == 6
    assert past_votes(_job(*current, _row(5, Split.OLDER), weight=0.0), with_aside=True) == []


def test_held_out_users_are_never_heard_and_those_laid_aside_only_where_nobody_chooses() -> None:
    rows = [_row(user, part) for user in range(40) for part in (Split.TRAIN, Split.OLDER)]
    rows += [_row(100 + user, Split.HELD_OUT) for user in range(40)]
    assert len(votes_of_any_age(_job(*rows), with_aside=True)) == 80
    alone = [len(votes_of_any_age(_job(*rows, parent=parent), with_aside=False)) for parent in ("v8", "v9")]
    assert all(20 <= count <= 60 and count % 2 == 0 for count in alone)  # a user is aside with all votes or with none


def test_with_another_champion_others_are_laid_aside() -> None:
    rows = [_row(user, Split.TRAIN) for user in range(40)]

    def aside(parent: str) -> set[int]:
        votes = [bool(votes_of_any_age(_job(row, parent=parent), with_aside=False)) for row in rows]
        return {user for user, teaches in enumerate(votes) if not teaches}

    assert aside("v8") == aside("v8") != aside("v9")
