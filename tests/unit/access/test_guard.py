"""Who is admitted: by a good key, for what it is good for, as often as it may; and how long a key is believed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from thumbwheel.access import guard as guard_module
from thumbwheel.access.api_keys import new_key, verifies
from thumbwheel.access.guard import Guard
from thumbwheel.access.ring import LOOK_S, KeyRing
from thumbwheel.errors import KeyRefused, Overloaded, ScopeMissing, Unavailable
from thumbwheel.records import ApiKey, Scope

NOW_US = 1_800_000_000_000_000


@dataclass
class Table:
    """Keys in memory, which may be away."""

    keys: dict[str, ApiKey] = field(default_factory=dict)
    away: bool = False
    reads: int = 0
    times_us: dict[str, int] = field(default_factory=dict)

    def all(self) -> list[ApiKey]:
        self.reads += 1
        if self.away:
            raise Unavailable("away", 1.0)
        return list(self.keys.values())

    def used(self, times_us: Mapping[str, int]) -> None:
        if self.away:
            raise Unavailable("away", 1.0)
        self.times_us.update(times_us)

    def make(self, *scopes: Scope, name: str = "shop", expires_us: int = 0) -> tuple[str, str]:
        shown, key_id, verifier = new_key()
        self.keys[key_id] = ApiKey(key_id, name, scopes, verifier, NOW_US, "ann", expires_us)
        return f"Bearer {shown}", key_id

    def revoke(self, key_id: str) -> None:
        self.keys[key_id] = replace(self.keys[key_id], revoked_us=NOW_US)


@dataclass
class Clock:
    s: float = 1_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The secrets that went through the memory-hard hash."""
    seen: list[str] = []

    def counted(secret: str, verifier: str) -> bool:
        seen.append(secret)
        return verifies(secret, verifier)

    monkeypatch.setattr(guard_module, "verifies", counted)
    return seen


def at(time_us: int) -> Callable[[], int]:
    return lambda: time_us


async def test_a_key_is_admitted_for_its_scopes_alone(table: Table) -> None:
    header, key_id = table.make(Scope.INFER, Scope.FEEDBACK)
    ring = KeyRing(table, 60)
    guard = Guard(ring, now_us=at(NOW_US))
    caller = await guard.admit(header, Scope.INFER)
    assert (caller.name, caller.scopes) == ("shop", frozenset({Scope.INFER, Scope.FEEDBACK}))
    assert await guard.admit(header, Scope.FEEDBACK) == caller
    with pytest.raises(ScopeMissing, match=r"is good for infer, feedback, and this takes the scope admin; ask"):
        await guard.admit(header, Scope.ADMIN)
    assert ring._used == {key_id: NOW_US}


async def test_missing_unknown_and_wrong_keys_are_refused_and_learn_nothing(table: Table, hashed: list[str]) -> None:
    header, key_id = table.make(Scope.INFER)
    guard = Guard(KeyRing(table, 60))
    stranger, _ = Table().make(Scope.INFER)
    wrong = f"Bearer tw_{key_id}_{'A' * 43}"
    said = set()
    for given in (stranger, wrong, "Bearer nonsense"):
        with pytest.raises(KeyRefused) as refused:
            await guard.admit(given, Scope.INFER)
        said.add(str(refused.value))
        assert given.rpartition("_")[2] not in str(refused.value)
    assert len(said) == 1 and hashed == ["A" * 43]
    with pytest.raises(KeyRefused, match="came without an API key"):
        await guard.admit(None, Scope.INFER)
    await guard.admit(header, Scope.INFER)


async def test_the_memory_hard_hash_is_computed_once_for_a_key(table: Table, hashed: list[str]) -> None:
    header, _ = table.make(Scope.INFER)
    guard = Guard(KeyRing(table, 60))
    for _ in range(100):
        await guard.admit(header, Scope.INFER)
    assert len(hashed) == 1


async def test_guessing_costs_ten_hashes_a_minute_for_a_key_and_its_holder_goes_on(
    table: Table, hashed: list[str]
) -> None:
    header, key_id = table.make(Scope.INFER)
    guard = Guard(KeyRing(table, 60))
    await guard.admit(header, Scope.INFER)
    for number in range(15):
        with pytest.raises(KeyRefused, match="is not good"):
            await guard.admit(f"Bearer tw_{key_id}_{number:043d}", Scope.INFER)
    assert len(hashed) == 1 + 10
    await guard.admit(header, Scope.INFER)


async def test_a_key_that_was_made_just_now_is_known_at_once(table: Table) -> None:
    guard = Guard(KeyRing(table, 60))
    header, _ = table.make(Scope.INFER)
    assert (await guard.admit(header, Scope.INFER)).name == "shop"


async def test_a_flood_of_unknown_keys_reads_the_table_a_few_times_a_second(table: Table) -> None:
    guard = Guard(KeyRing(table, 60))
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(KeyRefused):
            await guard.admit(f"Bearer tw_000000000000_{'A' * 43}", Scope.INFER)
    assert table.reads <= 2 + (time.monotonic() - began) / 0.2


async def test_an_expired_key_is_refused_from_that_moment_on(table: Table) -> None:
    header, _ = table.make(Scope.INFER, expires_us=NOW_US + 1)
    now = NOW_US
    guard = Guard(KeyRing(table, 60), now_us=lambda: now)
    await guard.admit(header, Scope.INFER)
    now = NOW_US + 1
    with pytest.raises(KeyRefused):
        await guard.admit(header, Scope.INFER)


class Once(threading.Event):
    """Lets a follower look once, and notes how long it waited before."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_s: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited_s.append(timeout)
        return len(self.waited_s) > 1


async def test_a_revoked_key_is_refused_after_the_next_look_which_comes_within_a_second(table: Table) -> None:
    header, key_id = table.make(Scope.INFER)
    ring, looks = KeyRing(table, 60), Once()
    guard = Guard(ring, now_us=at(NOW_US))
    await guard.admit(header, Scope.INFER)
    table.revoke(key_id)
    ring.follow(looks)
    with pytest.raises(KeyRefused):
        await guard.admit(header, Scope.INFER)
    assert looks.waited_s[0] == LOOK_S <= 0.5
    assert table.times_us == {key_id: NOW_US}  # when it was used was written at the end


async def test_while_the_database_is_away_known_keys_go_on_for_so_long_and_new_ones_wait(table: Table) -> None:
    header, _ = table.make(Scope.INFER)
    late, _ = table.make(Scope.INFER, name="late")
    clock = Clock()
    ring = KeyRing(table, away_s=60, clock=clock)
    guard = Guard(ring)
    await guard.admit(header, Scope.INFER)
    table.away, clock.s = True, clock.s + 59
    unknown, _ = Table().make(Scope.INFER)
    await guard.admit(header, Scope.INFER)
    await guard.admit(late, Scope.INFER)  # it was read, if not seen
    with pytest.raises(Unavailable, match="the database is away, and whether the API key is good can't be seen"):
        await guard.admit(unknown, Scope.INFER)
    clock.s += 2
    with pytest.raises(Unavailable, match="is still good can't be seen"):
        await guard.admit(header, Scope.INFER)


async def test_a_key_that_calls_too_often_is_told_when_to_try_again_and_others_are_not(table: Table) -> None:
    busy, calm = table.make(Scope.INFER)[0], table.make(Scope.INFER, name="calm")[0]
    guard = Guard(KeyRing(table, 60), calls_per_minute=30)
    for _ in range(30):
        await guard.admit(busy, Scope.INFER)
    with pytest.raises(Overloaded, match=r"more than 30 calls a minute by this API key") as refused:
        await guard.admit(busy, Scope.INFER)
    assert 0 < refused.value.retry_after_s <= 2.0  # 30 a minute: one in two seconds
    await guard.admit(calm, Scope.INFER)


async def test_the_process_s_own_pages_have_a_key_that_no_table_has(table: Table) -> None:
    guard, other = Guard(KeyRing(table, 60)), Guard(KeyRing(table, 60))
    caller = await guard.admit(f"Bearer {guard.inner_key}", Scope.ADMIN)
    assert (caller.name, caller.scopes) == ("", frozenset(Scope))
    with pytest.raises(KeyRefused):
        await other.admit(f"Bearer {guard.inner_key}", Scope.ADMIN)
