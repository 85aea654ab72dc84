"""A small `tag` policy that is bad enough for a few hundred votes to make a better one, and who asks it what."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import torch
from recorded_batch import recorded_batch

from thumbwheel.policy.classify import sample_labels
from thumbwheel.policy.tag import Tagger, load_tagger
from thumbwheel.policy.words import joined_words
from thumbwheel.pretrain.corpus import TaggedWords
from thumbwheel.pretrain.tag import TagRecipe, pretrain_tag
from thumbwheel.records import Channel, Edit, Feedback, FeedbackKind, LoggedResponse, TagAnswer, VersionRef
from thumbwheel.store.port import FeedbackStore

FLOOR = 0.02
USERS = 40
CITIES = ("Rome", "New York", "Oslo", "Leeds", "Lima", "Porto", "San Juan", "Kiel")
DAYS = ("Monday", "Tuesday", "Friday", "Sunday")
FRAMES = ("send it to {city} please", "my parcel for {city} on {day}", "can you come {day}", "hello , {city} is wrong")
TINY = TagRecipe(texts=8, vocabulary=320, width=32, feed_forward=32, layers=1, least_updates=30, least_epochs=2)
# What lets a few hundred votes decide.
SETTINGS: Mapping[str, Mapping[str, object]] = {
    "data": {"min_votes_tag": 100, "held_out": 0.4},
    "learn": {"tag_epochs": 40, "niceness": 0},
    "gates": {"max_latency_ratio": 50.0, "min_effective_samples": 20, "max_weight_share": 0.2, "confidence": 0.8},
}


def tagged_texts(count: int, seed: int) -> list[TaggedWords]:
    draw = random.Random(seed)
    return [_filled(draw.choice(FRAMES), draw) for _ in range(count)]


def first_tag_desk(folder: Path, recipe: TagRecipe = TINY) -> Path:
    """Make the policy; return its folder."""
    pretrain_tag(tagged_texts(150, 1), folder, recipe)
    return folder


def rate_tags(store: FeedbackStore, policy: Path, digest: str, rows: int) -> None:
    """Write answers of the policy's first version into a store: every other with a thumb by the truth, or the edit."""
    asked, tagger = tagged_texts(rows, 2), load_tagger(policy)
    draw = torch.Generator().manual_seed(3)
    responses, votes = [], []
    found = tagger.probabilities([row.tokens for row in asked], FLOOR)
    for n, (row, probs_WK) in enumerate(zip(asked, found, strict=True)):
        user, ids = f"u{n % USERS}", (f"r{n:05}", f"q{n:05}")
        answer = served(tagger, row, probs_WK, draw)
        ref = VersionRef("desk", "v1", digest)
        responses.append(LoggedResponse(*ids, ref, Channel.CHAMPION, "", user, "", 1_000 + n, "", answer))
        votes.append(_vote(n, user, answer.tags == row.tags, row))
    store.apply(recorded_batch("test", "all", 0, 0, rows, responses, votes, list(range(rows))))


def served(tagger: Tagger, row: TaggedWords, probs_WK: torch.Tensor, draw: torch.Generator) -> TagAnswer:
    """Tags drawn for a text, as they are logged."""
    text, words = joined_words(row.tokens)
    return TagAnswer(
        text=text,
        tokens=row.tokens,
        starts=tuple(word.start for word in words),
        ends=tuple(word.end for word in words),
        tag_indices=tuple(sample_labels(probs_WK, draw).tolist()),
        probabilities=tuple(probs_WK.flatten().tolist()),
        probability_floor=FLOOR,
        labels=tagger.labels,
    )


def _vote(n: int, user: str, is_right: bool, row: TaggedWords) -> Feedback:
    shared = {"tenant": "", "policy": "desk", "policy_version": "v1", "time_us": 2_000 + n}
    if n % 2:
        return Feedback(f"f{n}", f"r{n:05}", user, kind=FeedbackKind.THUMB, thumb_up=is_right, **shared)  # type: ignore[arg-type]
    return Feedback(f"f{n}", f"r{n:05}", user, kind=FeedbackKind.EDIT, edit=Edit(tags=row.tags), **shared)  # type: ignore[arg-type]


def _filled(frame: str, draw: random.Random) -> TaggedWords:
    tokens: list[str] = []
    tags: list[str] = []
    for word in frame.split():
        name = word[1:-1] if word.startswith("{") else ""
        value = draw.choice(CITIES if name == "city" else DAYS).split() if name else [word]
        tokens += value
        tags += [f"{'I' if place else 'B'}-{name}" if name else "O" for place in range(len(value))]
    return TaggedWords(tuple(tokens), tuple(tags))
