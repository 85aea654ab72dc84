"""A small `classify` policy that is bad enough for a few hundred votes to make a better one, and who asks it what."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText

FLOOR = 0.02
USERS = 40
WORDS = {
    "refund": ["money back", "refund please", "return my payment", "charge me less"],
    "parcel": ["where is my parcel", "late delivery", "track the box", "shipping is slow"],
    "account": ["forgot password", "log in fails", "change my email", "close the account"],
}
# What lets a few hundred votes decide.
SETTINGS: Mapping[str, Mapping[str, object]] = {
    "data": {"min_votes_classify": 100, "held_out": 0.4},
    "learn": {"classify_epochs": 40, "niceness": 0},
    "gates": {"max_latency_ratio": 50.0, "min_effective_samples": 20, "max_weight_share": 0.2, "confidence": 0.8},
}


def texts(count: int, seed: int) -> list[LabelledText]:
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        label = draw.choice(sorted(WORDS))
        words = [draw.choice(WORDS[label]), draw.choice(["hello", "hi", "please", "now", "today", "thanks"])]
        rows.append(LabelledText(" ".join(draw.sample(words, 2)), label))
    return rows


def first_desk(folder: Path) -> Path:
    """Make the policy; return its folder."""
    recipe = ClassifyRecipe(
        labels_per_class=1, vocabulary=150, width=32, feed_forward=32, least_updates=12, least_epochs=2
    )
    pretrain_classify(texts(200, 1), folder, recipe)
    return folder
