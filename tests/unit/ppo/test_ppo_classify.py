"""PPO on logged votes: the loss by hand, that it learns, and that a killed job ends where it would have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from thumbwheel.errors import InvalidData, NotEnoughData
from thumbwheel.policy.classify import load_classifier, sample_labels, served_probabilities
from thumbwheel.ppo.classify.baseline import supervise_classify
from thumbwheel.ppo.classify.improve import ClassifyPpoSettings, improve_classify
from thumbwheel.ppo.classify.trainer import VoteTrainingSettings
from thumbwheel.ppo.classify.votes import ClassifyVote, vote_columns
from thumbwheel.ppo.metrics import RoundDone
from thumbwheel.ppo.vote_loss import ppo_vote_loss
from thumbwheel.pretrain.classify import SEED_LABELS_FILE, ClassifyRecipe, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText

TOPICS = {
    "parcel": ["parcel", "courier", "van", "doorstep", "tracking", "shipment", "letterbox", "depot"],
    "refund": ["refund", "money", "account", "bank", "repaid", "credit", "return", "reimburse"],
    "login": ["password", "login", "screen", "reset", "locked", "username", "browser", "code"],
}
FLOOR = 0.1
QUICK = ClassifyPpoSettings(
    probability_floor=FLOOR,
    training=VoteTrainingSettings(epochs=6, batch_size=64, learning_rate=3e-3),
)


def _text(label: str, rng: Random) -> str:
    return f"please {rng.choice(TOPICS[label])} and {rng.choice(TOPICS[label])} now"


def _rows(count: int, seed: int) -> list[LabelledText]:
    rng = Random(seed)
    labels = [rng.choice(sorted(TOPICS)) for _ in range(count)]
    return [LabelledText(_text(label, rng), label) for label in labels]


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weak first policy: one labelled text a class, little training."""
    folder = tmp_path_factory.mktemp("champion") / "v1"
    recipe = ClassifyRecipe(
        labels_per_class=1, vocabulary=400, width=16, feed_forward=16, least_epochs=4, least_updates=4, seed=1
    )
    pretrain_classify(_rows(60, seed=0), folder, recipe)
    return folder


@pytest.fixture(scope="module")
def votes(champion: Path) -> list[ClassifyVote]:
    """Honest thumbs on labels the champion sampled, with the probabilities it served them with."""
    classifier, rows = load_classifier(champion), _rows(400, seed=5)
    probs_BK = classifier.probabilities([row.text for row in rows], FLOOR)
    drawn = sample_labels(probs_BK, torch.Generator().manual_seed(0)).tolist()
    return [
        ClassifyVote(row.text, label, tuple(probs), 1.0 if classifier.labels[label] == row.label else -1.0)
        for row, label, probs in zip(rows, drawn, probs_BK.tolist(), strict=True)
    ]


def _accuracy(folder: Path) -> float:
    classifier, rows = load_classifier(folder), _rows(300, seed=9)
    best: list[int] = classifier.probabilities([row.text for row in rows], 0.0).argmax(-1).tolist()
    return sum(classifier.labels[index] == row.label for index, row in zip(best, rows, strict=True)) / len(rows)


def _weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_the_clipped_loss_by_hand() -> None:
    # Ratios 1.5 and .5 under both thumbs, clip .2: min(1.5, 1.2) = 1.2; min(-1.5, -1.2) = -1.5;
    # min(.5, .8) = .5; min(-.5, -.8) = -.8. The weights are 1, 1, 1, 2.
    votes = [
        ClassifyVote("a", 0, (0.4, 0.6), reward=1.0),
        ClassifyVote("b", 0, (0.4, 0.6), reward=-1.0),
        ClassifyVote("c", 0, (0.4, 0.6), reward=1.0),
        ClassifyVote("d", 0, (0.4, 0.6), reward=-1.0, weight=2.0),
    ]
    columns = vote_columns(votes, labels=2)
    loss = ppo_vote_loss(columns, columns.logged_N, ClassifyPpoSettings(probability_floor=0.0, clip=0.2))
    new_BK = torch.tensor([[0.6, 0.4], [0.6, 0.4], [0.2, 0.8], [0.2, 0.8]])
    value, figures = loss(new_BK.log(), torch.arange(4), 4)
    assert float(value) == pytest.approx(-(1.2 - 1.5 + 0.5 - 1.6) / 4, rel=1e-5)
    assert figures["ratio"] == pytest.approx(1.0, rel=1e-5)
    assert figures["approx_kl"] == pytest.approx(-(math.log(1.5) + math.log(0.5)) / 2, rel=1e-4)


def test_the_ratio_is_floor_mixed_new_over_logged() -> None:
    logits_BK = torch.tensor([[0.0, 1.0, 2.0]])
    vote = ClassifyVote("x", 1, (0.5, 0.3, 0.2), reward=1.0)
    columns = vote_columns([vote], labels=3)
    loss = ppo_vote_loss(columns, columns.logged_N, ClassifyPpoSettings(probability_floor=0.06, clip=0.2))
    value, figures = loss(logits_BK, torch.tensor([0]), 1)
    new = 0.94 * math.exp(1) / (1 + math.exp(1) + math.exp(2)) + 0.02
    assert figures["ratio"] == pytest.approx(new / 0.3, rel=1e-5)
    assert float(value) == pytest.approx(-min(new / 0.3, 1.2), rel=1e-5)


def test_a_label_that_underflows_without_a_floor_keeps_gradients_finite() -> None:
    logits_BK = torch.tensor([[200.0, 0.0], [0.0, 0.0]], requires_grad=True)
    votes = [ClassifyVote("x", 1, (0.5, 0.5), reward=reward) for reward in (1.0, -1.0)]
    columns = vote_columns(votes, labels=2)
    loss = ppo_vote_loss(columns, columns.logged_N, ClassifyPpoSettings(probability_floor=0.0))
    value, figures = loss(logits_BK, torch.tensor([0, 1]), 2)
    torch.autograd.backward(value)
    assert logits_BK.grad is not None and bool(logits_BK.grad.isfinite().all()) and bool(logits_BK.grad[1].any())
    assert all(map(math.isfinite, figures.values()))


def test_a_vote_on_an_older_version_is_weighted_by_champion_over_logged_truncated() -> None:
    votes = [
        ClassifyVote("x", 0, (0.25, 0.75), reward=1.0, weight=0.5),
        ClassifyVote("y", 0, (0.01, 0.99), reward=-1.0),
    ]
    columns = vote_columns(votes, labels=2)
    proximal_N = torch.tensor([0.5, 0.5]).log()
    loss = ppo_vote_loss(columns, proximal_N, ClassifyPpoSettings(probability_floor=0.0))
    value, figures = loss(torch.zeros(2, 2), torch.tensor([0, 1]), 2)
    assert figures["ratio"] == pytest.approx(1.0)  # new / champion, not new / logged
    assert float(value) == pytest.approx(-(0.5 * 2.0 - 5.0) / 2, rel=1e-5)


def test_votes_of_the_champion_start_at_ratio_one(champion: Path, votes: list[ClassifyVote], tmp_path: Path) -> None:
    still = replace(QUICK, training=replace(QUICK.training, epochs=1))
    report = improve_classify(champion, votes, tmp_path / "v2", tmp_path / "ckpt", still)
    assert report.largest_initial_logratio < 1e-5
    bare = [replace(vote, probabilities=(1.0, 1.0, 1.0)) for vote in votes]
    wrong = improve_classify(champion, bare, tmp_path / "v3", tmp_path / "ckpt", still)
    assert wrong.largest_initial_logratio > 0.5


def test_honest_thumbs_raise_accuracy(champion: Path, votes: list[ClassifyVote], tmp_path: Path) -> None:
    report = improve_classify(champion, votes, tmp_path / "v2", tmp_path / "ckpt", QUICK)
    assert _accuracy(tmp_path / "v2") >= _accuracy(champion) + 0.15
    assert report.votes == 400
    assert report.seed_labels == 3
    assert len(report.history) == 6


def test_inverted_thumbs_lower_accuracy(champion: Path, votes: list[ClassifyVote], tmp_path: Path) -> None:
    inverted = [replace(vote, reward=-vote.reward) for vote in votes]
    settings = replace(QUICK, training=replace(QUICK.training, seed_label_weight=0.0))
    improve_classify(champion, inverted, tmp_path / "v2", tmp_path / "ckpt", settings)
    assert _accuracy(tmp_path / "v2") < _accuracy(champion) - 0.15


def test_votes_of_weight_zero_teach_nothing(champion: Path, votes: list[ClassifyVote], tmp_path: Path) -> None:
    doubled = votes + [replace(vote, reward=-vote.reward, weight=0.0) for vote in votes]
    improve_classify(champion, doubled, tmp_path / "v2", tmp_path / "ckpt", QUICK)
    assert _accuracy(tmp_path / "v2") >= _accuracy(champion) + 0.15


def test_the_same_job_gives_the_same_weights_and_another_seed_others(
    champion: Path, votes: list[ClassifyVote], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        improve_classify(champion, votes, tmp_path / name, tmp_path / f"{name}.ckpt", QUICK)
    other = replace(QUICK, training=replace(QUICK.training, seed=1))
    improve_classify(champion, votes, tmp_path / "c", tmp_path / "c.ckpt", other)
    assert _weights(tmp_path / "a") == _weights(tmp_path / "b")
    assert _weights(tmp_path / "a") != _weights(tmp_path / "c")


class Killed(Exception):
    """Stands for the end of the process."""


def _killed_after(last: int, seen: list[int]) -> RoundDone:
    def round_done(epoch: int, epochs: int, figures: Mapping[str, float]) -> None:
        seen.append(epoch)
        if epoch == last:
            raise Killed

    return round_done


def test_a_killed_job_resumes_to_the_same_weights(champion: Path, votes: list[ClassifyVote], tmp_path: Path) -> None:
    whole = improve_classify(champion, votes, tmp_path / "whole", tmp_path / "whole.ckpt", QUICK)
    seen: list[int] = []
    for last in (2, 3):
        with pytest.raises(Killed):
            improve_classify(
                champion,
                votes,
                tmp_path / "cut",
                tmp_path / "cut.ckpt",
                QUICK,
                _killed_after(last, seen),
            )
    assert not (tmp_path / "cut").exists()
    torch.manual_seed(77)  # a fresh process has other random numbers
    resumed = improve_classify(
        champion,
        votes,
        tmp_path / "cut",
        tmp_path / "cut.ckpt",
        QUICK,
        _killed_after(99, seen),
    )
    assert seen == [1, 2, 3, 4, 5, 6]
    assert _weights(tmp_path / "cut") == _weights(tmp_path / "whole")
    assert resumed.history == whole.history
    assert not (tmp_path / "cut.ckpt").exists()


def _split(votes: list[ClassifyVote]) -> tuple[list[ClassifyVote], list[ClassifyVote]]:
    """Votes turned round to learn from, and honest ones laid aside."""
    return [replace(vote, reward=-vote.reward) for vote in votes[:300]], votes[300:]


def test_passes_that_do_harm_are_ended_and_the_best_one_is_kept(
    champion: Path, votes: list[ClassifyVote], tmp_path: Path
) -> None:
    wrong, honest = _split(votes)
    settings = replace(QUICK, training=replace(QUICK.training, epochs=30, seed_label_weight=0.0, patience=2))
    report = improve_classify(champion, wrong, tmp_path / "v2", tmp_path / "ckpt", settings, aside=honest)
    kept = [row["kept"] for row in report.history]
    assert len(report.history) < 30 and kept[-2:] == [0.0, 0.0]
    chosen = max(epoch for epoch, is_kept in enumerate(kept, start=1) if is_kept)
    best = max(row["validation_value"] for row in report.history)
    assert report.history[chosen - 1]["validation_value"] > best - 0.15
    improve_classify(champion, wrong, tmp_path / "all", tmp_path / "ckpt", settings)
    assert _accuracy(tmp_path / "v2") > _accuracy(tmp_path / "all") + 0.1


def test_passes_that_teach_are_all_taken(champion: Path, votes: list[ClassifyVote], tmp_path: Path) -> None:
    report = improve_classify(champion, votes[:300], tmp_path / "v2", tmp_path / "ckpt", QUICK, aside=votes[300:])
    assert len(report.history) == 6 and report.history[-1]["kept"] == 1.0
    assert report.history[-1]["validation_value"] > report.history[0]["validation_value"] - 0.02
    few = improve_classify(champion, votes, tmp_path / "v3", tmp_path / "ckpt", QUICK, aside=votes[:49])
    assert "kept" not in few.history[0]


@pytest.mark.parametrize("last", [2, 4])
def test_a_killed_choice_goes_on_to_the_same_epoch(
    champion: Path, votes: list[ClassifyVote], tmp_path: Path, last: int
) -> None:
    wrong, honest = _split(votes)
    settings = replace(QUICK, training=replace(QUICK.training, seed_label_weight=0.0, patience=9))
    whole = improve_classify(champion, wrong, tmp_path / "whole", tmp_path / "a.ckpt", settings, aside=honest)
    assert any(row["kept"] == 0.0 for row in whole.history)
    kill, cut = _killed_after(last, []), (tmp_path / "cut", tmp_path / "b.ckpt", settings)
    with pytest.raises(Killed):
        improve_classify(champion, wrong, *cut, kill, aside=honest)
    resumed = improve_classify(champion, wrong, *cut, aside=honest)
    assert resumed.history == whole.history
    assert _weights(tmp_path / "cut") == _weights(tmp_path / "whole")


def test_a_checkpoint_of_other_votes_is_not_gone_on_from(
    champion: Path, votes: list[ClassifyVote], tmp_path: Path
) -> None:
    fresh = improve_classify(champion, votes, tmp_path / "a", tmp_path / "a.ckpt", QUICK)
    with pytest.raises(Killed):
        improve_classify(
            champion,
            votes[:200],
            tmp_path / "b",
            tmp_path / "b.ckpt",
            QUICK,
            _killed_after(3, []),
        )
    again = improve_classify(champion, votes, tmp_path / "b", tmp_path / "b.ckpt", QUICK)
    assert again.history == fresh.history


def test_the_seed_labels_are_handed_on(champion: Path, votes: list[ClassifyVote], tmp_path: Path) -> None:
    short = replace(QUICK, training=replace(QUICK.training, epochs=1))
    improve_classify(champion, votes, tmp_path / "v2", tmp_path / "ckpt", short)
    assert (tmp_path / "v2" / SEED_LABELS_FILE).read_bytes() == (champion / SEED_LABELS_FILE).read_bytes()


def test_a_version_without_seed_labels_learns_from_votes_alone(
    champion: Path, votes: list[ClassifyVote], tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in champion.iterdir():
        if file.name != SEED_LABELS_FILE:
            (bare / file.name).write_bytes(file.read_bytes())
    report = improve_classify(bare, votes, tmp_path / "v2", tmp_path / "ckpt", QUICK)
    assert report.seed_labels == 0
    assert report.history[-1]["seed_loss"] == 0
    assert _accuracy(tmp_path / "v2") >= _accuracy(champion) + 0.15
    short = replace(QUICK, training=replace(QUICK.training, epochs=1))
    again = improve_classify(tmp_path / "v2", votes, tmp_path / "v3", tmp_path / "ckpt", short)
    assert again.seed_labels == 0
    assert _weights(tmp_path / "v3") != _weights(tmp_path / "v2")


def test_the_thumbs_up_baseline_learns_and_reads_no_thumbs_down(
    champion: Path, votes: list[ClassifyVote], tmp_path: Path
) -> None:
    liked = [vote for vote in votes if vote.reward > 0]
    supervise_classify(champion, votes, tmp_path / "a", tmp_path / "ckpt", QUICK.training)
    supervise_classify(champion, liked, tmp_path / "b", tmp_path / "ckpt", QUICK.training)
    assert _accuracy(tmp_path / "a") > _accuracy(champion)
    assert _weights(tmp_path / "a") == _weights(tmp_path / "b")


def test_no_votes_and_no_thumbs_up_say_so(champion: Path, tmp_path: Path) -> None:
    with pytest.raises(NotEnoughData, match="no votes"):
        improve_classify(champion, [], tmp_path / "v2", tmp_path / "ckpt")
    down = ClassifyVote("x", 0, (0.4, 0.3, 0.3), reward=-1.0)
    with pytest.raises(NotEnoughData, match="no vote is up"):
        supervise_classify(champion, [down], tmp_path / "v2", tmp_path / "ckpt")


@pytest.mark.parametrize(
    ("vote", "field"),
    [
        (ClassifyVote("x", 0, (0.5, 0.5), 1.0), r"votes\[0\]: it is not of this policy of 3 labels"),
        (ClassifyVote("x", 3, (0.4, 0.3, 0.3), 1.0), r"votes\[0\]: it is not of this policy"),
        (ClassifyVote("x", 0, (0.0, 0.5, 0.5), 1.0), r"probabilities: the served label's must lie in \(0, 1\]"),
        (ClassifyVote("x", 0, (math.nan, 0.5, 0.5), 1.0), r"probabilities"),
        (ClassifyVote("x", 0, (0.4, 0.3, 0.3), 1.0, weight=-1.0), r"weight: must be finite and at least 0"),
        (ClassifyVote("x", 0, (0.4, 0.3, 0.3), 1.0, weight=math.inf), r"weight"),
        (ClassifyVote("x", 0, (0.4, 0.3, 0.3), 1.1), r"votes\[0\].reward: must lie in \[-1, 1\]"),
        (ClassifyVote("x", 0, (0.4, 0.3, 0.3), math.nan), r"reward"),
    ],
)
def test_rows_that_can_not_be_of_this_policy_are_named(vote: ClassifyVote, field: str) -> None:
    with pytest.raises(InvalidData, match=field):
        vote_columns([vote], labels=3)


def test_served_probabilities_and_votes_agree_on_the_floor(champion: Path, votes: list[ClassifyVote]) -> None:
    classifier = load_classifier(champion)
    with torch.no_grad():
        logits_BK = classifier.logits([votes[0].text])
    assert served_probabilities(logits_BK, FLOOR)[0].tolist() == pytest.approx(votes[0].probabilities, abs=1e-6)
