"""Votes of any age: the likelihood by hand, what fades, and that it teaches where PPO's clip does not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.errors import InvalidData
from thumbwheel.policy.classify import load_classifier
from thumbwheel.ppo.classify.improve import ClassifyPpoSettings, improve_classify
from thumbwheel.ppo.classify.past_votes import PastVote, past_vote_loss, past_votes_of
from thumbwheel.ppo.classify.raters import weigh_past_votes
from thumbwheel.ppo.classify.trainer import VoteTrainingSettings
from thumbwheel.ppo.classify.votes import ClassifyVote
from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText
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
from thumbwheel.reward.trust import RaterTrust

WORDS = {"parcel": ["parcel", "courier"], "login": ["password", "screen", "reset"], "refund": ["money", "bank"]}
QUICK = ClassifyPpoSettings(
    probability_floor=0.1, past_weight=1.0, training=VoteTrainingSettings(epochs=8, batch_size=32, learning_rate=3e-3)
)


def test_a_vote_is_as_likely_as_the_policy_and_slips_make_it() -> None:
    # p = (.6, .3, .1); e = .1: a thumb up on the first has probability .1 + .8 * .6 = .58, one down on the second
    # 1 - (.1 + .8 * .3) = .66; half a vote on the third is half of each of .18 and .82.
    votes = [PastVote("a", 0, 1.0), PastVote("a", 1, -1.0, weight=2.0), PastVote("a", 2, 0.0)]
    logits_BK = torch.tensor([[0.6, 0.3, 0.1]]).log().repeat(3, 1)
    value, _ = past_vote_loss(votes, 3, wrong=0.1)(logits_BK, torch.arange(3), 3)
    told = -(math.log(0.58) + 2 * math.log(0.66) + 0.5 * math.log(0.18) + 0.5 * math.log(0.82)) / 3
    assert float(value) == pytest.approx(told, rel=1e-6)


def test_slices_add_up_to_the_whole_minibatch() -> None:
    votes = [PastVote("a", row % 3, 1.0 - 2 * (row % 2), weight=1.0 + row) for row in range(6)]
    logits_BK = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    loss = past_vote_loss(votes, 3, wrong=0.2)
    parts = [loss(logits_BK[rows], torch.tensor(rows), 6)[0] for rows in ([4, 1], [0, 2, 3, 5])]
    assert float(sum(parts)) == pytest.approx(float(loss(logits_BK, torch.arange(6), 6)[0]), rel=1e-6)


def test_a_vote_against_what_the_policy_is_sure_of_pulls_little() -> None:
    """A thumb up pulls by (1 - 2 e) p (1 - p) / (e + (1 - 2 e) p): most where p is neither 0 nor 1."""
    pulls = []
    for p in (0.001, 0.3, 0.999):
        logits_BK = torch.tensor([[math.log(p), math.log(1 - p)]], requires_grad=True)
        value, _ = past_vote_loss([PastVote("a", 0, 1.0)], 2, wrong=0.1)(logits_BK, torch.tensor([0]), 1)
        torch.autograd.backward(value)
        assert logits_BK.grad is not None
        pulls.append(-float(logits_BK.grad[0, 0]))
        assert pulls[-1] == pytest.approx(0.8 * p * (1 - p) / (0.1 + 0.8 * p), rel=1e-3)
    assert pulls[1] > 10 * max(pulls[0], pulls[2])


def test_votes_of_another_policy_are_refused() -> None:
    with pytest.raises(InvalidData, match=r"past_votes\[1\]"):
        past_vote_loss([PastVote("a", 2, 1.0), PastVote("a", 3, 1.0)], 3, wrong=0.1)
    with pytest.raises(InvalidData, match=r"past_votes\[0\]"):
        past_vote_loss([PastVote("a", 0, math.nan)], 3, wrong=0.1)


def _row(label: str, kind: FeedbackKind, **said: object) -> SnapshotRow:
    answer = ClassifyAnswer("where is it", 0, label, (), 0.02, ())
    response = LoggedResponse("r", "q", VersionRef("p", "v1", ""), Channel.CHAMPION, "t", "u", "", 1, "", answer)
    vote = Feedback("f", "r", "u", "t", "p", "v1", kind, 2, **said)  # type: ignore[arg-type]
    return SnapshotRow(response, (vote,), Split.OLDER, weight=2.0)


def test_a_correction_speaks_of_two_labels_and_labels_that_are_gone_are_left_out() -> None:
    labels = ("login", "parcel")
    rows = [
        _row("parcel", FeedbackKind.THUMB, thumb_up=False),
        _row("parcel", FeedbackKind.RATING, rating=4),
        _row("login", FeedbackKind.EDIT, edit=Edit(label="parcel")),
        _row("gone", FeedbackKind.EDIT, edit=Edit(label="login")),
        _row("gone", FeedbackKind.THUMB, thumb_up=True),
    ]
    found = [(vote.label, vote.reward) for _, vote in past_votes_of(rows, labels)]
    assert found == [(1, -1.0), (1, 0.5), (0, -1.0), (1, 1.0), (0, 1.0)]
    assert all((vote.text, vote.weight) == ("where is it", 2.0) for _, vote in past_votes_of(rows, labels))


def _texts(count: int, seed: int) -> list[LabelledText]:
    rng = Random(seed)
    labels = [rng.choice(sorted(WORDS)) for _ in range(count)]
    return [LabelledText(f"the {rng.choice(WORDS[label])} of {rng.choice(WORDS[label])}", label) for label in labels]


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It has seen no label."""
    folder = tmp_path_factory.mktemp("champion") / "v1"
    recipe = ClassifyRecipe(labels_per_class=0, vocabulary=300, width=16, feed_forward=16)
    pretrain_classify(_texts(60, 0), folder, recipe)
    return folder


def _accuracy(folder: Path) -> float:
    classifier, rows = load_classifier(folder), _texts(200, 9)
    best: list[int] = classifier.probabilities([row.text for row in rows], 0.0).argmax(-1).tolist()
    return sum(classifier.labels[place] == row.label for place, row in zip(best, rows, strict=True)) / len(rows)


def test_votes_of_any_age_teach_and_without_weight_change_nothing(champion: Path, tmp_path: Path) -> None:
    labels, rng = load_classifier(champion).labels, Random(3)
    votes = [ClassifyVote("the of", 0, (1 / 3,) * 3, 0.0)] * 256  # of the run itself: they say nothing
    past = []
    for row in _texts(400, 5):
        label = rng.randrange(3)
        past.append(PastVote(row.text, label, 1.0 if labels[label] == row.label else -1.0))
    report = improve_classify(champion, votes, tmp_path / "v2", tmp_path / "c", QUICK, past=past)
    assert _accuracy(tmp_path / "v2") >= _accuracy(champion) + 0.2
    assert report.history[-1]["past_loss"] < report.history[0]["past_loss"]
    off = replace(QUICK, past_weight=0.0)
    improve_classify(champion, votes, tmp_path / "v3", tmp_path / "c", off, past=past)
    plain = improve_classify(champion, votes, tmp_path / "v4", tmp_path / "c", off)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("v3", "v4")]
    assert weights[0] == weights[1] and "past_loss" not in plain.history[0]


def test_past_votes_weigh_by_whose_they_are() -> None:
    said = [PastVote("a", 0, 1.0), PastVote("a", 0, 1.0), PastVote("b", 0, -1.0), PastVote("c", 1, 1.0)]
    trust = RaterTrust({"liar": 0.0, "half": 0.5})
    weighed = weigh_past_votes(["half", "half", "liar", "new"], said, trust)
    # What is said twice counts once: .25 and .25; the liar not at all; who is new 1, cut to the median of .5 and 1.
    # That is 1.25 in all, and the mean of four is to be 1.
    assert [vote.weight for vote in weighed] == pytest.approx([0.8, 0.8, 0.0, 2.4])
    assert weigh_past_votes([], [], trust) == []
