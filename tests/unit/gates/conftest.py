"""A good candidate's evidence; each test spoils one part of it."""

from __future__ import annotations

import numpy as np
import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import GenerateEvidence, HeldOutVotes, Latency, Leanings, TextLosses, Votes


@pytest.fixture
def limits() -> Gates:
    return Gates()


@pytest.fixture
def votes() -> Votes:
    return Votes(positive=1_300, negative=1_200, per_rater={f"rater{i:03d}": 25 for i in range(100)}, least=2_000)


@pytest.fixture
def latency() -> Latency:
    rng = np.random.default_rng(1)
    return Latency(rng.uniform(0.09, 0.11, 60), rng.uniform(0.10, 0.12, 60))


@pytest.fixture
def good(votes: Votes, latency: Latency) -> GenerateEvidence:
    """Gains half a reward on 300 prompts at about equal length, near the champion, nothing forgotten."""
    rng = np.random.default_rng(0)
    champion = rng.normal(0.0, 1.0, 300)
    tokens = rng.integers(10, 40, 100)
    nats = 2.0 * tokens
    chance = rng.uniform(0.05, 0.95, 500)
    return GenerateEvidence(
        votes=votes,
        latency=latency,
        reward_model=HeldOutVotes((rng.random(500) < chance).astype(float), chance),
        champion_scores=champion,
        candidate_scores=champion + rng.normal(0.5, 0.5, 300),
        champion_lengths=rng.integers(15, 30, 300),
        candidate_lengths=rng.integers(15, 30, 300),
        kl_per_reply=rng.normal(1.5, 1.0, 300),
        good_replies=TextLosses(nats, nats + 0.02 * tokens, tokens),
        customer_texts=TextLosses(nats, nats + 0.01 * tokens, tokens),
        candidate_texts=[f"Your order {i} will arrive on Monday." for i in range(300)],
        champion_texts=[f"Order {i} comes on Tuesday, I think." for i in range(300)],
        prompt_texts=[f"Where is my order {i}?" for i in range(300)],
        users_texts={f"u{i}": [f"Where is my order {i}? You reach me at user{i}@mail.example"] for i in range(300)},
        prompt_users=[f"h{i % 30}" for i in range(300)],
        reads_alike=[True] * 300,
        sycophancy=Leanings(np.full(16, 0.5), rng.uniform(0.45, 0.6, 16)),
        stereotypes=Leanings(np.full(24, 0.5), rng.uniform(0.4, 0.6, 24)),
    )
