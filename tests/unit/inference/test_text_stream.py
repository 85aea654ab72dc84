"""Text as it grows: what was shown never changes, characters are whole, stop strings never show."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbwheel.inference.text_stream import TextStream


def decode(ids: Sequence[int]) -> str:
    """A token a byte, as byte-level tokenizers do."""
    return bytes(ids).decode(errors="replace")


def stream(text: str, stop: Sequence[str] = ()) -> tuple[list[str], TextStream]:
    """The pieces shown, token by token, and the stream at its end."""
    made = TextStream(decode, stop)
    pieces = []
    for byte in text.encode():
        if made.push([byte]) is not None:
            break
        pieces.append(made.take())
    return [*pieces, made.finish()], made


@given(st.text(max_size=40))
def test_the_pieces_add_up_to_the_text_without_outer_blanks(text: str) -> None:
    pieces, made = stream(text)
    assert "".join(pieces) == made.taken == text.strip()


@given(st.text(max_size=40), st.lists(st.integers(1, 7), min_size=1))
def test_how_many_tokens_come_at_once_does_not_change_the_text(text: str, sizes: list[int]) -> None:
    made, data, shown = TextStream(decode), text.encode(), ""
    for size in (sizes * 160)[: len(data)]:
        made.push(list(data[:size]))
        data = data[size:]
        shown += made.take()
        assert text.strip().startswith(shown)
    assert shown + made.finish() == text.strip()


def test_the_token_that_completes_a_stop_string_is_told() -> None:
    made = TextStream(decode, ["cd"])
    assert made.push(list(b"ab")) is None
    assert made.push(list(b"xcdy")) == 3
    assert made.finish() == "abx"


def test_whole_characters_are_shown_though_an_unfinished_one_came_with_them() -> None:
    made = TextStream(decode)
    made.push([*b"a", *"é".encode(), 0xF0, 0x9F])
    assert made.take() == "aé"


@given(st.text(alphabet="abé \n", max_size=30), st.lists(st.text(alphabet="abé ", min_size=1, max_size=4), max_size=3))
def test_the_text_ends_before_the_stop_string_that_is_complete_first(text: str, stop: list[str]) -> None:
    pieces, made = stream(text, stop)
    ends = [text.find(one) + len(one) for one in stop if one in text]
    expected = text
    if ends:
        first = min(ends)
        starts = [first - len(one) for one in stop if text[:first].endswith(one)]
        expected = text[: min(starts)]
    assert made.stopped == bool(ends)
    assert "".join(pieces) == made.taken == expected.strip()


def test_a_character_of_several_tokens_is_shown_once_it_is_whole() -> None:
    pieces, _ = stream("aé😀b")
    assert pieces == ["a", "", "é", "", "", "", "😀", "b", ""]


def test_what_may_become_a_stop_string_is_held_back() -> None:
    pieces, made = stream("one END two", ["END!"])
    assert pieces[:8] == ["o", "n", "e", "", "", "", "", " END"]
    assert made.taken == "one END two"


def test_an_unfinished_character_at_the_end_is_shown_as_such() -> None:
    made = TextStream(decode)
    made.push([0x61, 0xF0])
    assert made.take() == "a"
    assert made.finish() == "\ufffd"


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_blanks_alone_are_an_empty_answer(text: str) -> None:
    pieces, made = stream(text)
    assert "".join(pieces) == made.taken == ""
