"""A user's data file: the four forms, and bad lines by number."""

from pathlib import Path

import pytest

from thumbwheel.errors import InvalidData
from thumbwheel.pretrain.corpus import LabelledText, read_chats, read_labelled
from thumbwheel.records import Message


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "data.jsonl"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def test_labelled_rows_blank_lines_and_byte_order_mark(tmp_path: Path) -> None:
    file = written(tmp_path, '\ufeff{"text": "a", "label": "x"}\n\n{"text": "b", "label": "y", "more": 1}\n')
    assert read_labelled(file) == [LabelledText("a", "x"), LabelledText("b", "y")]


def test_bad_lines_are_named_by_number(tmp_path: Path) -> None:
    file = written(tmp_path, '{"text": "a", "label": "x"}\nnope\n[1]\n{"text": 3, "label": "x"}\n{"text": "a"}\n')
    with pytest.raises(InvalidData) as refused:
        read_labelled(file)
    assert "line 2: not JSON" in str(refused.value)
    assert "line 3: not a JSON object" in str(refused.value)
    assert 'line 4: "text"' in str(refused.value)
    assert 'line 5: "label"' in str(refused.value)
    assert "line 1" not in str(refused.value)


def test_many_bad_lines_are_counted_not_listed(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="and 7 more bad lines"):
        read_labelled(written(tmp_path, "nope\n" * 12))


def test_chats(tmp_path: Path) -> None:
    line = '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]}'
    assert read_chats(written(tmp_path, line)) == [(Message("user", "hi"), Message("assistant", "yes"))]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"messages": []}', '"messages" must be'),
        ('{"messages": ["hi"]}', '"messages" must be'),
        ('{"messages": [{"role": "robot", "content": "hi"}]}', "unknown role"),
        ('{"messages": [{"role": "user", "content": " "}]}', '"content" must be'),
        ('{"messages": [{"role": "user", "content": "hi"}]}', "no assistant message"),
        ('{"messages": [{"role": "user", "content": "\\ud800"}]}', "surrogate"),
        ("{" + "[" * 100_001, "longer than"),
    ],
)
def test_bad_chats(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(InvalidData, match=f"line 1: .*{problem}"):
        read_chats(written(tmp_path, line))


def test_transcripts_split_at_blank_lines(tmp_path: Path) -> None:
    text = "user: hi\nassistant: yes: what?\n\n\nUser: only asked\n\nuser: a\nassistant: b\n"
    assert read_chats(written(tmp_path, text)) == [
        (Message("user", "hi"), Message("assistant", "yes: what?")),
        (Message("user", "a"), Message("assistant", "b")),
    ]


def test_transcripts_with_a_stray_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="line 2: must begin with user:"):
        read_chats(written(tmp_path, "user: hi\nand more\nassistant: yes\n"))


def test_plain_text_is_a_document_a_line(tmp_path: Path) -> None:
    assert read_chats(written(tmp_path, "One.\n\nTwo: three.\n")) == [
        (Message("", "One."),),
        (Message("", "Two: three."),),
    ]


@pytest.mark.parametrize(("content", "problem"), [(b"\xff\xfe", "byte 0 is not UTF-8"), (b"\n \n", "no rows")])
def test_unreadable_and_empty(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(InvalidData, match=problem):
        read_chats(written(tmp_path, content))
    with pytest.raises(InvalidData, match="can not be read"):
        read_labelled(tmp_path / "absent")
