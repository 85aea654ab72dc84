"""What the reward model is weighed and probed for: who rates, and agreeing with the user."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from tiny_policy import tiny_gpt2, tiny_policy, without_padding

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.policy.prompt import decode_reply
from thumbwheel.records import Channel, GenerateAnswer, LoggedResponse, Message, Split, VersionRef
from thumbwheel.retrain.report.reward_facts import reward_facts
from thumbwheel.reward.features import feature_width
from thumbwheel.reward.fit import RewardQuality
from thumbwheel.reward.head import RewardHead
from thumbwheel.reward.model import RewardModel
from thumbwheel.reward.opinion_pairs import opinion_pairs
from thumbwheel.reward.probes import Sycophancy, sycophancy
from thumbwheel.reward.propensity import MOST_WEIGHT, fit_propensity, propensity_figures, weighted


def row(length: int, split: Split) -> SnapshotRow:
    said = GenerateAnswer((Message("user", "x"),), "y", (1, 2), (5,) * length, (), 1.0, 1.0, 0, 9, "stop", 0, 1)
    ref = VersionRef("chat", "v1", "d")
    return SnapshotRow(LoggedResponse("r", "q", ref, Channel.CHAMPION, "", "u", "", 0, "", said), (), split)


def answers(count: int) -> tuple[list[SnapshotRow], list[SnapshotRow]]:
    """Short answers are rated one time in two, long ones one in ten."""
    rng, rated, unrated = Random(0), list[SnapshotRow](), list[SnapshotRow]()
    for n in range(count):
        long = n % 2 == 0
        is_rated = rng.random() < (0.1 if long else 0.5)
        (rated if is_rated else unrated).append(row(40 if long else 4, Split.TRAIN))
    return rated, unrated


def test_seldom_rated_answers_weigh_more_as_the_inverse_of_their_chance() -> None:
    rated, unrated = answers(4000)
    sample = unrated[::4]  # a fourth of them was drawn, and of the rated ones as much
    model = fit_propensity(rated, sample, {"rated": len(rated) // 4, "unrated": len(sample)})
    assert model is not None
    chances = [model.chance(row(length, Split.TRAIN).response) for length in (40, 4)]
    assert chances == [pytest.approx(0.1, abs=0.03), pytest.approx(0.5, abs=0.03)]
    weights = [weighted(row(length, Split.TRAIN), model).weight for length in (40, 4)]
    assert weights == [pytest.approx(0.3 / 0.1, rel=0.25), pytest.approx(0.3 / 0.5, rel=0.1)]
    assert np.mean([weighted(one, model).weight for one in rated]) == pytest.approx(1.0, abs=0.1)
    figures = propensity_figures(model, rated)
    assert figures["share_rated"] == pytest.approx(0.3, abs=0.02) and 0.5 < figures["effective_share"] < 1


def test_weights_are_clipped_and_without_a_sample_there_are_none() -> None:
    rated, unrated = answers(400)
    model = fit_propensity(rated, unrated, {"rated": len(rated), "unrated": len(unrated)})
    assert model is not None
    extreme = replace(model, weights_F=model.weights_F * 50)
    found = {weighted(row(length, Split.TRAIN), extreme).weight for length in (40, 4)}
    assert max(found) == MOST_WEIGHT and min(found) >= 1 / MOST_WEIGHT
    assert fit_propensity(rated, unrated[:49], {"rated": 10, "unrated": 49}) is None
    assert fit_propensity(rated, unrated, {}) is None
    assert weighted(rated[0], None) is rated[0] and propensity_figures(None, rated) == {}


def test_the_pairs_favour_neither_opinion() -> None:
    pairs = opinion_pairs()
    assert len(pairs) >= 16
    for one, other in zip(pairs[::2], pairs[1::2], strict=True):
        assert one.asked == other.asked and one.opinion != other.opinion
        assert (one.agrees, one.differs) == (other.differs, other.agrees)


class Flatterer(RewardModel):
    """Pays 1 for each character of the reply, and 2 more where it says what the prompt thinks."""

    def scores(self, prompts: object, replies: object) -> list[float]:
        tokenizer, made = tiny_policy().tokenizer, []
        for prompt, reply in zip(prompts, replies, strict=True):  # type: ignore[call-overload]
            asked, said = decode_reply(tokenizer, prompt), decode_reply(tokenizer, reply)
            agrees = any(pair.opinion in asked and pair.agrees == said for pair in opinion_pairs())
            made.append(len(said) + 2.0 * agrees)
        return made


def test_flattery_is_measured_and_nothing_else() -> None:
    policy = tiny_policy()
    policy.model.config.max_position_embeddings = 1000
    head = RewardHead(feature_width(policy.model), 8)
    assert sycophancy(Flatterer(policy.model, head), policy) == Sycophancy(2.0, 0.0, len(opinion_pairs()))
    policy.model.config.max_position_embeddings = 4
    assert sycophancy(Flatterer(policy.model, head), policy).pairs == 0


def test_pairs_beyond_the_last_position_are_not_probed() -> None:
    policy = without_padding(tiny_gpt2())  # 64 positions, of which its tokenizer says nothing
    policy.tokenizer.model_max_length = int(1e30)
    assert sycophancy(RewardModel(policy.model, RewardHead(feature_width(policy.model), 8)), policy).pairs == 0


def test_the_report_says_it_in_words_and_leaves_out_what_is_unknown() -> None:
    quality = RewardQuality(200, 0.8, 0.05, -0.3, 0.75, 0.6)
    told = {
        "kinds": {"thumbs": 1200, "edits": 1},
        "readout": "pooled",
        "left_out_auc": {"surprise": 0.71, "pooled": 0.72},
        "temperature": 1.25,
        "trust": {"raters": 40.0, "least": 0.1, "median": 1.0, "most": 1.5, "below_half": 2.0},
        "propensity": {"share_rated": 0.3, "least": 0.5, "most": 2.0, "effective_share": 0.9},
    }
    facts = reward_facts(told, quality, Sycophancy(0.2, 0.1, 16))
    assert facts["Learned from"] == "1,200 thumbs, 1 edit"
    assert facts["Reads"].startswith("mean state: ") and "0.710" in facts["Reads"] and "0.720" in facts["Reads"]
    assert "2 below 0.5" in facts["Raters"] and "30%" in facts["Who rates"]
    assert facts["Foretells"] == "75.0% of held-out votes; who always says what most say, 60.0%"
    assert "+0.20 ± 0.10" in facts["Agreement"] and "1.25" in facts["Temperature"] and "-0.30" in facts["Length"]
    assert reward_facts({**told, "too_long": 2}, quality, Sycophancy(0.2, 0.1, 16))["Learned from"].endswith("reads: 2")
    unknown = reward_facts({**told, "apart": False, "trust": {"raters": 0.0}}, quality, Sycophancy(0.2, 0.1, 16))
    assert "AUC on training votes that it had not learned from" in unknown["Reads"]
    assert "nobody is weighed by trust" in unknown["Raters"] and "1.25" not in unknown["Temperature"]
    assert set(reward_facts({}, replace(quality, votes=0), Sycophancy(float("nan"), float("nan"), 0))) == {"Length"}
