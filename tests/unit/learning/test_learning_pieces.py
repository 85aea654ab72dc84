"""Small lives of the pieces on made-up texts, the voters of the harder settings, and what pages say."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
import torch

from classify_rounds import Crowd
from learning.piece import Place
from learning.pieces import PIECES
from learning.tables import curve_figure, table
from learning.tags import ALL_TAGS, Tags
from learning.text_table import pretrain_on
from learning.thumbs import ALL_LABELS, PPO, THUMBS_UP, Thumbs, split_of
from learning.voters import DriftingTaste, FewVotes, Stars, UnequalNoise
from learning.vowpal import Course, Explorer, curve_of, features, installed
from thumbwheel.policy.classify import load_classifier
from thumbwheel.pretrain.classify import ClassifyRecipe
from thumbwheel.pretrain.corpus import LabelledText

WORDS = {"card": "card pin plastic", "cash": "cash atm notes", "loan": "loan credit rate", "rent": "rent flat lease"}


def _rows(count: int, seed: int = 0) -> list[LabelledText]:
    rng = Random(seed)
    labels = [rng.choice(sorted(WORDS)) for _ in range(count)]
    return [LabelledText(f"{rng.choice(WORDS[one].split())} {rng.randrange(count)} help", one) for one in labels]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "data" / "banking77"
    folder.mkdir(parents=True)
    lines = [json.dumps({"text": row.text, "label": row.label}) for row in _rows(400)]
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")
    return Place(tmp_path / "data", tmp_path / "work")


@pytest.mark.slow
def test_a_small_life_learns_and_its_page_tells(place: Place) -> None:
    units = PIECES["thumbs_banking77"].units(True)
    assert {unit.method for unit in units if isinstance(unit, Thumbs)} == {PPO, THUMBS_UP, ALL_LABELS}
    results = [(unit, {**unit.run(place), "seconds": 1.0}) for unit in units]
    ppo = results[0][1]["at"]
    assert set(ppo) == {"0", "600"} and ppo["600"] >= ppo["0"] - 0.05
    page = PIECES["thumbs_banking77"].page(results)
    assert "| ppo |" in page.text and "| all true labels |" in page.text and list(page.plots) == ["scratch-plain"]
    assert results[0][0].run(place)["at"] == ppo  # the same seed, the same life


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["cold", "drift", "few", "stars"])
def test_a_small_life_in_each_harder_setting(place: Place, setting: str) -> None:
    unit = Thumbs("banking77", "scratch", PPO, setting, 0, votes=500, votes_a_round=250, most_rows=200)
    reached = unit.run(place)["at"]
    assert set(reached) == {"0", "500"}
    if setting == "few":  # 25 votes teach nothing: the first policy stays
        assert reached["500"] == reached["0"]
    if setting == "cold":
        assert reached["500"] > reached["0"]


@pytest.mark.slow
def test_a_small_tagger_learns_from_corrections(tmp_path: Path) -> None:
    folder, rng = tmp_path / "wnut17", Random(0)
    folder.mkdir()
    for name, count in (("train.jsonl", 80), ("dev.jsonl", 40)):
        lines = []
        for _ in range(count):
            city = rng.choice(("Rome", "Oslo", "Lima"))
            row = {"tokens": ["send", "it", "to", city, "now"], "tags": ["O", "O", "O", "B-city", "O"]}
            lines.append(json.dumps(row))
        (folder / name).write_text("\n".join(lines) + "\n")
    unit = Tags("wnut17", "corrections", 0, votes=200, votes_a_round=100, most_rows=60, tagged_texts=4)
    found = unit.run(Place(tmp_path, tmp_path))["at"]
    assert set(found) == {"0", "100", "200"} and found["200"] >= found["0"]
    reference = Tags("wnut17", ALL_TAGS, 0, most_rows=60)
    page = PIECES["tags_wnut17"].page([(unit, {"at": found}), (reference, {"at": {"0": 1.0}})])
    assert "| corrections |" in page.text


def test_test_texts_are_nobodys_lesson_and_validation_is_cut_from_the_rest() -> None:
    rows = _rows(100)
    test, validation = split_of(rows, 3, False), split_of(rows, 3, True)
    assert len(test.held_out) == 20 and len(validation.held_out) == 16 and len(validation.train) == 64
    assert [*validation.held_out, *validation.train] == list(test.train)
    assert split_of(rows, 4, False).held_out != test.held_out
    assert test.labels == sorted(WORDS)


def test_harder_voters_do_what_they_are_called() -> None:
    labels, rng, row = sorted(WORDS), Random(0), LabelledText("x", "cash")
    unequal = [UnequalNoise(labels).vote("card", LabelledText("x", "card"), 0, rng).thumb_up for _ in range(2000)]
    assert sum(map(bool, unequal)) / 2000 == pytest.approx(0.7, abs=0.04)
    assert all(UnequalNoise(labels).vote("cash", row, 0, rng).thumb_up for _ in range(100))

    taste = DriftingTaste(labels, turns_at=10, noise=0.0)
    assert [taste.wanted(one) for one in labels] == ["cash", "card", "loan", "rent"]
    assert taste.vote("cash", row, 9, rng).thumb_up and not taste.vote("cash", row, 10, rng).thumb_up
    assert taste.vote("card", row, 10, rng).thumb_up

    few = [FewVotes().vote("cash", row, 0, rng) for _ in range(4000)]
    assert sum(one is not None for one in few) / 4000 == pytest.approx(0.05, abs=0.015)

    stars = [Stars(noise=0.0).vote("cash", row, 0, rng).rating for _ in range(500)]
    assert set(stars) == {3, 4, 5}
    assert {Stars(noise=1.0).vote("cash", row, 0, rng).rating for _ in range(500)} == {1, 2, 3}


def test_a_linear_layer_on_known_vectors_is_a_classifier_like_any_other(tmp_path: Path) -> None:
    rows, corner = _rows(80), torch.eye(4)
    table = {row.text: corner[sorted(WORDS).index(row.label)] + 0.1 * torch.randn(4) for row in rows}
    pretrain_on(table)(rows, tmp_path / "v1", ClassifyRecipe(labels_per_class=3, learning_rate=0.05))
    classifier = load_classifier(tmp_path / "v1")
    probs_BK = classifier.probabilities([row.text for row in rows], 0.0)
    right = [classifier.labels[best] == row.label for best, row in zip(probs_BK.argmax(1).tolist(), rows, strict=True)]
    assert sum(right) / len(right) > 0.95
    assert [name for name, one in classifier.model.named_parameters()] == ["head.weight", "head.bias"]
    place = int(classifier.encode([rows[5].text])["input_ids"][0, 0])
    assert torch.equal(classifier.model.vectors_VD[place], table[rows[5].text])

    pretrain_on(table)(rows, tmp_path / "v0", ClassifyRecipe(labels_per_class=0))
    assert torch.allclose(load_classifier(tmp_path / "v0").probabilities([rows[0].text], 0.0), torch.tensor(0.25))


def test_a_peers_features_are_words_pairs_and_groups_or_the_vector() -> None:
    assert (
        features(["My card!"], None)["My card!"]
        == "shared |t my card my_card ^my ^y_ ^_c ^ca ^ar ^rd ^my_c ^y_ca ^_car ^card"
    )
    assert features(["a"], {"a": torch.tensor([3.0, 4.0])})["a"] == "shared |t 0:0.6 1:0.8"


@pytest.mark.skipif(not installed(), reason="Vowpal Wabbit is not installed: requirements/benchmarks.txt")
def test_the_peer_learns() -> None:
    rows = _rows(300)
    course = Course(rows, _rows(60, 1), rows[:12], Crowd(0.1), (400,), 0)
    reached = curve_of(Explorer("--squarecb --gamma_scale 100", 0.5), course, None)
    assert reached[400] >= max(reached[0], 0.6)


def test_a_table_has_means_worst_and_shares() -> None:
    lines = table("method", {"ppo": [{0: 0.5, 10: 0.9}, {0: 0.6, 10: 0.7}]}, [10], [1.0, 0.9])
    assert lines[2] == "| ppo | .550 (.500) | .800 (.700) | 0.842 |"
    assert curve_figure({"ppo": [{0: 0.5, 10: 0.9}]}, [1.0], "t").axes
