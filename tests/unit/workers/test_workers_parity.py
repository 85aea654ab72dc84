"""Whatever the number of workers, they compute what one does: sums, rollouts, losses, gradients, learned weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from crew_tasks import PPO, classify_run, interrupted_run, one_step, ppo_run, ppo_steps, reward_run, sums
from gloo_crew import run_crew
from tiny_policy import tiny_policy

from thumbwheel.policy.classify import load_classifier, sample_labels
from thumbwheel.policy.loading import load_causal, save_causal
from thumbwheel.ppo.classify.improve import ClassifyPpoSettings
from thumbwheel.ppo.classify.trainer import VoteTrainingSettings
from thumbwheel.ppo.classify.votes import ClassifyVote
from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers

SIZES = pytest.mark.parametrize("size", [1, 2, 3])
FLOOR = 0.1
CLASSIFY = ClassifyPpoSettings(FLOOR, training=VoteTrainingSettings(epochs=2, batch_size=80, learning_rate=3e-3))


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generate") / "champion"
    save_causal(tiny_policy(), folder)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classify") / "champion"
    rng = Random(0)
    words = {"parcel": ["van", "depot", "box"], "refund": ["bank", "money", "credit"]}
    rows = [LabelledText(f"please {rng.choice(words[label])} now", label) for label in words for _ in range(20)]
    recipe = ClassifyRecipe(vocabulary=60, width=16, feed_forward=16, least_epochs=2, least_updates=2, seed=1)
    pretrain_classify(rows, folder, recipe)
    return folder


def votes(folder: Path, count: int) -> list[ClassifyVote]:
    rng, policy = Random(1), load_classifier(folder)
    texts = [" ".join(rng.choices(["van", "box", "bank", "money", "now"], k=rng.randrange(1, 7))) for _ in range(count)]
    probs_BK = policy.probabilities(texts, FLOOR)
    labels = sample_labels(probs_BK, torch.Generator().manual_seed(0)).tolist()
    rows = zip(texts, labels, probs_BK.tolist(), strict=True)
    return [ClassifyVote(text, label, tuple(probs), rng.choice((1.0, -1.0))) for text, label, probs in rows]


def agree(crew: list[Any], alone: Any, *, rel: float, abs: float) -> None:
    """All workers say the same to the bit, and what one alone says, up to rounding."""
    assert all(repr(one) == repr(crew[0]) for one in crew)
    assert flat(crew[0]) == pytest.approx(flat(alone), rel=rel, abs=abs)


def flat(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for name in sorted(value) for number in flat(value[name])]
    return [number for part in value for number in flat(part)] if isinstance(value, list | tuple) else [float(value)]


def weights(folder: Path) -> list[float]:
    return torch.cat(
        [value.reshape(-1) for _, value in sorted(load_causal(folder).model.state_dict().items())]
    ).tolist()


@SIZES
def test_sums_are_over_all_workers(size: int) -> None:
    crew = run_crew(size, sums)
    assert [one["rank"] for one in crew] == [(rank, size) for rank in range(size)]
    assert sorted(letter for one in crew for letter in one["share"]) == list("abcd")
    total = size * (size + 1) / 2
    for one in crew:
        assert one["small"] == [[total, total], [total, total]]
        assert one["whole"] == [total, 0]
        assert one["gradients"] == [[size, total - size], [5.0, 6.0], None]
        assert one["figures"] == pytest.approx({"a": 0.1 * size, "b": total - size})


def test_one_alone_adds_nothing_up() -> None:
    one = sums(Alone())
    assert one["share"] == list("abcd")
    assert one["gradients"] == [[1.0, 0.0], [5.0, 6.0], None]


@SIZES
@pytest.mark.parametrize("rows", [1, 2, 7])  # a worker without a row; as many as workers; a rest
def test_rollouts_losses_and_gradients_of_a_step(champion: Path, size: int, rows: int) -> None:
    workers: Workers = Alone()
    alone = one_step(workers, champion, rows)
    crew = run_crew(size, one_step, champion, rows)
    assert crew[0]["replies"] == alone["replies"]
    assert max(map(abs, alone["gradient"])) > 1e-3
    agree(crew, alone, rel=1e-4, abs=2e-6)


@SIZES
def test_a_whole_run_of_ppo(champion: Path, tmp_path: Path, size: int) -> None:
    alone = ppo_run(Alone(), champion, tmp_path / "alone")
    crew = run_crew(size, ppo_run, champion, tmp_path / "crew")
    assert alone["history"][1]["objective/kl"] > 0.01
    agree(crew, alone, rel=5e-3, abs=2e-4)
    assert weights(tmp_path / "crew") == pytest.approx(weights(tmp_path / "alone"), abs=2e-4)
    assert weights(tmp_path / "crew") != pytest.approx(weights(champion), abs=1e-2)


def test_workers_that_are_stopped_go_on_to_the_same_bytes(champion: Path, tmp_path: Path) -> None:
    run_crew(2, interrupted_run, champion, tmp_path / "whole", 0)
    run_crew(2, interrupted_run, champion, tmp_path / "stopped", 3)
    assert not (tmp_path / "stopped").exists()
    run_crew(2, interrupted_run, champion, tmp_path / "stopped", 0)
    whole, resumed = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "stopped"))
    assert whole == resumed != (champion / "model.safetensors").read_bytes()


@pytest.mark.parametrize("limit", [0.0, 9.0])
def test_workers_stop_an_iteration_early_together(champion: Path, limit: float) -> None:
    settings = replace(PPO, max_update_kl=limit)
    crew = run_crew(2, ppo_steps, champion, settings)
    assert crew == [ppo_steps(Alone(), champion, settings)] * 2 == [3.0 if limit == 0 else 6.0] * 2


@SIZES
@pytest.mark.parametrize("count", [23, 60])
def test_the_reward_model(size: int, count: int) -> None:
    agree(run_crew(size, reward_run, count), reward_run(Alone(), count), rel=2e-3, abs=2e-4)


@SIZES
def test_votes_on_labels_with_dropout_on(classifier: Path, tmp_path: Path, size: int) -> None:
    given = votes(classifier, 130)  # minibatches of 80 and 50: slices of 32, 32, 16 and 32, 18, and seed labels
    alone = classify_run(Alone(), classifier, given, CLASSIFY, tmp_path / "alone")
    crew = run_crew(size, classify_run, classifier, given, CLASSIFY, tmp_path / "crew")
    agree(crew, alone, rel=1e-4, abs=1e-5)
