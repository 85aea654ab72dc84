"""A small `classify` policy that is bad enough for a few hundred votes to make a better one, and who asks it what."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import torch
from recorded_batch import recorded_batch

from thumbwheel.policy.classify import load_classifier, sample_labels
from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, VersionRef
from thumbwheel.store.port import FeedbackStore

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


def rate_desk(store: FeedbackStore, policy: Path, digest: str, rows: int) -> None:
    """Write answers of the policy's first version into a store, each with a thumb by the truth."""
    asked = texts(rows, 2)
    classifier = load_classifier(policy)
    probs = classifier.probabilities([row.text for row in asked], FLOOR)
    served = sample_labels(probs, torch.Generator().manual_seed(3)).tolist()
    responses, votes = [], []
    for n, (row, label) in enumerate(zip(asked, served, strict=True)):
        name = classifier.labels[label]
        answer = ClassifyAnswer(row.text, label, name, tuple(probs[n].tolist()), FLOOR, classifier.labels)
        user = f"u{n % USERS}"
        ref = VersionRef("desk", "v1", digest)
        ids = f"r{n:05}", f"q{n:05}"
        responses.append(LoggedResponse(*ids, ref, Channel.CHAMPION, "", user, "", 1_000 + n, "", answer))
        up = name == row.label
        votes.append(Feedback(f"f{n}", f"r{n:05}", user, "", "desk", "v1", FeedbackKind.THUMB, 2_000 + n, thumb_up=up))
    store.apply(recorded_batch("test", "all", 0, 0, rows, responses, votes, list(range(rows))))
