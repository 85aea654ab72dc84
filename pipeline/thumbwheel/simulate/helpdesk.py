"""The help desk as files to train a first policy from, and as questions with their truth."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random

from thumbwheel.simulate.crowd import Question
from thumbwheel.simulate.message import HelpRequest
from thumbwheel.simulate.users import label_quality, tags_quality
from thumbwheel.simulate.world import World


def write_labelled(world: World, rows: int, rng: Random, file: Path) -> None:
    """Write `rows` messages with their intents, `{"text", "label"}` a line."""
    _write(file, ({"text": one.text, "label": one.intent} for one in _messages(world, rows, rng)))


def write_tagged(world: World, rows: int, rng: Random, file: Path) -> None:
    """Write `rows` messages as words with the tags of their slots, `{"tokens", "tags"}` a line."""
    _write(file, (tagged_row(one) for one in _messages(world, rows, rng)))


def tagged_row(message: HelpRequest) -> dict[str, object]:
    """A message's words and their BIO tags."""
    tokens, tags = zip(*message.tagged_words(), strict=True)
    return {"tokens": list(tokens), "tags": list(tags)}


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


def slot_questions(world: World, rng: Random) -> Iterator[Question]:
    """Ask for the slots in messages for ever; the quality of tags is the F1 of their entities."""
    while True:
        yield _slot_question(world.message(rng))


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


def _slot_question(message: HelpRequest) -> Question:
    truth = [tag for _, tag in message.tagged_words()]
    return Question(message.text, lambda tags: tags_quality(tags.split(), truth))


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
