"""Which votes a run asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from thumbwheel.config.settings import Data, Learn, Settings
from thumbwheel.errors import UnknownVersion
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.registry.port import Registry
from thumbwheel.retrain.plan import LINEAGE, Plan, load_plan, make_plan, save_plan
from thumbwheel.store.port import FeedbackStore

SETTINGS = Settings(data=Data(held_out=0.3, max_votes_per_rater=50, min_votes_classify=60, min_votes_generate=70))
PLAN = Plan("run-1", "desk", PolicyKind.CLASSIFY, "v4", ("v4", "v3"), 9, 5, 1, SETTINGS)


def test_classify_learns_from_votes_on_its_lineage_and_generate_from_all() -> None:
    assert PLAN.votes.versions == ("v4", "v3")
    assert replace(PLAN, kind=PolicyKind.GENERATE).votes.versions == ()


class Line:
    """A registry in which v9 is the champion, and each version the parent of the next; v2 is not known any more."""

    def __init__(self, first_known: int = 3) -> None:
        self._first_known = first_known

    def policies(self) -> list[tuple[str, PolicyKind]]:
        return [("desk", PolicyKind.CLASSIFY)]

    def channels(self, policy: str) -> dict[Channel, str]:
        return {Channel.CHAMPION: "v9"}

    def manifest(self, policy: str, version: str) -> SimpleNamespace:
        number = int(version[1:])
        if number < self._first_known:
            raise UnknownVersion(version)
        return SimpleNamespace(kind=PolicyKind.CLASSIFY, parent=f"v{number - 1}")


def _planned(settings: Settings, line: Line) -> Plan:
    store = SimpleNamespace(watermark=lambda: 5)
    return make_plan(cast(FeedbackStore, store), cast(Registry, line), settings, "desk")


def test_older_ancestors_come_along_as_far_as_they_are_known(tmp_path: Path) -> None:
    plan = _planned(SETTINGS, Line())
    assert (plan.lineage, plan.older) == (("v9", "v8", "v7", "v6"), ("v5", "v4", "v3"))
    assert plan.votes.versions == plan.lineage and plan.votes.older == plan.older
    assert replace(plan, kind=PolicyKind.TAG).votes.older == plan.older
    assert replace(plan, kind=PolicyKind.GENERATE).votes.older == ()
    save_plan(plan, tmp_path)
    assert load_plan(tmp_path) == plan
    two = SETTINGS.model_copy(update={"learn": Learn(past_versions=2)})
    assert _planned(two, Line()).older == ("v5", "v4")
    none = SETTINGS.model_copy(update={"learn": Learn(past_versions=0)})
    assert len(_planned(none, Line()).lineage) == LINEAGE and not _planned(none, Line()).older


def test_one_of_the_nearest_ancestors_must_be_known() -> None:
    with pytest.raises(UnknownVersion):
        _planned(SETTINGS, Line(first_known=8))


def test_the_request_has_the_settings_of_the_plan() -> None:
    asked = PLAN.votes
    assert (asked.policy, asked.watermark, asked.seed, asked.held_out) == ("desk", 9, 5, 0.3)
    assert (asked.max_votes_per_rater, asked.min_votes, asked.anonymous_as_one) == (50, 60, True)
    apart = SETTINGS.model_copy(update={"data": Data(anonymous_as_one=False)})
    assert not replace(PLAN, settings=apart).votes.anonymous_as_one
    assert replace(PLAN, kind=PolicyKind.GENERATE).votes.min_votes == 70
