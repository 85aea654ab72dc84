"""A user's own data file: labelled texts for `classify`, tagged words for `tag`, chats or plain text for `generate`.

{"text": "where is my parcel", "label": "track"}                     classify, JSON lines
{"tokens": ["fly", "to", "Rome"], "tags": ["O", "O", "B-city"]}      tag, JSON lines
{"messages": [{"role": "user", "content": "..."}, ...]}              generate, JSON lines
user: ...  /  assistant: ...   with a blank line between dialogues   generate, transcripts
any other text, one document a line                                  generate, plain text

A file with a line of the second form is one of chats, and its other lines are bad lines. A file that is wholly of the
other kind of policy is said to be so, rather than each of its lines to be bad.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from thumbwheel.errors import InvalidData
from thumbwheel.records import ROLES, Message

MAX_LINE_CHARACTERS: Final = 100_000
_DESCRIBED_BAD_LINES: Final = 5
_NUMBERED_BAD_LINES: Final = 20  # besides those described

_NAMED_KEYS: Final = 5

# The tag of a word that is of no entity.
OUTSIDE: Final = "O"

Chat = tuple[Message, ...]
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text and its right label."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class TaggedWords:
    """Words and their right tags, one each: `B-city` begins a city, `I-city` goes on with it, `O` is nothing."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]


class _BadLine(ValueError):
    """What is wrong with one line, and its cure."""


def read_labelled(path: Path) -> list[LabelledText]:
    """Read JSON lines of `{"text", "label"}`.

    Raises:
        InvalidData: the file can not be read, has no rows, or has bad lines; names the lines.
    """
    lines = _lines(path)
    if _all_have(lines, "messages", but_not="text"):
        problem = 'this is a file of chats: use --kind generate, or give one {"text": "...", "label": "..."} a line'
        raise InvalidData(str(path), problem)
    return _parse(path, lines, _labelled)


def demand_labels(path: Path, rows: Sequence[LabelledText]) -> None:
    """Raise InvalidData where the rows of the file have fewer than two labels: there is nothing to tell apart."""
    labels = {row.label for row in rows}
    if len(labels) < 2:
        only = min(labels, default="")[:40]
        raise InvalidData(str(path), f"every label is {only!r}: give texts of at least 2 different labels")


def read_tagged(path: Path) -> list[TaggedWords]:
    """Read JSON lines of `{"tokens", "tags"}`.

    Raises:
        InvalidData: the file can not be read, has no rows, or has bad lines; names the lines.
    """
    lines = _lines(path)
    for key, kind in (("label", "classify"), ("messages", "generate")):
        if _all_have(lines, key, but_not="tokens"):
            problem = f'this file is of kind {kind}: use --kind {kind}, or give one {{"tokens", "tags"}} a line'
            raise InvalidData(str(path), problem)
    return _parse(path, lines, _tagged)


def read_chats(path: Path) -> list[Chat]:
    """Read what a causal policy learns from; a plain-text document is one message of role `""`.

    Raises:
        InvalidData: the file can not be read, has no rows, or has bad lines; names the lines.
    """
    lines = _lines(path)
    first = next((line for line in lines if line.strip()), "")
    if _all_have(lines, "label", but_not="messages"):
        raise InvalidData(
            str(path), 'this is a file of labelled texts: use --kind classify, or give {"messages"} a line'
        )
    if first.lstrip().startswith("{") or any(_has(line, "messages") for line in lines):
        return _parse(path, lines, _chat)
    if _role(first) is not None:
        return _demand_replies(path, list(_transcripts(path, lines)))
    return _parse(path, lines, lambda line: (Message("", line.strip()),))


def _lines(path: Path) -> list[str]:
    """The lines as editors number them. Bytes that are no UTF-8 become lone surrogates (PEP 383), to be found later."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            return [line.rstrip("\n") for line in file]
    except OSError as error:
        raise InvalidData(str(path), f"can not be read ({error.strerror}): check the path") from error


def _parse(path: Path, lines: Iterable[str], parse: Callable[[str], Row]) -> list[Row]:
    """Parse every line that is not blank; collect what is wrong, and tell it all at once."""
    rows: list[Row] = []
    problems: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            _demand_utf8(line)
            if len(line) > MAX_LINE_CHARACTERS:
                raise _BadLine(f"longer than {MAX_LINE_CHARACTERS} characters: split it")
            rows.append(parse(line))
        except _BadLine as error:
            problems[number] = str(error)
    _raise(path, problems)
    if not rows:
        raise InvalidData(str(path), "it has no rows: give at least one line")
    return rows


def _demand_utf8(line: str) -> None:
    try:
        line.encode()
    except UnicodeEncodeError as error:
        raise _BadLine(f"character {error.start + 1} is not UTF-8: save the file as UTF-8") from error


def _raise(path: Path, problems: Mapping[int, str]) -> None:
    """Raise InvalidData if there are problems: the first described, more by number, the rest counted."""
    if not problems:
        return
    numbers = list(problems)
    told = [f"line {number}: {problems[number]}" for number in numbers[:_DESCRIBED_BAD_LINES]]
    more = numbers[_DESCRIBED_BAD_LINES:]
    if more:
        named = ", ".join(map(str, more[:_NUMBERED_BAD_LINES]))
        rest = ", ..." if len(more) > _NUMBERED_BAD_LINES else ""
        told.append(f"and {len(more):,} more bad lines: {named}{rest}")
    raise InvalidData(str(path), "; ".join(told))


def _object(line: str) -> dict[str, object]:
    try:
        row = json.loads(line, parse_int=float)  # int() refuses thousands of digits; no number is ever used
    except (json.JSONDecodeError, RecursionError) as error:
        raise _BadLine("not JSON: write one object a line") from error
    if not isinstance(row, dict):
        raise _BadLine("not a JSON object: write {...}")
    return row


def _has(line: str, key: str) -> bool:
    if not line.lstrip().startswith("{") or f'"{key}"' not in line:
        return False
    try:
        return key in _object(line)
    except _BadLine:
        return False


def _all_have(lines: Sequence[str], key: str, *, but_not: str) -> bool:
    """Whether every row has `key` and none has `but_not`; False without rows."""
    rows = [line for line in lines if line.strip()]
    return bool(rows) and all(_has(row, key) and not _has(row, but_not) for row in rows)


def _value(row: dict[str, object], key: str) -> object:
    if key not in row:
        has = ", ".join(json.dumps(name[:40]) for name in list(row)[:_NAMED_KEYS]) or "no keys"
        raise _BadLine(f'"{key}" is missing, the line has {has}')
    return row[key]


def _text(row: dict[str, object], key: str) -> str:
    value = _value(row, key)
    if not isinstance(value, str) or not value.strip():
        raise _BadLine(f'"{key}" must be a text that is not empty')
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _BadLine(f'"{key}" has half a surrogate pair: write valid Unicode') from error
    return value


def _labelled(line: str) -> LabelledText:
    row = _object(line)
    return LabelledText(_text(row, "text"), _text(row, "label"))


def _tagged(line: str) -> TaggedWords:
    row = _object(line)
    tokens, tags = _texts(row, "tokens"), _texts(row, "tags")
    if len(tokens) != len(tags):
        raise _BadLine(f"{len(tokens)} tokens but {len(tags)} tags: give each token one")
    for tag in tags:
        if tag != OUTSIDE and not (tag[:2] in ("B-", "I-") and tag[2:].strip()):
            raise _BadLine(f'the tag {tag[:40]!r} is not "O", nor "B-" or "I-" and a name: write BIO tags')
        if tag.split() != [tag]:
            # Who corrects by the command line gives tags with blanks between them.
            cure = tag[:2] + "_".join(tag[2:40].split())
            raise _BadLine(f'"tags" has {tag[:40]!r}, with a blank in its name: write {cure!r}')
    return TaggedWords(tokens, tags)


def _texts(row: dict[str, object], key: str) -> tuple[str, ...]:
    values = _value(row, key)
    if not isinstance(values, list) or not values:
        raise _BadLine(f'"{key}" must be a list of texts that is not empty')
    return tuple(_text({key: value}, key) for value in values)


def _chat(line: str) -> Chat:
    turns = _value(_object(line), "messages")
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        raise _BadLine('"messages" must be a list of {"role", "content"} objects that is not empty')
    chat = tuple(Message(_text(turn, "role"), _text(turn, "content")) for turn in turns)
    for turn in chat:
        if turn.role not in ROLES:
            raise _BadLine(f"unknown role: use one of {', '.join(ROLES)}")
    if all(turn.role != "assistant" for turn in chat):
        raise _BadLine("no assistant message: there is no reply to learn from")
    return chat


def _role(line: str) -> str | None:
    role, colon, _ = line.partition(":")
    return role.strip().lower() if colon and role.strip().lower() in ROLES else None


def _demand_replies(path: Path, chats: list[Chat]) -> list[Chat]:
    if not chats:
        raise InvalidData(str(path), "no assistant: line, so no reply to learn from: add what was answered")
    return chats


def _turn(line: str) -> None:
    if _role(line) is None:
        raise _BadLine("must begin with user:, assistant: or system:")


def _transcripts(path: Path, lines: list[str]) -> Iterator[Chat]:
    """Yield dialogues of `role: text` lines; those without an assistant's turn teach nothing and are left out."""
    _parse(path, lines, _turn)
    chat: list[Message] = []
    for line in [*lines, ""]:
        role, text = _role(line), line.partition(":")[2].strip()
        if role and text:
            chat.append(Message(role, text))
        elif not line.strip():
            if any(turn.role == "assistant" for turn in chat):
                yield tuple(chat)
            chat = []
