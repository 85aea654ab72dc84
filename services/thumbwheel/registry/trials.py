"""Trials in a SQL database, each write in one transaction with the channels it moves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from secrets import token_hex

from sqlalchemy import Connection, Engine, RowMapping, delete, insert, select, update

from thumbwheel.database.lists import among
from thumbwheel.database.schema import counters, trial_serving, trial_voices
from thumbwheel.database.schema import trials as table
from thumbwheel.database.transactions import reading, writing
from thumbwheel.errors import Conflict, Fenced
from thumbwheel.records import Channel
from thumbwheel.registry import channels
from thumbwheel.registry.channels import Move
from thumbwheel.registry.trial import (
    PPM,
    Conclusion,
    Heard,
    NewTrial,
    Served,
    Split,
    Trial,
    TrialKind,
    TrialState,
    Voices,
)

DemandUsable = Callable[[str, str], None]
_RUNNING = table.c.state == TrialState.RUNNING.value


class SqlTrials:
    """`Trials` beside a registry: `demand_usable` raises unless a version of a policy can be served."""

    def __init__(self, engine: Engine, demand_usable: DemandUsable, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._demand_usable = demand_usable
        self._clock = clock

    def promote_watched(self, policy: str, watch: NewTrial, *, actor: str, reason: str, evidence_digest: str) -> Trial:
        """See the port."""
        self._demand_usable(policy, watch.version)
        move = Move(policy, Channel.CHAMPION, watch.version, actor, reason, evidence_digest)
        with writing(self._engine) as connection:
            moved = channels.move(connection, move, watch.control, self._clock())
            if moved.previous == moved.version:
                raise Conflict(f"{watch.version} is the champion of {policy} already")
            overtake(connection, policy, f"{watch.version} was promoted", actor, self._clock())
            return _begin(connection, policy, watch, self._clock())

    def start_canary(
        self, policy: str, canary: NewTrial, *, actor: str, reason: str, evidence_digest: str = ""
    ) -> Trial:
        """See the port."""
        self._demand_usable(policy, canary.version)
        move = Move(policy, Channel.CANARY, canary.version, actor, reason, evidence_digest)
        with writing(self._engine) as connection:
            _demand_startable(connection, policy, canary)
            channels.move(connection, move, None, self._clock())
            return _begin(connection, policy, canary, self._clock())

    def stop(self, policy: str, *, actor: str, reason: str) -> Trial:
        """See the port."""
        now_us = self._clock()
        with writing(self._engine) as connection:
            trial = _running_one(connection, policy)
            if trial is None:
                raise Conflict(f"no trial of {policy} is running; `thumbwheel canary status` shows the last one")
            conclusion = Conclusion(TrialState.STOPPED, f"Stopped by {actor}: {reason}", trial.evidence)
            _end(connection, trial, conclusion, now_us)
            _withdraw(connection, trial, actor, reason, "", now_us)
        return _ended(trial, conclusion, now_us)

    def running(self, policy: str = "") -> list[Trial]:
        """See the port."""
        query = select(table).where(_RUNNING).order_by(table.c.id)
        query = query.where(table.c.policy == policy) if policy else query
        with reading(self._engine) as connection:
            return [_trial(row) for row in connection.execute(query).mappings()]

    def newest(self, policy: str, limit: int = 1) -> list[Trial]:
        """See the port."""
        query = select(table).where(table.c.policy == policy).order_by(table.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [_trial(row) for row in connection.execute(query).mappings()]

    def hear(self, trial: Trial, heard: Sequence[Heard], cursor: int, sentence: str = "") -> Trial:
        """See the port."""
        with writing(self._engine) as connection:
            fresh = _enter_voices(connection, trial, heard)
            counted = replace(
                trial,
                cursor=cursor,
                voices=_plus(trial.voices, trial.version, fresh),
                control_voices=_plus(trial.control_voices, trial.control, fresh),
                sentence=sentence or trial.sentence,
            )
            return _write(connection, trial, counted)

    def say(self, trial: Trial, sentence: str, evidence: str) -> Trial:
        """See the port."""
        with writing(self._engine) as connection:
            return _write(connection, trial, replace(trial, sentence=sentence, evidence=evidence))

    def conclude(self, trial: Trial, conclusion: Conclusion, *, actor: str) -> Trial:
        """See the port."""
        promoted = trial.version if conclusion.state is TrialState.PROMOTED else ""
        back = trial.control if conclusion.state is TrialState.ROLLED_BACK and trial.kind is TrialKind.WATCH else ""
        if champion := promoted or back:
            self._demand_usable(trial.policy, champion)
        now_us = self._clock()
        with writing(self._engine) as connection:
            _end(connection, trial, conclusion, now_us)
            if champion:
                words = trial.policy, Channel.CHAMPION, champion, actor, conclusion.sentence, conclusion.digest
                channels.move(connection, Move(*words, is_rollback=bool(back)), _expected(trial), now_us)
            _withdraw(connection, trial, actor, conclusion.sentence, conclusion.digest, now_us)
        return _ended(trial, conclusion, now_us)

    def tally(self, trial_id: int, version: str, process: str, served: Served) -> None:
        """See the port."""
        key = {"trial_id": trial_id, "version": version, "process": process}
        place = [trial_serving.c[name] == value for name, value in key.items()]
        values = {"requests": served.requests, "failures": served.failures, "latencies": json.dumps(served.latencies)}
        with writing(self._engine) as connection:
            if connection.scalar(select(table.c.id).where(table.c.id == trial_id, _RUNNING)) is None:
                return
            connection.execute(delete(trial_serving).where(*place))
            connection.execute(insert(trial_serving).values({**key, **values}))

    def served(self, trial_id: int, version: str) -> Served:
        """See the port."""
        mine = trial_serving.c.trial_id == trial_id, trial_serving.c.version == version
        with reading(self._engine) as connection:
            rows = connection.execute(select(trial_serving).where(*mine)).all()
        columns = zip_longest(*(json.loads(row.latencies) for row in rows), fillvalue=0)
        requests, failures = sum(row.requests for row in rows), sum(row.failures for row in rows)
        return Served(requests, failures, tuple(map(sum, columns)))


def overtake(connection: Connection, policy: str, why: str, actor: str, now_us: int) -> None:
    """End a trial that a move of the champion has made pointless, if one is running; a canary is withdrawn."""
    trial = _running_one(connection, policy)
    if trial is not None:
        _end(connection, trial, Conclusion(TrialState.OVERTAKEN, f"Overtaken: {why}", trial.evidence), now_us)
        _withdraw(connection, trial, actor, why, "", now_us)


def splits(connection: Connection) -> dict[str, Split]:
    """Return which users each policy's running canary answers."""
    query = select(table).where(_RUNNING, table.c.kind == TrialKind.CANARY.value)
    return {row["policy"]: _trial(row).split for row in connection.execute(query).mappings()}


def _demand_startable(connection: Connection, policy: str, canary: NewTrial) -> None:
    running = _running_one(connection, policy)
    if running is not None and running.kind is TrialKind.CANARY:
        raise Conflict(f"the canary {running.version} of {policy} is on trial; stop it first, or wait for its end")
    champion = channels.pointers(connection, policy).get(Channel.CHAMPION, "")
    if not champion:
        raise Conflict(f"policy {policy} has no champion to try {canary.version} against; promote a version first")
    if champion != canary.control:
        raise Conflict(f"champion of {policy} is {champion}, not {canary.control}; look at it again")
    if canary.version == champion:
        raise Conflict(f"{canary.version} is the champion of {policy}: it can not be tried against itself")
    if running is not None:  # a watch: whoever tries the next version has done with it
        raise Conflict(f"the new champion {champion} of {policy} is being watched; `thumbwheel canary stop` ends that")


def _begin(connection: Connection, policy: str, new: NewTrial, now_us: int) -> Trial:
    start_seq = connection.scalar(select(counters.c.value).where(counters.c.name == "feedback")) or 0
    # A watch begins with what users said of the version before; see `canary/watcher.py`.
    values: dict[str, object] = {
        "policy": policy,
        "kind": new.kind.value,
        "state": TrialState.RUNNING.value,
        "version": new.version,
        "control": new.control,
        "salt": token_hex(8),
        "share_ppm": round(new.share * PPM),
        "started_us": now_us,
        "ended_us": 0,
        "start_seq": start_seq,
        "cursor": 0 if new.kind is TrialKind.WATCH else start_seq,
        "revision": 0,
        "sentence": "",
        "evidence": "",
        **dict.fromkeys(("up", "down", "control_up", "control_down"), 0),
    }
    connection.execute(insert(table).values(values))
    begun = _running_one(connection, policy)
    assert begun is not None
    return begun


def _running_one(connection: Connection, policy: str) -> Trial | None:
    row = connection.execute(select(table).where(table.c.policy == policy, _RUNNING)).mappings().first()
    return _trial(row) if row else None


def _enter_voices(connection: Connection, trial: Trial, heard: Sequence[Heard]) -> list[Heard]:
    """Enter who was not heard yet, each with the first thumb; return these."""
    mine = trial_voices.c.trial_id == trial.trial_id
    raters = among(connection, trial_voices.c.rater, {one.rater for one in heard})
    known = select(trial_voices.c.version, trial_voices.c.rater).where(mine, raters)
    seen = {(row.version, row.rater) for row in connection.execute(known)} if heard else set()
    fresh: dict[tuple[str, str], Heard] = {}
    for one in heard:
        if (one.version, one.rater) not in seen:
            fresh.setdefault((one.version, one.rater), one)
    if fresh:
        rows = [{"trial_id": trial.trial_id, "version": version, "rater": rater} for version, rater in fresh]
        connection.execute(insert(trial_voices), rows)
    return list(fresh.values())


def _plus(voices: Voices, version: str, fresh: Sequence[Heard]) -> Voices:
    thumbs = [one.up for one in fresh if one.version == version]
    return Voices(voices.up + sum(thumbs), voices.down + len(thumbs) - sum(thumbs))


def _write(connection: Connection, before: Trial, after: Trial) -> Trial:
    """Write what may change, if nobody has written since `before` was read."""
    after = replace(after, revision=before.revision + 1)
    mine = table.c.id == before.trial_id, table.c.revision == before.revision, _RUNNING
    if connection.execute(update(table).where(*mine).values(_changing(after))).rowcount != 1:
        raise Fenced(f"the trial of {before.version} was written to by another process, or has ended")
    return after


def _end(connection: Connection, trial: Trial, conclusion: Conclusion, now_us: int) -> None:
    _write(connection, trial, _ended(trial, conclusion, now_us))
    for other in (trial_voices, trial_serving):
        connection.execute(delete(other).where(other.c.trial_id == trial.trial_id))


def _ended(trial: Trial, conclusion: Conclusion, now_us: int) -> Trial:
    words = conclusion.sentence, conclusion.evidence
    return replace(trial, state=conclusion.state, ended_us=now_us, sentence=words[0], evidence=words[1])


def _withdraw(connection: Connection, trial: Trial, actor: str, reason: str, digest: str, now_us: int) -> None:
    if channels.pointers(connection, trial.policy).get(Channel.CANARY) == trial.version:
        move = Move(trial.policy, Channel.CANARY, "", actor, reason, digest)
        channels.move(connection, move, None, now_us)


def _expected(trial: Trial) -> str:
    """The champion at the end of a trial: whoever moved it otherwise has ended the trial."""
    return trial.version if trial.kind is TrialKind.WATCH else trial.control


def _changing(trial: Trial) -> dict[str, object]:
    return {
        "state": trial.state.value,
        "ended_us": trial.ended_us,
        "cursor": trial.cursor,
        "revision": trial.revision,
        "up": trial.voices.up,
        "down": trial.voices.down,
        "control_up": trial.control_voices.up,
        "control_down": trial.control_voices.down,
        "sentence": trial.sentence,
        "evidence": trial.evidence,
    }


def _trial(row: RowMapping) -> Trial:
    return Trial(
        trial_id=row["id"],
        policy=row["policy"],
        kind=TrialKind(row["kind"]),
        state=TrialState(row["state"]),
        version=row["version"],
        control=row["control"],
        split=Split(row["id"], row["salt"], row["share_ppm"]),
        started_us=row["started_us"],
        ended_us=row["ended_us"],
        start_seq=row["start_seq"],
        cursor=row["cursor"],
        revision=row["revision"],
        voices=Voices(row["up"], row["down"]),
        control_voices=Voices(row["control_up"], row["control_down"]),
        sentence=row["sentence"],
        evidence=row["evidence"],
    )
