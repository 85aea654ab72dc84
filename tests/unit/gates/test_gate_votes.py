"""Data sanity and rater concentration."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.dataset.voices import voice_of
from thumbwheel.gates.data_sanity import DataSanity
from thumbwheel.gates.evidence import GenerateEvidence, Votes
from thumbwheel.gates.rater_concentration import RaterConcentration


def _with(good: GenerateEvidence, **changes: object) -> GenerateEvidence:
    return replace(good, votes=replace(good.votes, **changes))  # type: ignore[arg-type]


def test_enough_votes_of_both_signs_pass(good: GenerateEvidence, limits: Gates) -> None:
    found = DataSanity().check(good, limits)
    assert (found.passed, found.value, found.threshold) == (True, 2_500, 2_000)
    assert found.sentence == "2,500 votes, 52% of them up; it takes 2,000."


@pytest.mark.parametrize(("positive", "passes"), [(1_000, True), (999, False)])
def test_the_least_number_of_votes_is_an_edge(
    good: GenerateEvidence, limits: Gates, positive: int, passes: bool
) -> None:
    found = DataSanity().check(_with(good, positive=positive, negative=1_000), limits)
    assert found.passed is passes


@pytest.mark.parametrize(("negative", "passes"), [(10, True), (9, False), (0, False)])
def test_votes_all_alike_are_stopped(good: GenerateEvidence, limits: Gates, negative: int, passes: bool) -> None:
    found = DataSanity().check(_with(good, positive=4_000, negative=negative), limits)
    assert found.passed is passes
    assert passes or f"{negative} down, and it takes 10 of each" in found.sentence


def test_one_broken_number_is_stopped(good: GenerateEvidence, limits: Gates) -> None:
    found = DataSanity().check(_with(good, not_finite=1), limits)
    assert not found.passed
    assert found.sentence == "1 rewards or probabilities are NaN or infinite."


def test_many_raters_pass_and_the_busiest_are_named(good: GenerateEvidence, limits: Gates) -> None:
    found = RaterConcentration().check(good, limits)
    assert (found.passed, found.value) == (True, 0.01)
    assert found.sentence == (
        "100 raters gave 2,500 votes, the busiest (by pseudonym) being rater000 1.0%, rater001 1.0%, rater002 1.0%."
    )


@pytest.mark.parametrize(("busiest", "passes"), [(20, True), (21, False)])
def test_the_largest_share_is_an_edge(good: GenerateEvidence, limits: Gates, busiest: int, passes: bool) -> None:
    per_rater = {"u" * 33: busiest} | {f"other{i}": 1 for i in range(100 - busiest)}
    found = RaterConcentration().check(_with(good, per_rater=per_rater), limits)
    assert (found.passed, found.value) == (passes, busiest / 100)
    assert f"uuuuuuuu {busiest:.1f}%" in found.sentence


@pytest.mark.parametrize(("unnamed", "passes"), [(20, True), (21, False)])
def test_votes_without_a_user_id_dominate_like_a_rater(
    good: GenerateEvidence, limits: Gates, unnamed: int, passes: bool
) -> None:
    raters = [f"a{i:032x}" for i in range(unnamed)] + [f"u{i:032x}" for i in range(100 - unnamed)]
    together = Counter(voice_of(rater, anonymous_as_one=True) for rater in raters)
    found = RaterConcentration().check(_with(good, per_rater=together), limits)
    assert (found.passed, found.value) == (passes, unnamed / 100)
    assert passes is not found.sentence.endswith("let clients send user.id, or see data.anonymous_as_one.")
    apart = Counter(voice_of(rater, anonymous_as_one=False) for rater in raters)
    assert RaterConcentration().check(_with(good, per_rater=apart), limits).value == 1 / 100


def test_no_raters_fail(good: GenerateEvidence, limits: Gates) -> None:
    nobody = replace(good, votes=Votes(positive=0, negative=0, per_rater={}, least=10))
    assert not RaterConcentration().check(nobody, limits).passed
    assert not DataSanity().check(nobody, limits).passed
