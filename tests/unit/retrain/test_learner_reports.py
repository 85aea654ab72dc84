"""What the learners' reports say of a candidate, by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thumbwheel.config.settings import Learn
from thumbwheel.dataset.manifest import Counts
from thumbwheel.gates.evidence import (
    ClassifyEvidence,
    EditedTexts,
    GenerateEvidence,
    HeldOutVotes,
    Latency,
    TagEvidence,
    TextLosses,
    Votes,
)
from thumbwheel.ppo.classify.votes import ClassifyVote
from thumbwheel.ppo.tag.votes import TagVote
from thumbwheel.records import PolicyKind
from thumbwheel.retrain import learn_classify, learn_generate, learn_tag
from thumbwheel.retrain.report.numbers import judged
from thumbwheel.retrain.report_head import APPROX_KL, curves, learn_settings, save_history, votes_told
from thumbwheel.retrain.run_folder import RunFolder

VOTES = Votes(positive=1, negative=1, per_rater={"a": 2}, least=1)
LATENCY = Latency([0.1], [0.1])
CHAMPION_NK = np.array([[0.97, 0.03], [0.4, 0.6], [0.9, 0.1]])
CANDIDATE_NK = np.array([[0.01, 0.99], [0.8, 0.2], [0.95, 0.05]])


@pytest.fixture
def classify() -> ClassifyEvidence:
    labels_N, rewards_N = np.array([0, 0, 0]), np.array([0.0, 1.0, 1.0])
    return ClassifyEvidence(VOTES, LATENCY, labels_N, rewards_N, CHAMPION_NK, CHAMPION_NK, CANDIDATE_NK)


@pytest.fixture
def generate() -> GenerateEvidence:
    none = TextLosses([], [], [])
    return GenerateEvidence(
        VOTES, LATENCY, HeldOutVotes([], []), [0.1], [0.3], [5.0], [6.0], [1.5], none, none, ["On its way."]
    )


def test_votes_that_taught_judged_and_wait_are_told() -> None:
    counts = Counts(lessons=Counter(train=2_402, held_out=388), left_out=Counter(newest=12, rater_cap=3))
    told = "2,402 votes taught, 388 of held-out users judged"
    assert votes_told(counts) == f"{told}, the 12 newest wait for the next run."
    assert votes_told(replace(counts, left_out=Counter())) == f"{told}."


def test_a_label_that_changed_is_shown_with_the_vote_and_the_voted_labels_chance(classify: ClassifyEvidence) -> None:
    votes = [ClassifyVote(text, 0, (0.5, 0.5), reward) for text, reward in (("a", -1.0), ("b", 1.0), ("c", 1.0))]
    changed = learn_classify.changed_answers(("lost", "other"), votes, classify)
    assert [(one.prompt, one.champion, one.candidate, one.note) for one in changed] == [
        ("a", "lost", "other", "voted: down on lost, p 0.97 → 0.01"),
        ("b", "other", "lost", "voted: up on lost, p 0.40 → 0.80"),
    ]
    assert [one.gain for one in changed] == pytest.approx([0.96, 0.4])


def test_drift_is_told_and_not_judged(classify: ClassifyEvidence, generate: GenerateEvidence) -> None:
    for rows in (learn_classify.comparisons(classify), learn_generate.comparisons(generate)):
        [drift] = [row for row in rows if row.name.startswith("Drift")]
        assert drift.candidate > 0.5
        assert judged(drift) == ""


def test_a_reply_of_higher_reward_is_told_to_be_better(generate: GenerateEvidence) -> None:
    assert judged(learn_generate.comparisons(generate)[0]) == "better"


def test_agreement_with_labels_the_champion_drew_comes_last_and_says_whom_it_favours(
    classify: ClassifyEvidence,
) -> None:
    agreement = learn_classify.comparisons(classify)[-1]
    assert (agreement.champion, agreement.candidate) == (0.5, 1.0)  # of the two votes up, both on the first label
    assert judged(agreement) == ""
    assert agreement.note.startswith("Tends to favour the champion")


@pytest.fixture
def tag() -> TagEvidence:
    """Two words of one text and one of another; the candidate finds the city that the champion missed."""
    labels_N, rewards_N = np.array([0, 0, 1]), np.array([1.0, 0.0, 1.0])
    logged_NK = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])
    champion_NK = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    candidate_NK = np.array([[0.9, 0.1], [0.1, 0.9], [0.3, 0.7]])
    edited = EditedTexts([["O", "B-city"]], [["O", "O"]], [["O", "B-city"]])
    columns = (labels_N, rewards_N, logged_NK, champion_NK, candidate_NK)
    return TagEvidence(VOTES, LATENCY, *columns, edited=edited, groups_N=np.array([0, 0, 1]))


def test_tags_are_reported_by_reward_and_by_entity_against_the_corrections(tag: TagEvidence) -> None:
    rows = {row.name: (row.champion, row.candidate) for row in learn_tag.comparisons(tag)}
    # Weights 1.8, 1.6 (cut at the cube root of 3 words), 1.4 and 1.8, .2, 1.4 on rewards 1, 0, 1.
    root = 3 ** (1 / 3)
    assert rows["Average reward a word (SNIPS)"] == pytest.approx(
        ((root + 1.4) / (root + root + 1.4), (root + 1.4) / (root + 0.2 + 1.4))
    )
    for name in ("Precision", "Recall", "F1"):
        assert rows[f"{name} of entities in 1 corrected texts"] == (0.0, 1.0)
    assert rows["F1 of city"] == (0.0, 1.0)


def test_texts_whose_tags_changed_are_shown_with_the_vote(tag: TagEvidence) -> None:
    even = (0.5, 0.5)
    votes = [TagVote(("to", "Rome"), (0, 0), (even, even), -1.0, (0, 1)), TagVote(("x",), (1,), (even,), 1.0)]
    [changed] = learn_tag.changed_answers(("O", "B-city"), votes, tag)
    assert (changed.prompt, changed.champion, changed.candidate) == ("to Rome", "nothing", "Rome B-city")
    assert (changed.champion_score, changed.candidate_score) == (0.5, 1.0)
    assert changed.note == "corrected: 1 of 2 served tags were wrong"


def test_a_report_lists_the_settings_of_its_kind_by_their_names() -> None:
    shown = {kind: set(learn_settings(Learn(), kind)) for kind in PolicyKind}
    shared = {f"learn.{name}" for name in ("seed", "threads", "workers", "niceness", "max_away_s")}
    tag = {"learn.past_versions", *(f"learn.tag_{name}" for name in ("epochs", "correction_weight"))}
    of_classify = ("epochs", "validation", "learning_rate", "past_weight", "wrong_votes")
    classify = {"learn.past_versions", *(f"learn.classify_{name}" for name in of_classify)}
    assert shown[PolicyKind.TAG] == shared | tag
    assert shown[PolicyKind.CLASSIFY] == shared | classify | {"learn.rater_trust"}
    assert shown[PolicyKind.GENERATE] == {f"learn.{name}" for name in Learn.model_fields} - tag - classify


def test_the_drift_is_named_by_its_term_and_explained(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    save_history(folder, [{"approx_kl": 0.1, "entropy": 0.5}])
    drift, entropy = curves(folder, {"approx_kl": (APPROX_KL, "nats"), "entropy": ("Entropy", "nats")})
    assert drift.title == "Approximate KL to what was served"
    assert "ratio − 1 − ln(ratio)" in drift.note and entropy.note == ""
