"""A log that seals: who appends, who reads, who erases, at once and after another."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from answered import answer_and_vote
from sealed_logs import SECRET, key_table, open_below, sealed

from thumbwheel.bus.codec import from_log, to_log
from thumbwheel.bus.port import FEEDBACK, REQUESTS, USER_KEYS, EventLog, NewRecord, StoredRecord
from thumbwheel.bus.sealed_log import SealedLog
from thumbwheel.bus.sealing import KEY_HEADER, Wrapping, new_key, seal
from thumbwheel.bus.source import Source
from thumbwheel.config.settings import Ingest
from thumbwheel.errors import Conflict, LogUnavailable
from thumbwheel.ingest.retrying import record_again
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import ANONYMOUS_RATER, LoggedResponse
from thumbwheel.store.sql import open_store


@pytest.fixture
def below(tmp_path: Path) -> Iterator[EventLog]:
    log = open_below(tmp_path)
    yield log
    log.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.sqlite'}"


@pytest.fixture
def log(below: EventLog, url: str) -> SealedLog:
    return sealed(below, url)


def records(*users: str, start: int = 0) -> list[NewRecord]:
    """An answer with a word of each user's, and the vote on it."""
    pairs = (answer_and_vote(start + number, user=user, text=f"word of {user}") for number, user in enumerate(users))
    return [to_log(record) for pair in pairs for record in pair]


def users_of(log: EventLog) -> list[str]:
    found = (from_log(one) for one in log.read(REQUESTS, 0, 0, 100))
    return [one.user_hash for one in found if isinstance(one, LoggedResponse)]


def test_what_lies_in_the_log_is_sealed_and_read_as_it_was(log: SealedLog, below: EventLog) -> None:
    made = records("u1", "u2", "u1")
    log.append(made)
    for topic in (REQUESTS, FEEDBACK):
        wanted = [one for one in made if one.topic == topic]
        assert [(one.key, one.payload, one.headers) for one in log.read(topic, 0, 0, 10)] == [
            (one.key, one.payload, one.headers) for one in wanted
        ]
        lying = below.read(topic, 0, 0, 10)
        assert [one.key for one in lying] == [one.key for one in wanted]
        assert not any(b"u1" in one.payload or b"word" in one.payload for one in lying)
        assert len({one.headers[KEY_HEADER] for one in lying}) == 2
    assert len(below.read(USER_KEYS, 0, 0, 10)) == 2
    assert not any(b"u1" in one.payload for one in below.read(USER_KEYS, 0, 0, 10))


def test_who_has_no_user_id_and_what_is_no_event_is_not_sealed(log: SealedLog, below: EventLog) -> None:
    made = [*records(""), *records(f"{ANONYMOUS_RATER}1")[1:], NewRecord(FEEDBACK, "k", b"\xff poison")]
    log.append(made)
    assert [one.payload for one in below.read(FEEDBACK, 0, 0, 10)] == [one.payload for one in made[1:]]
    assert log.read(FEEDBACK, 0, 0, 10) == below.read(FEEDBACK, 0, 0, 10)
    assert below.end_offset(USER_KEYS, 0) == 0


def test_an_erased_user_is_a_gap_for_every_reader(log: SealedLog, below: EventLog, url: str, tmp_path: Path) -> None:
    log.append(records("u1", "u2", "u1", "u3"))
    assert users_of(log) == ["u1", "u2", "u1", "u3"]
    assert log.shred("u1") == 1
    elsewhere = sealed(below, f"sqlite:///{tmp_path / 'empty.sqlite'}")
    for reader in (log, sealed(below, url), elsewhere):
        assert users_of(reader) == ["u2", "u3"]
        assert [one.offset for one in reader.read(REQUESTS, 0, 0, 1)] == [1]
        assert [one.offset for one in reader.read(REQUESTS, 0, 2, 1)] == [3]
    assert log.shred("u1") == 0


def test_nothing_but_gaps_until_the_end_is_empty(log: SealedLog) -> None:
    log.append(records("u1", "u1", "u1"))
    log.shred("u1")
    assert log.read(REQUESTS, 0, 0, 1) == []
    assert log.end_offset(REQUESTS, 0) == 3


def test_an_erased_user_who_comes_again_is_read(log: SealedLog, below: EventLog, url: str) -> None:
    another = sealed(below, url)
    for each in (log, another):
        each.append(records("u1"))
    assert another.shred("u1") == 2  # one a process
    for each in (log, another):
        each.append(records("u1"))
    assert users_of(log) == ["u1", "u1"]
    assert len(below.read(USER_KEYS, 0, 0, 100)) == 6


class Days:
    """A clock that is set to days from now, in microseconds."""

    def __init__(self) -> None:
        self.from_now = 0.0

    def __call__(self) -> int:
        return time.time_ns() // 1_000 + int(self.from_now * 86_400_000_000)


class Stamped:
    """A log whose records carry the time of a clock, as Kafka's carry that of who appended them."""

    def __init__(self, below: EventLog, clock: Days) -> None:
        self._below, self._clock = below, clock
        self._times: dict[str, list[int]] = {}

    def append(self, records: Sequence[NewRecord]) -> None:
        self._below.append(records)
        for one in records:
            self._times.setdefault(one.topic, []).append(self._clock())

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        found = self._below.read(topic, partition, offset, limit)
        return [one._replace(time_us=self._times[topic][one.offset]) for one in found]

    def __getattr__(self, name: str) -> object:
        return getattr(self._below, name)


def dated(below: EventLog, url: str) -> tuple[SealedLog, Days]:
    days = Days()
    return SealedLog(cast(EventLog, Stamped(below, days)), Wrapping(SECRET), key_table(url), days), days


def keys_in(below: EventLog) -> list[str]:
    """Whose keys the topic has, in order, without those that were removed."""
    found = below.read(USER_KEYS, 0, 0, 100)
    gone = {one.key for one in found if not one.payload}
    return [
        Wrapping(SECRET).unwrap(one.key, one.payload).user_hash for one in found if one.payload and one.key not in gone
    ]


def test_a_key_goes_when_all_that_the_log_has_came_after_it(below: EventLog, url: str, tmp_path: Path) -> None:
    log, days = dated(below, url)
    for days.from_now, user in ((-80, "first"), (-75, "past"), (-36, "used"), (0, "new")):
        log.append(records(user))
    assert log.drop_past_keys() == 0  # events under all of them are there
    assert users_of(log) == ["first", "past", "used", "new"]
    for topic in (REQUESTS, FEEDBACK):
        below.trim(topic, 0, 2)
    assert log.drop_past_keys() == 1  # it was used until 45 days ago, the oldest event is of 36 days ago
    assert log.drop_past_keys() == 0
    assert keys_in(below) == ["first", "used", "new"]
    elsewhere = sealed(log._log, f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    assert elsewhere.removed_users() == set()  # nobody was erased
    assert (elsewhere.sync(), elsewhere.shred("past"), elsewhere.shred("used")) == (set(), 0, 1)
    assert sealed(log._log, f"sqlite:///{tmp_path / 'restored.sqlite'}").removed_users() == {"used"}
    log.append(records("past"))
    assert users_of(elsewhere) == ["new", "past"]


def test_a_log_without_events_needs_no_key_that_is_out_of_use(below: EventLog, url: str) -> None:
    log, days = dated(below, url)
    for days.from_now, user in ((-80, "first"), (-38, "past"), (-36, "late"), (0, "new")):
        log.append(records(user))
    for topic in (REQUESTS, FEEDBACK):
        below.trim(topic, 0, 4)
    assert log.drop_past_keys() == 1
    assert keys_in(below) == ["first", "late", "new"]


def test_keys_of_a_release_that_did_not_say_for_how_long_it_uses_them_stay(below: EventLog, url: str) -> None:
    log, days = dated(below, url)
    for user in ("first", "second"):
        key = new_key(user)
        log._log.append([NewRecord(USER_KEYS, key.key_id, Wrapping(SECRET).wrap(key))])
    days.from_now = 4_000
    assert log.drop_past_keys() == 0
    assert keys_in(below) == ["first", "second"]


def test_a_key_is_used_for_a_month_and_not_before_it_was_made(below: EventLog, url: str) -> None:
    log, days = dated(below, url)
    for days.from_now, keys in ((0, 1), (29.9, 1), (30.1, 2), (31, 2), (-1, 3), (20, 3)):
        log.append(records("u1"))
        assert len(keys_in(below)) == keys, days.from_now
    assert users_of(log) == ["u1"] * 6


class MadeAnew:
    """A log that is another one from some moment on, and does not say so, as Kafka does not for half a minute."""

    def __init__(self, below: EventLog, following: EventLog) -> None:
        self._below, self._following = below, following

    def make_anew(self) -> None:
        self._below = self._following

    def __getattr__(self, name: str) -> object:
        return getattr(self._below, name)


def test_events_after_the_topics_were_made_anew_are_sealed_under_keys_that_are_there(
    below: EventLog, url: str, tmp_path: Path
) -> None:
    (tmp_path / "anew").mkdir()
    with closing(open_below(tmp_path / "anew")) as following:
        topics = MadeAnew(below, following)
        log = sealed(cast(EventLog, topics), url)
        log.append(records("u1", "u2"))
        topics.make_anew()
        log.append(records("u1"))
        log.append(records("u1", "u2"))
        reader = sealed(following, f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
        assert users_of(reader) == ["u1", "u1", "u2"]
        assert keys_in(following) == ["u1", "u2"]


class Interrupted:
    """A log into which somebody else erases a user just before an append of events is done."""

    def __init__(self, below: EventLog, other: SealedLog, user: str) -> None:
        self._below, self._other, self._user = below, other, user

    def append(self, records: Sequence[NewRecord]) -> None:
        if records and records[0].topic == REQUESTS and self._user:
            user, self._user = self._user, ""
            self._other.shred(user)
        self._below.append(records)

    def __getattr__(self, name: str) -> object:
        return getattr(self._below, name)


def test_what_is_appended_while_its_user_is_erased_is_appended_under_another_key(
    log: SealedLog, below: EventLog, url: str
) -> None:
    writer = sealed(Interrupted(below, log, "u1"), url)  # type: ignore[arg-type]
    writer.append(records("u2", "u1"))
    assert sorted(users_of(log)) == ["u1", "u2"]
    assert below.end_offset(REQUESTS, 0) == 3


def test_another_homes_secret_is_told_and_takes_nobody_for_erased(log: SealedLog, below: EventLog, url: str) -> None:
    log.append(records("u1"))
    stranger = sealed(below, url, bytes(32))
    with pytest.raises(LogUnavailable, match=r"restore the keys\.json"):
        stranger.read(REQUESTS, 0, 0, 1)
    assert users_of(log) == ["u1"]
    with pytest.raises(LogUnavailable, match=r"restore the keys\.json"):
        stranger.read(REQUESTS, 0, 0, 1)


def test_who_has_another_secret_appends_nothing_of_a_user(log: SealedLog, below: EventLog, tmp_path: Path) -> None:
    log.append(records("u1"))
    stranger = sealed(below, f"sqlite:///{tmp_path / 'other.sqlite'}", bytes(32))
    for _ in range(2):
        with pytest.raises(LogUnavailable, match=r"feedback\.keys_file.*restore the keys\.json"):
            stranger.append(records("u2"))
    assert (below.end_offset(USER_KEYS, 0), below.end_offset(REQUESTS, 0)) == (1, 1)
    log.append(records("u3"))
    assert users_of(log) == ["u1", "u3"]


class Overtaken:
    """A log into which another process appends its first events just before keys are."""

    def __init__(self, below: EventLog, other: SealedLog) -> None:
        self._below, self._other = below, other
        self._overtaken = False

    def append(self, records_: Sequence[NewRecord]) -> None:
        if records_[0].topic == USER_KEYS and not self._overtaken:
            self._overtaken = True
            self._other.append(records("u1"))
        self._below.append(records_)

    def __getattr__(self, name: str) -> object:
        return getattr(self._below, name)


def test_of_two_that_begin_at_once_with_different_secrets_the_first_ones_holds(
    log: SealedLog, below: EventLog, tmp_path: Path
) -> None:
    second = sealed(Overtaken(below, log), f"sqlite:///{tmp_path / 'other.sqlite'}", bytes(32))  # type: ignore[arg-type]
    with pytest.raises(LogUnavailable, match=r"restore the keys\.json"):
        second.append(records("u2"))
    assert below.end_offset(REQUESTS, 0) == 1
    log.append(records("u3"))
    assert users_of(log) == ["u1", "u3"]


def append_as_a_stranger(below: EventLog, *users: str) -> None:
    """What a process with another secret appended before it was kept from it."""
    foreign = Wrapping(bytes(32))
    for record, key in ((record, new_key(user)) for user in users for record in records(user, start=50)):
        below.append([NewRecord(USER_KEYS, key.key_id, foreign.wrap(key))])
        payload = seal(record.payload, key, record.topic, record.key)
        below.append([replace(record, payload=payload, headers={**record.headers, KEY_HEADER: key.key_id.encode()})])


def test_what_another_secret_sealed_is_a_dead_letter_and_stops_nobody(
    log: SealedLog, below: EventLog, url: str, tmp_path: Path
) -> None:
    log.append(records("u1"))
    append_as_a_stranger(below, "u2")
    log.append(records("u3", "u4", start=10))
    log.shred("u4")
    with closing(open_store(url)) as store:
        IngestWorker(Source(log, "c"), store, Ingest()).drain()
        assert [store.offset("c", topic, 0) for topic in (REQUESTS, FEEDBACK)] == [4, 4]
        assert {one.response.user_hash for one in store.rated("p", store.watermark())} == {"u1", "u3"}
        letters = store.dead_letters_from(0, 9)
        assert sorted((one.topic, one.offset) for one in letters) == [(FEEDBACK, 1), (REQUESTS, 1)]
        assert all("wrapped under another keys.json" in one.reason for one in letters)
        with pytest.raises(Conflict, match="still can not be used"):
            record_again(letters[0], log)
    restored = sealed(below, f"sqlite:///{tmp_path / 'backup.sqlite'}")
    assert restored.removed_users() == {"u4"}
    log.append(records("u5", start=20))
    (last,) = log.read(REQUESTS, 0, 4, 1)
    assert last.key == "r20"


def test_a_stranger_reads_nothing_of_a_log_that_has_its_keys_too(log: SealedLog, below: EventLog, url: str) -> None:
    log.append(records("u1"))
    append_as_a_stranger(below, "u2")
    stranger = sealed(below, url, bytes(32))
    with pytest.raises(LogUnavailable, match=r"restore the keys\.json"):
        stranger.read(REQUESTS, 0, 1, 9)


def test_what_was_altered_is_poison_and_costs_its_neighbours_nothing(log: SealedLog, below: EventLog) -> None:
    log.append(records("u1"))
    (lying,) = below.read(REQUESTS, 0, 0, 1)
    below.append([NewRecord(REQUESTS, "moved", lying.payload, lying.headers)])
    log.append(records("u1"))
    assert [one.payload == lying.payload for one in log.read(REQUESTS, 0, 0, 9)] == [False, True, False]


def test_whose_keys_are_gone_is_told_to_who_had_them(log: SealedLog, below: EventLog, url: str, tmp_path: Path) -> None:
    restored = sealed(below, f"sqlite:///{tmp_path / 'backup.sqlite'}")
    log.append(records("u1", "u2"))
    assert restored.sync() == set()
    log.shred("u1")
    log.append(records("u3"))
    assert restored.sync() == {"u1"}
    assert restored.sync() == set()


class Flickering:
    """A log that is away for the second question after its end, and for no other."""

    def __init__(self, below: EventLog) -> None:
        self._below, self._questions = below, 0

    def end_offset(self, topic: str, partition: int) -> int:
        self._questions += 1
        if self._questions == 2:
            raise LogUnavailable("away", 0.01)
        return self._below.end_offset(topic, partition)

    def __getattr__(self, name: str) -> object:
        return getattr(self._below, name)


def test_a_broker_that_is_away_for_a_moment_after_an_append_gets_nothing_twice(below: EventLog, url: str) -> None:
    writer = sealed(Flickering(below), url)  # type: ignore[arg-type]
    writer.append(records("u1"))
    assert below.end_offset(REQUESTS, 0) == 1


class Away:
    """A table of keys whose database is away."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was asked for")


def test_appending_asks_no_database(log: SealedLog, below: EventLog) -> None:
    writer = SealedLog(below, Wrapping(SECRET), Away())  # type: ignore[arg-type]
    writer.append(records("u1", "u2", ""))
    assert users_of(log) == ["u1", "u2", ""]
