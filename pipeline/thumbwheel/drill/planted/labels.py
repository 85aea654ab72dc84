"""Policies that classify badly."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch

from thumbwheel.drill.labels import LabelGround, halves, served
from thumbwheel.drill.plant import Plant
from thumbwheel.policy.classify import load_classifier
from thumbwheel.pretrain.classify import SEED_LABELS_FILE

WORSE_BY: Final = 0.02
_MOST_BIAS: Final = 20.0
_HALVINGS: Final = 30
_GAIN_GATES: Final = ("off_policy_snips", "off_policy_doubly_robust")


def honest(ground: LabelGround, folder: Path) -> None:
    """Taught many more labels, all of them right."""
    ground.taught(folder)


def worse(ground: LabelGround, folder: Path) -> None:
    """The champion, with the bias of one label raised until it serves 2 % fewer right ones."""
    version = load_classifier(ground.bench.champion)
    bias = _bias_for(ground, WORSE_BY)
    with torch.no_grad():
        version.model.get_parameter("classifier.bias")[0] += bias
    folder.mkdir(parents=True, exist_ok=True)
    version.model.save_pretrained(folder)
    version.tokenizer.save_pretrained(folder)
    shutil.copyfile(ground.bench.champion / SEED_LABELS_FILE, folder / SEED_LABELS_FILE)


def better_for_half(ground: LabelGround, folder: Path) -> None:
    """Taught right labels for the matters of one half of the users; two thirds of the others' are taken for another."""
    others = halves()[1]
    ground.taught(folder, _in_a_circle(others[: len(others) * 2 // 3]))


def stale(ground: LabelGround, folder: Path) -> None:
    """Taught many labels of last month, when two matters of three were filed otherwise."""
    ours, others = halves()
    ground.taught(folder, _in_a_circle([*ours[:4], *others[:4]]))


def _in_a_circle(labels: Sequence[str]) -> dict[str, str]:
    """Each label taken for the next one."""
    return dict(zip(labels, [*labels[1:], labels[0]], strict=True))


def _bias_for(ground: LabelGround, loss: float) -> float:
    """How much the first label's logit has to rise for the share of right labels to fall by `loss`, by halving.

    p' = p exp(b [k = 0]) / (1 + p_0 (exp(b) - 1)) is the softmax with a bias b on label 0: no forward pass is needed.
    """
    texts, at_N = [one.text for one in ground.tests], np.arange(len(ground.tests))
    bare_NK, labels = served(ground.bench.champion, texts, 0.0)
    right_N = np.array([labels.index(one.label) for one in ground.tests])

    def share(bias: float) -> float:
        raised = np.where(right_N == 0, np.exp(bias), 1.0)
        probs_N = bare_NK[at_N, right_N] * raised / (1.0 + bare_NK[:, 0] * (np.exp(bias) - 1.0))
        return float((1.0 - ground.floor) * probs_N.mean() + ground.floor / len(labels))

    low, high, wanted = 0.0, _MOST_BIAS, share(0.0) - loss
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) > wanted else (low, middle)
    return high


HONEST: Final = Plant("gains labels", "finds more right labels, and nothing else", (), honest)

PLANTS: Final = (
    Plant("worse by 2 %", "serves two right labels of a hundred fewer", _GAIN_GATES, worse),
    Plant(
        "better for half",
        "is better for one half of the users and worse for the other",
        ("harmed_raters", "off_policy_doubly_robust"),
        better_for_half,
    ),
    Plant("stale", "was trained on what was right last month", _GAIN_GATES, stale),
)
