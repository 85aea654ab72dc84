"""A user's data file: the four forms, and bad lines by number."""

from collections.abc import Callable
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


def test_a_key_that_is_missing_is_said_to_be(tmp_path: Path) -> None:
    rows = '{"text": "a", "label": "x"}\n{"text": "b", "lable": "x"}\n{}\n{"text": "c", "label": ""}\n'
    with pytest.raises(InvalidData) as refused:
        read_labelled(written(tmp_path, rows))
    assert str(refused.value).split(": ", 1)[1] == (
        'line 2: "label" is missing, the line has "text", "lable"; line 3: "text" is missing, the line has no keys; '
        'line 4: "label" must be a text that is not empty'
    )


def test_many_bad_lines_are_counted_not_listed(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="; and 7 more bad lines: 6, 7, 8, 9, 10, 11, 12$"):
        read_labelled(written(tmp_path, "nope\n" * 12))
    with pytest.raises(InvalidData, match="; and 1,025 more bad lines: 6, .*, 25, ...$") as refused:
        read_labelled(written(tmp_path, "nope\n" * 1030))
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("read", [read_labelled, read_chats])
def test_a_line_that_is_not_utf8_hides_no_other(tmp_path: Path, read: Callable[[Path], object]) -> None:
    file = written(tmp_path, b'{"text": "a", "label": "\xe4"}\n\r\nnope\n{"text": "\xff"}\n')
    with pytest.raises(InvalidData) as refused:
        read(file)
    told = str(refused.value).split("; ")
    assert told[0] == f"{file}: line 1: character 25 is not UTF-8: save the file as UTF-8"
    assert told[1].startswith("line 3: not JSON")
    assert told[2] == "line 4: character 11 is not UTF-8: save the file as UTF-8"


def test_transcripts_and_plain_text_name_lines_that_are_not_utf8(tmp_path: Path) -> None:
    for text in (b"user: hi\nassistant: \xfc\n", b"One.\n\xfc\n"):
        with pytest.raises(InvalidData, match="line 2: character [0-9]+ is not UTF-8"):
            read_chats(written(tmp_path, text))


def test_lines_are_numbered_as_editors_do(tmp_path: Path) -> None:
    rows = '{"text": "a\u2028b\x85c", "label": "x"}\r\nnope\r{"text": "d", "label": "y"}\n[]\n'
    with pytest.raises(InvalidData, match="line 2: not JSON: .*; line 4: not a JSON object"):
        read_labelled(written(tmp_path, rows))


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


@pytest.mark.parametrize(
    ("content", "problem"), [(b"\xff\xfe", "line 1: character 1 is not UTF-8"), (b"\n \n", "no rows")]
)
def test_unreadable_and_empty(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(InvalidData, match=problem):
        read_chats(written(tmp_path, content))
    with pytest.raises(InvalidData, match="can not be read"):
        read_labelled(tmp_path / "absent")


@pytest.mark.parametrize("line", ['{"text": "x", "label": %s}', '{"text": %s, "label": "x"}'])
def test_a_number_of_thousands_of_digits_is_a_bad_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidData, match='line 2: "(text|label)" must be a text'):
        read_labelled(written(tmp_path, '{"text": "a", "label": "x"}\n' + line % ("9" * 5_000)))


CHAT = '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]}'


@pytest.mark.parametrize("first", ["garbage", "user: hi"])
def test_one_chat_makes_a_file_of_chats(tmp_path: Path, first: str) -> None:
    with pytest.raises(InvalidData, match="line 1: not JSON.*; line 3: not JSON"):
        read_chats(written(tmp_path, f"{first}\n{CHAT}\n{{bad\n"))


def test_plain_text_may_speak_of_messages(tmp_path: Path) -> None:
    lines = ['Write {"messages": []} a line.', '{"messages": so it begins', "[1]"]
    assert read_chats(written(tmp_path, "One.\n" + "\n".join(lines))) == [
        (Message("", line),) for line in ["One.", *lines]
    ]


def test_transcripts_that_nobody_answers_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="data.jsonl: no assistant: line, so"):
        read_chats(written(tmp_path, "user: hi\n\nuser: anybody?\n"))


LABELLED = '{"text": "a", "label": "x"}'


@pytest.mark.parametrize(
    ("read", "line", "said"),
    [
        (read_labelled, CHAT, "this is a file of chats: use --kind generate"),
        (read_chats, LABELLED, "this is a file of labelled texts: use --kind classify"),
    ],
)
def test_a_file_for_the_other_kind_of_policy_is_said_to_be_one(
    read: Callable[[Path], object], line: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidData, match=said) as refused:
        read(written(tmp_path, f"{line}\n\n" * 400))
    assert "line 1" not in str(refused.value)


def test_rows_that_have_the_fields_of_both_kinds_are_good_for_both(tmp_path: Path) -> None:
    file = written(tmp_path, LABELLED.removesuffix("}") + ", " + CHAT.removeprefix("{"))
    assert read_labelled(file) == [LabelledText("a", "x")]
    assert len(read_chats(file)) == 1


def test_a_few_chats_among_labelled_texts_are_bad_lines(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match='line 2: "text" is missing, the line has "messages"'):
        read_labelled(written(tmp_path, f"{LABELLED}\n{CHAT}\n"))


def test_a_file_is_named_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for given in ("nope", "data/nope.jsonl"):
        with pytest.raises(InvalidData, match=f"^{given}: can not be read"):
            read_labelled(Path(given))
