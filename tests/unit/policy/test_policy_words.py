"""What a word is, in English, in Chinese and between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbwheel.policy.words import Word, joined_words, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Send it to New York, now!", ["Send", "it", "to", "New", "York", ",", "now", "!"]),
        ("I don't pay 1,000.50 EUR.", ["I", "don't", "pay", "1,000.50", "EUR", "."]),
        ("'quoted' 3. end,", ["'", "quoted", "'", "3", ".", "end", ","]),
        ("5'b a'5 a.5", ["5", "'", "b", "a", "'", "5", "a", ".", "5"]),
        ("well-known_name", ["well", "-", "known_name"]),
        ("我想退货,订单 123。", ["我", "想", "退", "货", ",", "订", "单", "123", "。"]),
        ("寄到Rome去", ["寄", "到", "Rome", "去"]),
        ("カタカナとひらがな", list("カタカナとひらがな")),
        ("한국어 문장", ["한국어", "문장"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("cafe\u0301 \u200b\ttab", ["cafe\u0301", "tab"]),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467 ok", ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "ok"]),
        (" \n\u00a0", []),
    ],
)
def test_a_text_falls_into_its_words(text: str, words: list[str]) -> None:
    assert [word.text for word in split_words(text)] == words


def test_offsets_count_code_points() -> None:
    assert split_words("\U0001f600 我 to Rome") == (
        Word("\U0001f600", 0, 1),
        Word("我", 2, 3),
        Word("to", 4, 6),
        Word("Rome", 7, 11),
    )


@given(st.text(max_size=60))
def test_words_stand_where_they_say_in_order_and_leave_only_blanks(text: str) -> None:
    words, at = split_words(text), 0
    for word in words:
        assert word.text and text[word.start : word.end] == word.text
        assert not split_words(text[at : word.start])
        at = word.end
    assert not split_words(text[at:])


def test_given_words_are_joined_by_single_blanks() -> None:
    text, words = joined_words(["New York", "和", "x"])
    assert text == "New York 和 x"
    assert words == (Word("New York", 0, 8), Word("和", 9, 10), Word("x", 11, 12))
