"""Watching trials on a real store and registry: what users said is counted once, and what follows happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from artifact_stores import kept_in_folder
from voted import vote_on

from thumbwheel.canary.decide import decide
from thumbwheel.canary.watcher import Watcher
from thumbwheel.config.settings import Canary
from thumbwheel.database.engine import connect
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.registry.trial import NewTrial, Split, Trial, TrialKind, TrialState, Voices
from thumbwheel.store.sql import open_store

START_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000


class World:
    """A store and a registry with v1, the champion, and v2; time stands still unless it is moved."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'store.sqlite'}"
        self.store = open_store(url)
        self.now_us = START_US
        self.registry = SqlRegistry(connect(url), kept_in_folder(folder).artifacts, clock=lambda: self.now_us)
        for number in (1, 2):
            made = folder / f"made{number}"
            made.mkdir()
            (made / "config.json").write_text("{}")
            (made / "model.safetensors").write_text(f"w{number}")
            self.registry.publish(NewVersion("intent", PolicyKind.CLASSIFY), made)
        self.registry.move("intent", Channel.CHAMPION, "v1", actor="ann", reason="first")

    def vote(self, version: str, users: list[str], up: Callable[[int], bool], at_us: int = 0) -> None:
        """One answer of a version to each user, and the user's thumb on it."""
        vote_on(self.store, "intent", version, users, up, at_us or self.now_us)

    def watch(self) -> Trial:
        new = NewTrial(TrialKind.WATCH, "v2", "v1")
        return self.registry.trials.promote_watched("intent", new, actor="run", reason="won", evidence_digest="d")

    def canary(self, share: float = 0.3) -> Trial:
        new = NewTrial(TrialKind.CANARY, "v2", "v1", share)
        return self.registry.trials.start_canary("intent", new, actor="ann", reason="try")

    def watcher(self, **limits: float) -> Watcher:
        return Watcher(self.store, self.registry, Canary.model_validate(limits), clock=lambda: self.now_us)

    @property
    def champion(self) -> str:
        return self.registry.channels("intent")[Channel.CHAMPION]

    @property
    def trial(self) -> Trial:
        return self.registry.trials.newest("intent")[0]

    def close(self) -> None:
        self.registry.close()
        self.store.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def users(count: int, first: int = 0) -> list[str]:
    return [f"u{number:032x}" for number in range(first, first + count)]


def mostly(share: float) -> Callable[[int], bool]:
    return lambda number: number % 20 < share * 20


def test_one_that_is_much_worse_is_rolled_back_with_its_evidence(world: World) -> None:
    world.vote("v1", users(200), mostly(0.8))
    world.watch()
    world.vote("v2", users(100), mostly(0.3))
    [ended] = world.watcher().look()
    assert ended.state is TrialState.ROLLED_BACK
    assert world.champion == "v1"
    change = world.registry.history("intent")[0]
    assert change.actor == "canary" and "worse" in change.reason and change.evidence_digest.startswith("sha256:")
    evidence = json.loads(world.trial.evidence)
    assert evidence["voices"] == {"up": 30, "down": 70}
    assert evidence["control_voices"] == {"up": 160, "down": 40}
    assert evidence["log_e"]["worse"] > evidence["log_e"]["least"]
    assert evidence["difference"]["value"] == pytest.approx(-0.5)
    assert evidence["ends_us"] == START_US + 72 * HOUR_US
    assert world.trial.sentence.endswith(evidence["compared"]) and "difference -50.0 points (-6" in evidence["compared"]


def test_a_champion_is_rolled_back_to_the_version_that_is_the_canary(world: World) -> None:
    world.registry.move("intent", Channel.CHAMPION, "v2", actor="ann", reason="better")
    trial = NewTrial(TrialKind.CANARY, "v1", "v2", 0.3)
    world.registry.trials.start_canary("intent", trial, actor="ann", reason="try")
    assert world.registry.earlier_champions("intent") == ["v1"]
    world.registry.rollback("intent", actor="ann", reason="worse")
    assert world.registry.channels("intent") == {Channel.CHAMPION: "v1"}
    assert world.trial.state is TrialState.OVERTAKEN


def test_one_that_is_as_good_is_kept_when_enough_users_have_voted(world: World) -> None:
    world.vote("v1", users(200), mostly(0.8))
    world.watch()
    watcher = world.watcher(enough_voices=300)
    world.vote("v2", users(200), mostly(0.8))
    [going_on] = watcher.look()
    assert going_on.state is TrialState.RUNNING and going_on.voices == Voices(160, 40)
    world.vote("v2", users(100, 1_000), mostly(0.75))
    [ended] = watcher.look()
    assert ended.state is TrialState.KEPT
    assert world.champion == "v2"


def test_a_watch_ends_by_itself_after_its_hours(world: World) -> None:
    world.watch()
    watcher = world.watcher(watch_hours=10)
    world.now_us += 9 * HOUR_US
    assert watcher.look()[0].state is TrialState.RUNNING
    world.now_us += HOUR_US
    assert watcher.look()[0].state is TrialState.KEPT
    assert watcher.look() == []


def test_one_user_has_one_voice_however_often_he_votes(world: World) -> None:
    world.vote("v1", users(200), mostly(0.9))
    world.watch()
    for _ in range(40):
        world.vote("v2", users(5), lambda _: False)
    [trial] = world.watcher().look()
    assert trial.voices == Voices(0, 5)
    assert trial.state is TrialState.RUNNING


def test_nobody_who_is_not_named_has_a_voice(world: World) -> None:
    world.vote("v1", users(200), mostly(0.9))
    world.watch()
    world.vote("v2", [f"a{number:032x}" for number in range(200)], lambda _: False)
    assert world.watcher().look()[0].voices == Voices()


def test_only_the_last_days_of_the_version_before_count(world: World) -> None:
    world.vote("v1", users(100), lambda _: True, at_us=START_US - 8 * 24 * HOUR_US)
    world.vote("v1", users(50, 500), mostly(0.5), at_us=START_US - 6 * 24 * HOUR_US)
    world.watch()
    assert world.watcher().look()[0].control_voices == Voices(30, 20)


def test_whoever_comes_after_a_restart_goes_on_and_counts_nothing_again(world: World) -> None:
    world.vote("v1", users(60), mostly(0.8))
    world.watch()
    world.vote("v2", users(30), mostly(0.8))
    first = world.watcher().look()
    world.vote("v2", users(45), mostly(0.8))  # 30 of them again
    [trial] = world.watcher().look()
    assert first[0].voices == Voices(26, 4)
    assert trial.voices == Voices(37, 8)
    assert trial.control_voices == Voices(48, 12)
    assert world.watcher().look()[0].revision == trial.revision  # nothing new, nothing written


def drawn(split: Split, count: int) -> tuple[list[str], list[str]]:
    """Users who are drawn for the canary, and who are not."""
    everybody = users(count)
    return [one for one in everybody if split.is_drawn(one)], [one for one in everybody if not split.is_drawn(one)]


def test_a_canary_that_users_like_better_is_promoted(world: World) -> None:
    mine, others = drawn(world.canary().split, 1_000)
    world.vote("v2", mine, mostly(0.9))
    world.vote("v1", others, mostly(0.7))
    [ended] = world.watcher().look()
    assert ended.state is TrialState.PROMOTED
    assert world.registry.channels("intent") == {Channel.CHAMPION: "v2"}


def test_a_canary_that_users_like_less_is_withdrawn(world: World) -> None:
    mine, others = drawn(world.canary().split, 1_000)
    world.vote("v2", mine, mostly(0.4))
    world.vote("v1", others, mostly(0.8))
    [ended] = world.watcher().look()
    assert ended.state is TrialState.ROLLED_BACK
    assert world.registry.channels("intent") == {Channel.CHAMPION: "v1"}


def test_an_undecided_canary_goes_on_and_is_given_up_in_the_end(world: World) -> None:
    mine, others = drawn(world.canary().split, 200)
    world.vote("v2", mine, mostly(0.8))
    world.vote("v1", others, mostly(0.8))
    watcher = world.watcher(max_hours=5)
    assert watcher.look()[0].state is TrialState.RUNNING
    world.now_us += 5 * HOUR_US
    assert watcher.look()[0].state is TrialState.GIVEN_UP
    assert world.registry.channels("intent") == {Channel.CHAMPION: "v1"}


def test_a_canary_hears_only_whom_it_was_drawn_for_on_answers_since_it_began(world: World) -> None:
    mine, others = drawn(world.canary().split, 100)
    world.vote("v1", mine, lambda _: True)  # while the canary was still loading
    world.vote("v2", others, lambda _: True)
    world.vote("v1", others[:10], lambda _: True, at_us=START_US - HOUR_US)
    trial = world.watcher().look()[0]
    assert (trial.voices, trial.control_voices) == (Voices(), Voices())


def test_a_split_that_is_not_as_drawn_gives_no_conclusion(world: World) -> None:
    """Nearly all drawn users vote and hardly any other does: who votes depends on the version."""
    mine, others = drawn(world.canary().split, 1_000)
    world.vote("v2", mine, lambda _: True)
    world.vote("v1", others[:100], mostly(0.2))
    [ended] = world.watcher().look()
    assert ended.state is TrialState.GIVEN_UP and "not split as drawn" in ended.sentence
    assert world.champion == "v1"


def test_one_that_is_better_for_half_and_worse_for_the_rest_is_kept_on_average(world: World) -> None:
    """What it is for: the average user. That half of them lose what the others gain is not seen here."""
    world.vote("v1", users(200), mostly(0.7))
    world.watch()
    world.vote("v2", users(200), lambda number: number % 2 == 0 or number % 5 < 2)  # all of one half, 40 % of the other
    [trial] = world.watcher(enough_voices=200).look()
    assert trial.voices == Voices(140, 60)
    assert trial.state is TrialState.KEPT


def test_equal_versions_are_rarely_rolled_back_whenever_one_looks(world: World) -> None:
    """40 watches of equal versions, each looked at after every 20 of 100 users, with no margin at all."""
    rng = np.random.default_rng(5)
    alarms = 0
    trial = world.watch()
    limits = Canary(margin=0.0, min_voices=1)
    for _ in range(40):
        before = rng.binomial(150, 0.7)
        ups = np.cumsum(rng.random(100) < 0.7)
        for heard in range(20, 101, 20):
            up = int(ups[heard - 1])
            seen = _with(trial, Voices(up, heard - up), Voices(int(before), 150 - int(before)))
            if decide(seen, [], START_US, limits).state is TrialState.ROLLED_BACK:
                alarms += 1
                break
    assert alarms <= 2


def _with(trial: Trial, voices: Voices, control: Voices) -> Trial:
    return replace(trial, voices=voices, control_voices=control)
