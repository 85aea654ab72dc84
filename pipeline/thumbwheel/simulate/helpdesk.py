"""The help desk as files to train a first policy from, and as questions with their truth."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random

from thumbwheel.simulate.crowd import Question
from thumbwheel.simulate.message import HelpRequest
from thumbwheel.simulate.users import label_quality
from thumbwheel.simulate.world import World


def write_labelled(world: World, rows: int, rng: Random, file: Path) -> None:
    """Write `rows` messages with their intents, `{"text", "label"}` a line."""
    _write(file, ({"text": one.text, "label": one.intent} for one in _messages(world, rows, rng)))


def write_chats(world: World, rows: int, rng: Random, file: Path) -> None:
    """Write `rows` messages with replies of mixed quality, `{"messages"}` a line."""
    _write(file, (_chat(one, world.mixed_reply(one, rng)) for one in _messages(world, rows, rng)))


def write_worth_keeping(world: World, rows: int, rng: Random, file: Path) -> None:
    """Write `rows` messages with good replies, `{"messages"}` a line."""
    _write(file, (_chat(one, world.good_reply(one)) for one in _messages(world, rows, rng)))


def intent_questions(world: World, rng: Random) -> Iterator[Question]:
    """Ask for the intent of messages for ever; the right intent has quality 1, another 0."""
    while True:
        yield _intent_question(world.message(rng))


def reply_questions(world: World, rng: Random) -> Iterator[Question]:
    """Ask for replies to messages for ever; their quality is the world's."""
    while True:
        yield _reply_question(world, world.message(rng))


def labelled_questions(rows: Sequence[tuple[str, str]], rng: Random) -> Iterator[Question]:
    """Ask for the labels of (text, label) rows for ever, each as often as the others, in changing order."""
    order = list(rows)
    while True:
        rng.shuffle(order)
        for text, truth in order:
            yield _labelled_question(text, truth)


def _labelled_question(text: str, truth: str) -> Question:
    return Question(text, lambda label: label_quality(label, truth))


def _intent_question(message: HelpRequest) -> Question:
    return _labelled_question(message.text, message.intent)


def _reply_question(world: World, message: HelpRequest) -> Question:
    return Question(message.text, lambda reply: world.reply_quality(message, reply))


def _messages(world: World, rows: int, rng: Random) -> Iterator[HelpRequest]:
    return (world.message(rng) for _ in range(rows))


def _chat(message: HelpRequest, reply: str) -> dict[str, object]:
    turns = [{"role": "user", "content": message.text}, {"role": "assistant", "content": reply}]
    return {"messages": turns}


def _write(file: Path, rows: Iterable[dict[str, object]]) -> None:
    with file.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
