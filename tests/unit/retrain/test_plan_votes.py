"""Which votes a run asks for."""

from __future__ import annotations

from dataclasses import replace

from thumbwheel.config.settings import Data, Settings
from thumbwheel.records import PolicyKind
from thumbwheel.retrain.plan import Plan

SETTINGS = Settings(data=Data(held_out=0.3, max_votes_per_rater=50, min_votes_classify=60, min_votes_generate=70))
PLAN = Plan("run-1", "desk", PolicyKind.CLASSIFY, "v4", ("v4", "v3"), 9, 5, 1, SETTINGS)


def test_classify_learns_from_votes_on_its_lineage_and_generate_from_all() -> None:
    assert PLAN.votes.versions == ("v4", "v3")
    assert replace(PLAN, kind=PolicyKind.GENERATE).votes.versions == ()


def test_the_request_has_the_settings_of_the_plan() -> None:
    asked = PLAN.votes
    assert (asked.policy, asked.watermark, asked.seed, asked.held_out) == ("desk", 9, 5, 0.3)
    assert (asked.max_votes_per_rater, asked.min_votes, asked.anonymous_as_one) == (50, 60, True)
    apart = SETTINGS.model_copy(update={"data": Data(anonymous_as_one=False)})
    assert not replace(PLAN, settings=apart).votes.anonymous_as_one
    assert replace(PLAN, kind=PolicyKind.GENERATE).votes.min_votes == 70
