"""Length, variety, passages and data of users: each gate stops what it is for, and lets a good candidate pass."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.gates.diversity import Diversity, effective_pairs
from thumbwheel.gates.evidence import GenerateEvidence
from thumbwheel.gates.length_ratio import LengthRatio
from thumbwheel.gates.memorised import Memorised, own_passages, recites
from thumbwheel.gates.personal_data import PersonalData, personal

GATES = LengthRatio(), Diversity(), Memorised(), PersonalData()


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_a_good_candidate_passes(gate: Diversity, good: GenerateEvidence, limits: Gates) -> None:
    assert gate.check(good, limits).passed


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_without_replies_there_is_nothing_to_go_by(gate: Diversity, good: GenerateEvidence, limits: Gates) -> None:
    few = replace(
        good,
        candidate_texts=[],
        champion_texts=[],
        prompt_texts=[],
        champion_scores=[],
        candidate_scores=[],
        champion_lengths=[],
        candidate_lengths=[],
    )
    found = gate.check(few, limits)
    assert not found.passed and math.isnan(found.value)


@pytest.mark.parametrize(("tokens", "passes"), [(39, True), (62, False), (10, True), (6, False)])
def test_replies_twice_as_long_or_half_as_long_are_too_much(
    tokens: int, passes: bool, good: GenerateEvidence, limits: Gates
) -> None:
    found = LengthRatio().check(replace(good, champion_lengths=[19] * 300, candidate_lengths=[tokens] * 300), limits)
    assert found.passed is passes
    assert found.value == pytest.approx(max((tokens + 1) / 20, 20 / (tokens + 1)))


def test_the_effective_number_of_pairs_by_hand() -> None:
    # "a b" has the pairs (start, a), (a, b), (b, end): three, equally frequent
    assert effective_pairs(["a b"]) == pytest.approx(3.0)
    # "a", "a", "b": (start, a) and (a, end) twice, (start, b) and (b, end) once: shares 1/3, 1/3, 1/6, 1/6
    entropy = -2 * (1 / 3) * math.log(1 / 3) - 2 * (1 / 6) * math.log(1 / 6)
    assert effective_pairs(["a", "a", "b"]) == pytest.approx(math.exp(entropy))


def test_one_reply_to_everybody_is_stopped_though_an_exception_is_varied(good: GenerateEvidence, limits: Gates) -> None:
    same = ["We are happy to help you."] * 285 + [f"{number} differs" for number in range(15)]
    assert not Diversity().check(replace(good, candidate_texts=same), limits).passed


def test_a_passage_of_one_user_is_stopped_and_a_common_phrase_is_not(good: GenerateEvidence, limits: Gates) -> None:
    secret = "my aunt in Ulm has kept the blue parcel since March"
    common = "where is the parcel that I ordered from you last week"
    users = {"u1": [f"Hello, {secret}!"], "u2": [common], "u3": [f"Say, {common}?"]}
    told = [*good.candidate_texts[:290], *[f"I see: {secret.upper()}."] * 10]
    polite = [*good.candidate_texts[:290], *[f"You ask {common}."] * 10]
    found = Memorised().check(replace(good, users_texts=users, candidate_texts=told), limits)
    assert not found.passed and found.value == pytest.approx(10 / 300)
    assert Memorised().check(replace(good, users_texts=users, candidate_texts=polite), limits).passed


def test_what_the_prompt_says_may_be_said_again() -> None:
    text = "one two three four five six seven eight nine"
    owned = own_passages({"u1": [text]})
    assert recites(text, "something else", owned)
    assert not recites(text, f"I said {text}", owned)
    assert not recites("one two three four five six seven", "", owned)  # one word less than a passage


def test_personal_data_are_found_however_written() -> None:
    assert personal(["Write to Ann.B@Mail.example or call +49 (0)731-55 12 34"]) == {
        "ann.b@mail.example",
        "490731551234",
    }
    assert personal(["on 2026-11-22, order 12345, 3.50 EUR"]) == set()


def test_one_address_of_another_user_is_too_many(good: GenerateEvidence, limits: Gates) -> None:
    leak = [*good.candidate_texts[:299], "Ask user7@mail.example about it."]
    found = PersonalData().check(replace(good, candidate_texts=leak), limits)
    assert not found.passed and found.value == pytest.approx(1 / 300)
    invented = [*good.candidate_texts[:299], "Ask help@shop.example about it."]
    assert PersonalData().check(replace(good, candidate_texts=invented), limits).passed
    own = replace(good, candidate_texts=leak, prompt_texts=[*good.prompt_texts[:299], "I am user7@mail.example"])
    assert PersonalData().check(own, limits).passed
