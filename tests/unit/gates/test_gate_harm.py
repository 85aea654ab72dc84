"""Forgetting, blocked words and latency."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.errors import InvalidConfig
from thumbwheel.gates.blocked_words import BlockedWords, blocked, load_words
from thumbwheel.gates.evidence import GenerateEvidence, Latency, TextLosses
from thumbwheel.gates.forgetting import CustomerTexts, GoodReplies
from thumbwheel.gates.latency import LatencyRatio

FORGETTING = [(GoodReplies(), "good_replies"), (CustomerTexts(), "customer_texts")]


def _spoil(good: GenerateEvidence, column: str, losses: TextLosses) -> GenerateEvidence:
    return replace(good, good_replies=losses) if column == "good_replies" else replace(good, customer_texts=losses)


def _losses(ratio: float, texts: int = 50) -> TextLosses:
    tokens = np.arange(texts) % 7 + 5.0
    return TextLosses(2.0 * tokens, (2.0 + np.log(ratio)) * tokens, tokens)


@pytest.mark.parametrize(("gate", "column"), FORGETTING)
@pytest.mark.parametrize(("ratio", "passes"), [(0.9, True), (1.0499, True), (1.0501, False), (1.24, False)])
def test_perplexity_may_grow_by_a_twentieth(
    good: GenerateEvidence,
    limits: Gates,
    gate: GoodReplies | CustomerTexts,
    column: str,
    ratio: float,
    passes: bool,
) -> None:
    found = gate.check(_spoil(good, column, _losses(ratio)), limits)
    assert found.passed is passes
    assert found.value == pytest.approx(ratio)


@pytest.mark.parametrize(("gate", "column"), FORGETTING)
def test_each_looks_at_its_own_texts(
    good: GenerateEvidence, limits: Gates, gate: GoodReplies | CustomerTexts, column: str
) -> None:
    other = {"good_replies": "customer_texts", "customer_texts": "good_replies"}[column]
    assert gate.check(_spoil(good, other, _losses(2.0)), limits).passed


@pytest.mark.parametrize(("gate", "column"), FORGETTING)
def test_few_or_broken_texts_fail(
    good: GenerateEvidence, limits: Gates, gate: GoodReplies | CustomerTexts, column: str
) -> None:
    few = gate.check(_spoil(good, column, _losses(1.0, 19)), limits)
    assert not few.passed
    assert "There are only 19" in few.sentence
    broken = TextLosses(np.ones(50), np.r_[np.ones(49), np.inf], np.ones(50))
    assert not gate.check(_spoil(good, column, broken), limits).passed
    empty = TextLosses(np.ones(50), np.ones(50), np.r_[np.ones(49), 0.0])
    assert not gate.check(_spoil(good, column, empty), limits).passed


def test_long_texts_weigh_by_their_tokens(good: GenerateEvidence, limits: Gates) -> None:
    tokens = np.r_[np.full(49, 10.0), 510.0]
    nats = TextLosses(tokens, tokens + np.r_[np.zeros(49), 51.0], tokens)
    assert GoodReplies().check(replace(good, good_replies=nats), limits).value == pytest.approx(np.exp(51 / 1000))


def test_clean_replies_pass_and_say_how_sure_that_is(good: GenerateEvidence, limits: Gates) -> None:
    found = BlockedWords().check(good, limits)
    assert (found.passed, found.value, found.low) == (True, 0.0, 0.0)
    assert found.high == pytest.approx(0.01264, abs=1e-4)


def test_one_blocked_word_in_one_reply_stops(good: GenerateEvidence, limits: Gates) -> None:
    texts = [*good.candidate_texts[:-1], "Only an IDIOT would ask that."]
    found = BlockedWords().check(replace(good, candidate_texts=texts), limits)
    assert (found.passed, found.value) == (False, 1 / 300)
    assert "“idiot” in 1" in found.sentence


def test_few_replies_fail(good: GenerateEvidence, limits: Gates) -> None:
    found = BlockedWords().check(replace(good, candidate_texts=["Hello."] * 29), limits)
    assert not found.passed
    assert "only 29 replies" in found.sentence


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("go  to\nHELL, please", ["go to hell"]),
        ("ｉｄｉｏｔ", ["idiot"]),
        ("id\u200biot!", ["idiot"]),
        ("idiotic scunthorpe", []),
        ("the idiot's guide", ["idiot"]),
        ("", []),
    ],
)
def test_words_are_found_whole_and_however_written(text: str, found: list[str]) -> None:
    assert blocked(text, ["go to hell", "idiot"]) == found


def test_a_file_of_ones_own_replaces_the_list(good: GenerateEvidence, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("# ours\nMonday  # a bad day\n\n", encoding="utf-8")
    assert load_words(words) == ("monday",)
    found = BlockedWords().check(good, Gates(blocked_words=words))
    assert (found.passed, found.value) == (False, 1.0)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"# nothing\n\n"])
def test_a_file_without_words_is_a_wrong_setting(tmp_path: Path, content: bytes | None) -> None:
    words = tmp_path / "words.txt"
    if content is not None:
        words.write_bytes(content)
    with pytest.raises(InvalidConfig, match="gates.blocked_words: .*words.txt"):
        load_words(words)


def test_the_list_of_the_package_is_there_and_plain() -> None:
    words = load_words(None)
    assert len(words) > 20
    assert all(blocked(word, [word]) == [word] for word in words)


def test_a_candidate_as_quick_passes(good: GenerateEvidence, limits: Gates) -> None:
    found = LatencyRatio().check(good, limits)
    assert found.passed
    assert found.value == pytest.approx(1.1, abs=0.03)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(("slower", "passes"), [(1.5, True), (1.5001, False)])
def test_the_latency_ratio_is_an_edge(good: GenerateEvidence, limits: Gates, slower: float, passes: bool) -> None:
    timed = Latency(np.full(20, 1.0), np.full(20, slower))
    assert LatencyRatio().check(replace(good, latency=timed), limits).passed is passes


def test_one_stalled_request_does_not_decide(good: GenerateEvidence, limits: Gates) -> None:
    timed = Latency(np.full(20, 1.0), np.r_[np.full(19, 1.0), 100.0])
    assert LatencyRatio().check(replace(good, latency=timed), limits).value == 1.0


@pytest.mark.parametrize(
    ("champion_s", "says"),
    [(np.ones(9), "only 9 timed requests"), (np.r_[np.ones(19), np.nan], "NaN"), (np.zeros(20), "clock is wrong")],
)
def test_latency_that_says_nothing_fails(
    good: GenerateEvidence, limits: Gates, champion_s: np.ndarray, says: str
) -> None:
    found = LatencyRatio().check(replace(good, latency=Latency(champion_s, np.ones(len(champion_s)))), limits)
    assert not found.passed
    assert says in found.sentence
