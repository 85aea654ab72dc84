"""The table of users' keys, on every database."""

from __future__ import annotations

import pytest
from sealed_logs import key_table

from thumbwheel.errors import Fenced
from thumbwheel.records import WrappedKey


def key(key_id: str, user: str = "u1") -> WrappedKey:
    return WrappedKey(key_id, user, key_id.encode())


def test_keys_are_found_by_id_and_by_user_and_go(url: str) -> None:
    table = key_table(url)
    assert table.position() == 0
    assert table.advance(0, 3, [key("b"), key("a"), key("c", "u2")], []) == set()
    assert table.position() == 3
    assert table.find(["a", "c", "x"]) == {"a": b"a", "c": b"c"}
    assert table.ids_of("u1") == ["a", "b"]
    assert table.advance(3, 5, [key("d", "u3")], ["d", "c", "never"]) == {"u2", "u3"}
    assert (table.find(["c", "d"]), table.ids_of("u2")) == ({}, [])
    table.close()


def test_keys_that_are_past_go_without_a_word_of_their_users(url: str) -> None:
    table = key_table(url)
    table.advance(0, 3, [key("a"), key("b", "u2"), key("c", "u3")], [])
    assert table.advance(3, 5, [key("d", "u4")], ["b"], "", ["a", "d", "never"]) == {"u2"}
    assert table.find(["a", "b", "c", "d"]) == {"c": b"c"}
    table.close()


def test_another_reader_of_the_topic_is_fenced_and_nothing_is_there_twice(url: str) -> None:
    table, other = key_table(url), key_table(url)
    table.advance(0, 1, [key("a")], [])
    with pytest.raises(Fenced):
        other.advance(0, 2, [key("a"), key("b")], [])
    assert other.ids_of("u1") == ["a"]
    other.advance(1, 2, [key("a"), key("b")], [])
    assert table.ids_of("u1") == ["a", "b"]
    elsewhere = key_table(url, "another log")
    assert elsewhere.position() == 0
    elsewhere.advance(0, 1, [key("a")], [])
    for one in (table, other, elsewhere):
        one.close()
