"""PPO on votes on tags: what a vote says of each word, the loss by hand, that it learns, also when it was killed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tag_desk import FLOOR, TINY, first_tag_desk, served, tagged_texts

from thumbwheel.dataset.rows import SnapshotRow, from_line, to_line
from thumbwheel.errors import InvalidData, NotEnoughData
from thumbwheel.gates.entities import score_entities
from thumbwheel.policy.tag import load_tagger
from thumbwheel.ppo.tag.improve import TagPpoSettings, improve_tag
from thumbwheel.ppo.tag.trainer import TagVoteTrainer
from thumbwheel.ppo.tag.votes import TagVote, corrected_texts, vote_columns, votes_of
from thumbwheel.ppo.vote_loss import ppo_vote_loss
from thumbwheel.ppo.vote_updates import VoteTrainingSettings
from thumbwheel.pretrain.corpus import TaggedWords
from thumbwheel.pretrain.tag import SEED_TAGS_FILE
from thumbwheel.records import (
    Channel,
    Edit,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    PolicyKind,
    Split,
    TagAnswer,
    VersionRef,
)

LABELS = ("O", "B-city", "I-city")
ANSWER = TagAnswer("to Rome", ("to", "Rome"), (0, 3), (2, 7), (0, 1), (0.8, 0.1, 0.1, 0.3, 0.6, 0.1), 0.02, LABELS)
QUICK = TagPpoSettings(
    probability_floor=FLOOR, training=VoteTrainingSettings(epochs=6, batch_size=32, learning_rate=1e-2)
)


def _vote(rater: str, kind: FeedbackKind, **said: object) -> Feedback:
    return Feedback(f"f-{rater}-{kind}", "r-1", rater, "t", "desk", "v1", kind, 5, **said)  # type: ignore[arg-type]


def _row(*votes: Feedback, answer: TagAnswer = ANSWER, not_learnable: str = "") -> SnapshotRow:
    ref = VersionRef("desk", "v1", "sha256:0")
    response = LoggedResponse("r-1", "q-1", ref, Channel.CHAMPION, "t", "u", "", 1, not_learnable, answer)
    return SnapshotRow(response, votes, Split.TRAIN, weight=2.5)


THUMB_DOWN = _vote("x", FeedbackKind.THUMB, thumb_up=False)
RATING = _vote("x", FeedbackKind.RATING, rating=4)
EDIT = _vote("x", FeedbackKind.EDIT, edit=Edit(tags=("O", "O")))


def test_an_edit_tells_of_each_word_a_thumb_or_stars_of_the_text() -> None:
    [(rater, edited)] = votes_of([_row(EDIT)], LABELS)
    assert (rater, edited.word_rewards, edited.reward) == ("x", (1.0, -1.0), -1.0)
    [(_, rated)] = votes_of([_row(RATING)], LABELS)
    assert (rated.reward, rated.word_rewards, rated.weight) == (0.5, (0.5, 0.5), 2.5)
    [(_, right)] = votes_of([_row(_vote("x", FeedbackKind.EDIT, edit=Edit(tags=("O", "B-city"))))], LABELS)
    assert (right.reward, right.word_rewards) == (1.0, (1.0, 1.0))


def test_of_each_raters_votes_the_most_telling_counts() -> None:
    of_another = _vote("y", FeedbackKind.THUMB, thumb_up=True)
    votes = votes_of([_row(RATING, THUMB_DOWN, EDIT, of_another)], LABELS)
    assert [(rater, bool(vote.corrected), vote.reward) for rater, vote in votes] == [
        ("x", True, -1.0),
        ("y", False, 1.0),
    ]
    assert [vote.reward for _, vote in votes_of([_row(RATING, THUMB_DOWN)], LABELS)] == [-1.0]


def test_labels_are_put_into_the_order_of_the_policy() -> None:
    [(_, vote)] = votes_of([_row(EDIT)], ("B-city", "I-city", "O"))
    assert (vote.tags, vote.corrected) == ((2, 0), (2, 2))
    assert vote.probabilities == ((0.1, 0.1, 0.8), (0.6, 0.1, 0.3))
    assert vote.served == (0.8, 0.6)


def test_what_can_not_be_learned_from_is_left_out() -> None:
    short = _vote("x", FeedbackKind.EDIT, edit=Edit(tags=("O",)))
    assert votes_of([_row(EDIT, not_learnable="greedy"), _row(short), _row()], LABELS) == []
    assert votes_of([_row(EDIT)], ("O", "B-day", "I-day")) == []


def test_a_snapshots_line_reads_back_whole() -> None:
    row = _row(THUMB_DOWN, EDIT)
    assert from_line(to_line(row), PolicyKind.TAG) == row


def test_the_clipped_loss_by_hand_is_a_mean_over_words() -> None:
    # Logged .5 each. Ratios 1.6 (right: min(1.6, 1.2) = 1.2), .4 (wrong: min(-.4, -.8) = -.8), 1 (wrong: -1).
    first = TagVote(("a", "b"), (0, 1), ((0.5, 0.5),) * 2, -1.0, (0, 0))
    second = TagVote(("c",), (0,), ((0.5, 0.5),), -1.0, (1,))
    columns = vote_columns([first, second], labels=2)
    loss = ppo_vote_loss(columns, columns.logged_N, TagPpoSettings(probability_floor=0.0, clip=0.2))
    new_PK = torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.5, 0.5]])
    value, figures = loss(new_PK.log(), torch.arange(3), 3)
    assert float(value) == pytest.approx(-(1.2 - 0.8 - 1.0) / 3, rel=1e-5)
    assert figures["ratio"] == pytest.approx((1.6 + 0.4 + 1.0) / 3, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"tags": (0,)}, "one for each token"),
        ({"tags": (0, 2)}, "2 labels"),
        ({"probabilities": ((0.5, 0.5), (1.0, 0.0))}, "must lie in"),
        ({"weight": math.nan}, "finite"),
    ],
)
def test_rows_of_another_policy_are_refused(change: Mapping[str, object], complaint: str) -> None:
    vote = TagVote(("a", "b"), (0, 1), ((0.5, 0.5),) * 2, 1.0)
    with pytest.raises(InvalidData, match=complaint):
        vote_columns([replace(vote, **change)], labels=2)  # type: ignore[arg-type]
    with pytest.raises(NotEnoughData):
        vote_columns([], labels=2)


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return first_tag_desk(tmp_path_factory.mktemp("champion") / "v1", replace(TINY, least_updates=25))


@pytest.fixture(scope="module")
def votes(champion: Path) -> list[TagVote]:
    """Edits and honest thumbs, by turns, on tags the champion drew."""
    tagger, asked, draw = load_tagger(champion), tagged_texts(240, 5), torch.Generator().manual_seed(0)
    made = []
    found = tagger.probabilities([row.tokens for row in asked], FLOOR)
    for n, (row, probs_WK) in enumerate(zip(asked, found, strict=True)):
        answer = served(tagger, row, probs_WK, draw)
        is_right = answer.tags == row.tags
        vote = (
            _vote(f"u{n}", FeedbackKind.THUMB, thumb_up=is_right)
            if n % 2
            else _vote(f"u{n}", FeedbackKind.EDIT, edit=Edit(tags=row.tags))
        )
        made += [one for _, one in votes_of([replace(_row(vote, answer=answer), weight=1.0)], tagger.labels)]
    return made


def _f1(folder: Path) -> float:
    tagger, asked = load_tagger(folder), tagged_texts(150, 9)
    found = tagger.probabilities([row.tokens for row in asked], 0.0)
    given = [[tagger.labels[index] for index in probs_WK.argmax(1).tolist()] for probs_WK in found]
    return score_entities([row.tags for row in asked], given)[""].f1


def test_votes_make_a_better_tagger_and_the_seed_tags_go_along(
    champion: Path, votes: list[TagVote], tmp_path: Path
) -> None:
    done = improve_tag(champion, votes, tmp_path / "v2", tmp_path / "state", QUICK)
    before, after = _f1(champion), _f1(tmp_path / "v2")
    assert after > before + 0.1, (before, after)
    assert done.largest_initial_logratio < 1e-4
    assert (done.votes, done.words) == (240, sum(len(vote.tokens) for vote in votes))
    assert (tmp_path / "v2" / SEED_TAGS_FILE).read_text() == (champion / SEED_TAGS_FILE).read_text()
    assert done.history[-1]["seed_loss"] < done.history[0]["seed_loss"]


def test_votes_the_wrong_way_round_make_a_worse_one(champion: Path, votes: list[TagVote], tmp_path: Path) -> None:
    labels = len(load_tagger(champion).labels)
    spoiled = [replace(v, corrected=tuple((tag + 1) % labels for tag in v.corrected), reward=-v.reward) for v in votes]
    settings = replace(QUICK, training=replace(QUICK.training, seed_label_weight=0.0))
    improve_tag(champion, spoiled, tmp_path / "v2", tmp_path / "state", settings)
    assert _f1(tmp_path / "v2") < _f1(champion)


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_killed_update_goes_on_to_the_same_weights(champion: Path, votes: list[TagVote], tmp_path: Path) -> None:
    some = votes[:60]

    epochs: list[int] = []

    def told(done: int, total: int, figures: Mapping[str, float]) -> None:
        epochs.append(done)

    def kill(done: int, total: int, figures: Mapping[str, float]) -> None:
        if done == 4:
            raise Killed

    improve_tag(champion, some, tmp_path / "whole", tmp_path / "state", QUICK)
    with pytest.raises(Killed):
        improve_tag(champion, some, tmp_path / "resumed", tmp_path / "state", QUICK, kill)
    improve_tag(champion, some, tmp_path / "resumed", tmp_path / "state", QUICK, told)
    assert epochs == [5, 6]
    whole, resumed = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "resumed"))
    assert whole == resumed


def test_slices_of_a_minibatch_add_up_to_its_gradient(champion: Path, votes: list[TagVote]) -> None:
    tagger, some = load_tagger(champion), votes[:10]
    columns = vote_columns(some, len(tagger.labels))
    loss = ppo_vote_loss(columns, columns.logged_N, QUICK)
    settings = replace(QUICK.training, token_dropout=0.0)
    trainer = TagVoteTrainer(tagger, [vote.tokens for vote in some], [], loss, settings)  # in eval mode: no noise
    gradients = []
    for parts in ([range(10)], [range(4), range(4, 10)]):
        tagger.model.zero_grad()
        for rows in parts:
            trainer.add_vote_gradient(list(rows), trainer.vote_size(range(10)))
        gradients.append(torch.cat([p.grad.flatten() for p in tagger.model.parameters() if p.grad is not None]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    assert float(gradients[0].norm()) > 0


def test_corrected_texts_are_imitated_whichever_version_answered_them(
    champion: Path, votes: list[TagVote], tmp_path: Path
) -> None:
    silent = [replace(vote, reward=0.0, corrected=()) for vote in votes]  # of the run itself: they say nothing
    texts = tagged_texts(300, seed=8)
    alone = replace(QUICK, training=replace(QUICK.training, seed_label_weight=0.0))
    off = replace(alone, correction_weight=0.0)
    improve_tag(champion, silent, tmp_path / "v2", tmp_path / "c", alone, corrected=texts)
    improve_tag(champion, silent, tmp_path / "v3", tmp_path / "c", off, corrected=texts)
    assert _f1(tmp_path / "v2") >= _f1(tmp_path / "v3") + 0.1


def test_edits_that_do_not_fit_are_not_imitated() -> None:
    short = _vote("y", FeedbackKind.EDIT, edit=Edit(tags=("O",)))
    named = _vote("z", FeedbackKind.EDIT, edit=Edit(tags=("O", "B-city")))
    rows = [_row(EDIT), _row(THUMB_DOWN), _row(short), _row(named)]
    assert corrected_texts(rows, LABELS) == [
        TaggedWords(("to", "Rome"), ("O", "O")),
        TaggedWords(("to", "Rome"), ("O", "B-city")),
    ]
    assert corrected_texts(rows, ("O", "B-name")) == [TaggedWords(("to", "Rome"), ("O", "O"))]
