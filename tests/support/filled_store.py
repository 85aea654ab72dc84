"""A store with any number of answers and votes, as they would be after months, written past ingest.

Three policies with unlike shares of the traffic, versions that follow each other, users of whom few ask much, answers
of the last `DAYS` days. Every answer has a thumb, but for one in ten that has none; some of these were taken back. Rows
are what ingest would have made of the events; only that they come by COPY, or in large transactions on SQLite.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Engine, Table, insert, text, update

from thumbwheel.database import slices
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.database.schema import consumer_offsets, counters, current_votes, feedback_events, responses
from thumbwheel.database.transactions import BARE
from thumbwheel.events.convert import encode
from thumbwheel.events.v1 import events_pb2 as pb
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    Feedback,
    FeedbackKind,
    GenerateAnswer,
    LoggedResponse,
    Message,
    Retraction,
    VersionRef,
)

DAYS = 180
END_MS = 1_790_000_000_000
START_MS = END_MS - DAYS * slices.DAY_MS
POLICIES = ("support",) * 8 + ("intent",) + ("reply",)
VERSIONS = 12
_LABELS = tuple(f"label-{number}" for number in range(20))
_CHUNK = 20_000
_Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    """One answer, its rows, and those of the votes on it."""

    response: _Row
    events: list[_Row]
    current: list[_Row]


def fill(url: str, answers: int, slice_days: int = 15, seed: int = 0) -> int:
    """Write that many answers and their votes into an empty database; return how many votes there are."""
    engine = connect(url)
    try:
        migrate(engine)
        made = _made(answers, seed)
        votes = 0
        while chunk := list(islice(made, _CHUNK)):
            _make_slices(engine, [one.response for one in chunk], slice_days)
            _insert(engine, responses, [one.response for one in chunk])
            _insert(engine, feedback_events, [row for one in chunk for row in one.events])
            _insert(engine, current_votes, [row for one in chunk for row in one.current])
            votes += sum(len(one.current) for one in chunk)
        _finish(engine, answers)
        return votes
    finally:
        engine.dispose()


def user(number: int) -> str:
    """The pseudonym of a user; 0 asks most."""
    return f"u{number:032x}"


def response_id(time_ms: int, number: int) -> str:
    """The id of an answer: a UUIDv7, by its time."""
    return f"{slices.first_id(time_ms)}-7{number % 4096:03x}-8000-{number:012x}"


def _made(answers: int, seed: int) -> Iterator[_Made]:
    chance = random.Random(seed)
    templates = {policy: pb.Event.FromString(encode(_answer(policy))) for policy in set(POLICIES)}
    users = max(10, answers // 25)
    step_ms = (END_MS - START_MS) / answers
    sequence = 0
    for number in range(answers):
        policy = chance.choice(POLICIES)
        time_ms = START_MS + int(number * step_ms)
        who = user(int(users * chance.random() ** 3))
        name = response_id(time_ms, number)
        version = f"v{1 + number * VERSIONS // answers}"
        payload = _payload(templates[policy], name, who, version, time_ms * 1_000)
        made = _Made((name, policy, version, who, time_ms * 1_000, payload), [], [])
        if number % 10:
            sequence = _vote(made, chance, sequence)
        yield made


def _payload(template: pb.Event, name: str, who: str, version: str, time_us: int) -> bytes:
    template.event_id, template.time_unix_us = name, time_us
    logged = template.inference_logged
    logged.response_id = logged.request_id = name
    logged.user_hash, logged.policy_version = who, version
    return template.SerializeToString()


def _vote(made: _Made, chance: random.Random, sequence: int) -> int:
    """Add a thumb, some minutes later, and in one of fifty cases that it was taken back; return the last sequence."""
    name, policy, version, who, time_us, _ = made.response
    at_us = int(str(time_us)) + chance.randrange(3_600_000_000)
    up = chance.random() < 0.7
    ids = str(name), str(who)
    vote = Feedback(f"f-{name}", *ids, "", str(policy), str(version), FeedbackKind.THUMB, at_us, thumb_up=up)
    made.events.append((name, sequence + 1, who, vote.feedback_id, policy, encode(vote)))
    if chance.random() >= 0.02:
        made.current.append(_current(made, sequence + 1, at_us, vote.feedback_id, up))
        return sequence + 1
    taken = Retraction(f"t-{name}", *ids, "", FeedbackKind.THUMB, at_us + 1)
    made.events.append((name, sequence + 2, who, taken.feedback_id, policy, encode(taken)))
    made.current.append(_current(made, sequence + 2, at_us + 1, taken.feedback_id, None))
    return sequence + 2


def _current(made: _Made, sequence: int, time_us: int, feedback_id: str, up: bool | None) -> _Row:
    name, policy, version, who = made.response[:4]
    return name, who, "thumb", sequence, policy, version, time_us, feedback_id, up is None, up, None


def _answer(policy: str) -> LoggedResponse:
    served = ClassifyAnswer("where is the card I ordered last week?", 3, _LABELS[3], (0.05,) * 20, 0.02, _LABELS)
    written = GenerateAnswer(
        (Message("user", "where is the card I ordered last week?"),),
        "It was sent on Monday and should be with you by Friday; I can send another one if it is not.",
        tuple(range(40)),
        tuple(range(60)),
        (-0.5,) * 60,
        1.0,
        1.0,
        0,
        128,
        "stop",
        0,
        1,
    )
    ref = VersionRef(policy, "v1", "sha256:" + "0" * 64)
    said = written if policy == "reply" else served
    return LoggedResponse("r", "r", ref, Channel.CHAMPION, "", "u", "", 1, "", said)


# --- writing ------------------------------------------------------------------------------------------------


def _insert(engine: Engine, table: Table, rows: Sequence[_Row]) -> None:
    names = [column.name for column in table.columns]
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            _copy(connection.connection.driver_connection, table.name, names, rows)
        else:
            values = ", ".join("?" * len(names))
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.executemany(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values})", rows)


def _make_slices(engine: Engine, rows: Sequence[_Row], slice_days: int) -> None:
    times = [slices.time_ms_of(str(row[0])) or 0 for row in rows]
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            assert slices.make(connection, slices.missing(times, slice_days, slices.present(connection)))


def _copy(driver: Any, table: str, names: Sequence[str], rows: Sequence[_Row]) -> None:
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _finish(engine: Engine, answers: int) -> None:
    with engine.begin() as connection:
        connection.execute(update(counters).values(value=2 * answers))
        offset = {"consumer": "filled", "topic": "t", "partition": 0, "next_offset": answers, "log_id": ""}
        connection.execute(insert(consumer_offsets).values(offset))
    with engine.connect().execution_options(**{BARE: True}) as connection:
        # as the server does by itself before long: the planner knows the tables, and which pages all can see
        connection.execute(text("VACUUM (ANALYZE)" if connection.dialect.name == "postgresql" else "ANALYZE"))
