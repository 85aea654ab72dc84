"""A log that can not remove single records, and yet forgets a user: users' events lie in it encrypted.

Every event of a user is sealed under a key of that user, made by the process that appends, and kept, itself encrypted
under the service's secret, in a topic of its own that the log compacts: of each key it keeps the last record, and a
record without a payload removes the key. Erasing a user is writing that record for each of the user's keys. Whoever
reads finds what can not be unsealed any more to be gone, like any record that was erased.

Appending needs the log alone: no database, so answers are shipped and votes acknowledged while it is away. In order:

1. a key of a user that this process has none of is appended, and acknowledged;
2. the events are, sealed;
3. what is new in the topic of keys is read. An event under a key that somebody has removed meanwhile is appended again,
   under a new one: it is later than the erasure, and not part of it. So is one under a key of a topic that was deleted
   and made anew, which shows by its end.

A key is used for a month, by the clock of whoever made it, and says so in the topic. When all that the log still has
was appended later, nothing needs it, and `drop_past_keys` removes it; the record that does so tells of no erasure.

Reading looks keys up in a table, the store's, which is brought up to date from the topic as often as a key is missing.

One service's keys are wrapped under one secret. The oldest key in the topic says under which: who has another secret
appends no key, and nothing of a user, and reads nothing of users either, for it would take every user for erased. Where
keys under another secret came in all the same (an earlier release let them), who has the right one goes on: what is
sealed under those is handed out as it lies, which is poison.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from thumbwheel.bus.key_topic import erased, is_past, made, of_keys, oldest_key, past, until_us
from thumbwheel.bus.port import DEAD_LETTERS, TOPICS, USER_KEYS, EventLog, NewRecord, StoredRecord
from thumbwheel.bus.sealing import KEY_HEADER, UserKey, Wrapping, is_key_id, new_key, seal, unseal
from thumbwheel.bus.user_keys import KeyTable
from thumbwheel.errors import Fenced, LogUnavailable, PoisonRecord
from thumbwheel.events.convert import user_of
from thumbwheel.records import WrappedKey
from thumbwheel.telemetry.logging import get_logger

_MOST_USERS = 50_000  # whose keys a process remembers; others get another one when they come again
_PAGE = 1_000
_RETRY_S = 10.0
_LOOKS = 3
_USED_US = 30 * 86_400_000_000
_CLOCKS_APART_US = 7 * 86_400_000_000  # by which clocks of processes that append may differ, and more
_NOBODY = ""  # whose a key is that is wrapped under another secret: that can't be read

logger = get_logger(__name__)


def _now_us() -> int:
    return time.time_ns() // 1_000


class SealedLog:
    """An `EventLog` over one that cannot erase by key. Any thread may call."""

    def __init__(self, log: EventLog, wrapping: Wrapping, table: KeyTable, clock: Callable[[], int] = _now_us) -> None:
        """Seal what goes into `log`; `table` is looked at by readers only. Closes `log` when it is closed.

        `clock` gives microseconds since the epoch.
        """
        self._log = log
        self._wrapping = wrapping
        self._table = table
        self._clock = clock
        self._mine = _OwnKeys(log, clock)
        self._topic_is_ours = False
        self._synced = ""  # which topic of keys was looked at last

    def append(self, records: Sequence[NewRecord]) -> None:
        """Append all, those of users sealed. Raises as the log below does; some may be in the log then.

        Raises LogUnavailable, too, where the topic of keys is of a service with another secret; no event is appended.
        """
        pending = [(record, user_of(record.payload)) for record in records]
        while pending:
            keys = self._keys_for({user for _, user in pending if user})
            self._log.append([_sealed(record, keys[user]) if user else record for record, user in pending])
            removed = self._removed_since() if keys else set()
            pending = [(record, user) for record, user in pending if user and keys[user].key_id in removed]

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        """Read records from `offset` on, opened; those whose key is gone are left out. Empty at the end.

        What does not open for another reason has its `KEY_HEADER` still. Raises LogUnavailable where the topic of keys
        is of a service with another secret.
        """
        while found := self._log.read(topic, partition, offset, limit):
            if opened := self._opened(found):
                return opened
            offset = found[-1].offset + 1
        return []

    def shred(self, user_hash: str) -> int:
        """Remove a user's keys, and with them what was appended of the user until now; return how many there were.

        Raises Unavailable: to be called again.
        """
        self.sync()
        doomed = self._table.ids_of(user_hash)
        self._log.append([erased(key_id) for key_id in doomed])
        self._mine.removed()
        self.sync()
        return len(doomed)

    def drop_past_keys(self) -> int:
        """Remove the keys under which the log has nothing any more, and nothing will be sealed; return how many.

        The oldest key stays, for it says under which secret all are wrapped; so do those of releases that did not say
        for how long they use one. Raises Unavailable: to be called again.
        """
        self._demand_our_topic()
        before_us = self._oldest_us() - _CLOCKS_APART_US
        self.sync()
        kept, position, end, dropped = "", 0, self._log.end_offset(USER_KEYS, 0), 0
        while position < end and (found := self._log.read(USER_KEYS, 0, position, _PAGE)):
            made_here = [one for one in of_keys(found) if one.payload]
            there = self._table.find({one.key for one in made_here})
            kept = kept or next((one.key for one in made_here if one.key in there), "")
            untils = {one.key: until_us(one) for one in made_here if one.key in there and one.key != kept}
            doomed = [key_id for key_id, until in untils.items() if until is not None and until < before_us]
            if doomed:
                self._log.append([past(key_id) for key_id in doomed])
            dropped += len(doomed)
            if any(until is not None and until >= before_us for until in untils.values()):
                break  # later ones are used for longer
            position = found[-1].offset + 1
        self.sync()
        return dropped

    def _oldest_us(self) -> int:
        """Return the time of the oldest event that the log has, now where it has none."""
        places = [(topic, one) for topic in (*TOPICS, DEAD_LETTERS) for one in self._log.partitions(topic)]
        first = [self._log.read(*place, self._log.begin_offset(*place), 1) for place in places]
        return min((found[0].time_us for found in first if found), default=self._clock())

    def removed_users(self) -> set[str]:
        """Return whose keys the topic has removed since where the table stands, which stays there.

        Raises Unavailable.
        """
        owners: dict[str, str] = {}
        gone: set[str] = set()
        position, end = self._table.position(self._log.identity(USER_KEYS)), self._log.end_offset(USER_KEYS, 0)
        while position < end:
            found = self._log.read(USER_KEYS, 0, position, _PAGE)
            owners.update((one.key, self._wrapped(one).user_hash) for one in of_keys(found) if one.payload)
            gone.update(one.key for one in of_keys(found) if not one.payload and not is_past(one))
            position = found[-1].offset + 1 if found else end
        owners.update((key_id, self._user_of(key_id, wrapped)) for key_id, wrapped in self._table.find(gone).items())
        return {owners[key_id] for key_id in gone if key_id in owners} - {_NOBODY}

    def sync(self) -> set[str]:
        """Bring the table up to what the topic of keys has now; return who was erased by that.

        Raises Unavailable.
        """
        gone_users: set[str] = set()
        self._synced = log_id = self._log.identity(USER_KEYS)
        end = self._log.end_offset(USER_KEYS, 0)
        while (position := self._table.position(log_id)) < end:
            found = self._log.read(USER_KEYS, 0, position, _PAGE)
            following = found[-1].offset + 1 if found else end
            new = [self._wrapped(one) for one in of_keys(found) if one.payload]
            gone = [one.key for one in of_keys(found) if not one.payload and not is_past(one)]
            dropped = [one.key for one in of_keys(found) if is_past(one)]
            try:
                gone_users |= self._table.advance(position, following, new, gone, log_id, dropped)
            except Fenced:
                continue  # another process does the same
        return gone_users - {_NOBODY}

    # --- as below -------------------------------------------------------------------------------
    def partitions(self, topic: str) -> Sequence[int]:
        """Return the partitions of a topic."""
        return self._log.partitions(topic)

    def identity(self, topic: str, anew: bool = False) -> str:
        """Return what tells a topic from another of its name."""
        return self._log.identity(topic, anew)

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset that the next appended record will have, at least."""
        return self._log.end_offset(topic, partition)

    def begin_offset(self, topic: str, partition: int) -> int:
        """Return the offset below which the log has dropped records by itself."""
        return self._log.begin_offset(topic, partition)

    def wait(self, timeout_s: float) -> None:
        """Return when something may have been appended since the last call, or after `timeout_s` seconds."""
        self._log.wait(timeout_s)

    def erase(self, keys: Sequence[str], before_us: int | None = None) -> int:
        """Refuse: `shred` forgets a user. Raises Conflict."""
        return self._log.erase(keys, before_us)

    def trim(self, topic: str, partition: int, before: int) -> int:
        """Forget what the log below lets go."""
        return self._log.trim(topic, partition, before)

    def fullness(self) -> float:
        """Return the share of its bound that the log fills."""
        return self._log.fullness()

    def close(self) -> None:
        """Close the log below."""
        self._log.close()

    # --- inside ---------------------------------------------------------------------------------
    def _removed_since(self) -> set[str]:
        """Return the ids of removed keys. The events are in the log: a short absence must not have them sent again."""
        for _ in range(_LOOKS - 1):
            try:
                return self._mine.removed()
            except LogUnavailable as error:
                time.sleep(error.retry_after_s)
        return self._mine.removed()

    def _keys_for(self, users: Iterable[str]) -> Mapping[str, UserKey]:
        """Return a key for each user; those made now are in the log when this returns."""
        known, new = self._mine.of(users)
        if new:
            self._demand_our_topic()
            self._log.append([made(key, self._wrapping.wrap(key)) for key in new])
            self._demand_our_topic()  # of two that begin at once with different secrets the first one's holds
            self._mine.remember(new)
        return {key.user_hash: key for key in (*known, *new)}

    def _opened(self, found: Sequence[StoredRecord]) -> list[StoredRecord]:
        key_ids = {_key_id(one) for one in found if KEY_HEADER in one.headers}
        keys = self._lookup({key_id for key_id in key_ids if is_key_id(key_id)}) if key_ids else {}
        opened = (_opened(one, keys) if KEY_HEADER in one.headers else one for one in found)
        left = [one for one in opened if one is not None]
        if len(left) < len(found):
            logger.info("records of erased users are passed over", records=len(found) - len(left))
        return left

    def _lookup(self, key_ids: set[str]) -> Mapping[str, UserKey | None]:
        """Return the keys that are there; None for one that is wrapped under another secret."""
        wrapped = dict(self._table.find(key_ids))
        if wrapped.keys() < key_ids:
            # A key is in the log before what is sealed under it: what is not there by now was removed.
            self.sync()
            wrapped.update(self._table.find(key_ids - wrapped.keys()))
        if wrapped.keys() < key_ids and self._log.identity(USER_KEYS, anew=True) != self._synced:
            # The topic was made anew, which is not said at once: what it has was not read.
            self.sync()
            wrapped.update(self._table.find(key_ids - wrapped.keys()))
        return {key_id: self._unwrapped(key_id, one) for key_id, one in wrapped.items()}

    def _wrapped(self, record: StoredRecord) -> WrappedKey:
        return WrappedKey(record.key, self._user_of(record.key, record.payload), record.payload)

    def _user_of(self, key_id: str, wrapped: bytes) -> str:
        key = self._unwrapped(key_id, wrapped)
        return key.user_hash if key is not None else _NOBODY

    def _unwrapped(self, key_id: str, wrapped: bytes) -> UserKey | None:
        try:
            return self._wrapping.unwrap(key_id, wrapped)
        except PoisonRecord:
            self._demand_our_topic()
            logger.warning("a process with another keys.json has appended; what it sealed is poison", key_id=key_id)
            return None

    def _demand_our_topic(self) -> None:
        """Raise LogUnavailable where the keys in the topic are wrapped under another secret. Without any it is free."""
        if self._topic_is_ours or (oldest := oldest_key(self._log)) is None:
            return
        try:
            self._wrapping.unwrap(oldest.key, oldest.payload)
        except PoisonRecord as error:
            raise LogUnavailable(
                "feedback.keys_file: users' events in Kafka are sealed under another keys.json than this process has; "
                "restore the keys.json that the service had, or choose another kafka.topic_prefix",
                _RETRY_S,
            ) from error
        self._topic_is_ours = True


class _OwnKeys:
    """The keys that this process has made, and what it has read of the topic of keys since it made the first."""

    def __init__(self, log: EventLog, clock: Callable[[], int]) -> None:
        self._log = log
        self._clock = clock
        self._keys: OrderedDict[str, UserKey] = OrderedDict()
        self._log_id = ""
        self._position: int | None = None
        self._removed: set[str] = set()
        self._lock = threading.Lock()

    def of(self, users: Iterable[str]) -> tuple[list[UserKey], list[UserKey]]:
        """Return the keys of those users that there is one for, and new ones, not remembered yet, for the others."""
        with self._lock:
            self._begin_anew_in_another_topic()
            if self._position is None:
                self._position = self._log.end_offset(USER_KEYS, 0)
            known, new, now_us = [], [], self._clock()
            for user in sorted(users):
                # Neither after its time nor, where the clock was set back, before: events carry times of this clock.
                if user in self._keys and 0 <= self._keys[user].until_us - now_us <= _USED_US:
                    self._keys.move_to_end(user)
                    known.append(self._keys[user])
                else:
                    new.append(new_key(user, now_us + _USED_US))
            return known, new

    def remember(self, keys: Sequence[UserKey]) -> None:
        """Use these from now on."""
        with self._lock:
            self._keys.update((key.user_hash, key) for key in keys)
            while len(self._keys) > _MOST_USERS:
                self._keys.popitem(last=False)

    def removed(self) -> set[str]:
        """Read on in the topic of keys; return the ids of all that were removed since the first was made here."""
        with self._lock:
            end = self._log.end_offset(USER_KEYS, 0)
            if self._position is not None and end < self._position:
                self._lose_all(end)
            while self._position is not None and self._position < end:
                found = self._log.read(USER_KEYS, 0, self._position, _PAGE)
                self._removed.update(one.key for one in found if not one.payload)
                self._position = found[-1].offset + 1 if found else end
            for key in [key for key in self._keys.values() if key.key_id in self._removed]:
                del self._keys[key.user_hash]
            return set(self._removed)

    def _lose_all(self, end: int) -> None:
        """Take all keys for removed: the topic was made anew, which its `identity` does not say for half a minute."""
        logger.warning("the topic of users' keys was made anew; events are sealed under new ones")
        self._removed.update(key.key_id for key in self._keys.values())
        self._keys.clear()
        self._position = end
        self._log.identity(USER_KEYS, anew=True)  # so that nothing of the old one is read any more

    def _begin_anew_in_another_topic(self) -> None:
        """Forget the keys of a topic that was made anew: the new one has none of them."""
        if (log_id := self._log.identity(USER_KEYS)) != self._log_id:
            self._log_id, self._position, self._removed = log_id, None, set()
            self._keys.clear()


def _sealed(record: NewRecord, key: UserKey) -> NewRecord:
    payload = seal(record.payload, key, record.topic, record.key)
    return replace(record, payload=payload, headers={**record.headers, KEY_HEADER: key.key_id.encode()})


def _opened(record: StoredRecord, keys: Mapping[str, UserKey | None]) -> StoredRecord | None:
    """Return a sealed record as it was appended; None if its key is gone.

    What names no key, was altered, or sealed under a key that does not unwrap, stays as it is: poison.
    """
    key_id = _key_id(record)
    if not is_key_id(key_id):
        return record
    if key_id not in keys:
        return None
    key = keys[key_id]
    if key is None:
        return record
    try:
        payload = unseal(record.payload, key, record.topic, record.key)
    except PoisonRecord:
        return record
    headers = {name: value for name, value in record.headers.items() if name != KEY_HEADER}
    return record._replace(payload=payload, headers=headers)


def _key_id(record: StoredRecord) -> str:
    """Return what the record says that it is sealed under, which others may have written."""
    return record.headers[KEY_HEADER].decode("latin-1")
