"""The registry on a SQL database, a row a version, a row a channel; the files are where `artifacts` keeps them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, RowMapping, func, insert, select

from thumbwheel.database.engine import connect
from thumbwheel.database.schema import runs, versions
from thumbwheel.database.transactions import reading, writing
from thumbwheel.errors import Conflict, InvalidInput, UnknownPolicy, UnknownVersion
from thumbwheel.records import Channel, ChannelChange, Manifest, PolicyKind, RunState
from thumbwheel.registry import channels, manifest, trials
from thumbwheel.registry.artifacts.port import Artifacts, Upload
from thumbwheel.registry.channels import Move
from thumbwheel.registry.files import version_files
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.trial import Split
from thumbwheel.registry.trials import SqlTrials

_POLICY_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def _now_us() -> int:
    return time.time_ns() // 1000


class SqlRegistry:
    """`Registry` on a migrated database (`database.migrate`) and a store of files.

    Safe from any thread and any process that reaches both. `clock` gives microseconds since the epoch.
    """

    def __init__(self, database: Engine | str, artifacts: Artifacts, clock: Callable[[], int] = _now_us) -> None:
        self._engine = connect(database) if isinstance(database, str) else database
        self._artifacts = artifacts
        self._clock = clock
        self.trials = SqlTrials(self._engine, self._demand_usable, clock)

    def publish(self, new: NewVersion, folder: Path) -> Manifest:
        """See the port. The files are whole and in the store before the row that makes them a version.

        Sending them holds no lock. Whoever is faster takes the number that was meant for them, and they take the next.
        """
        demand_name(new.policy)
        with reading(self._engine) as connection:
            self._demand_kind(connection, new)
            published, named = _of_run(connection, new), _locations(connection, new.policy)
            ended_runs = _ended_runs(connection, new.policy)
        if published:
            return published
        names = version_files(folder)
        self._artifacts.clear_dead(new.policy, named, ended_runs)
        return self._enter(new, self._artifacts.upload(new.policy, folder, names))

    def policies(self) -> list[tuple[str, PolicyKind]]:
        """See the port."""
        query = select(versions.c.policy, versions.c.kind).distinct().order_by(versions.c.policy)
        with reading(self._engine) as connection:
            return [(row.policy, PolicyKind(row.kind)) for row in connection.execute(query)]

    def versions(self, policy: str) -> list[Manifest]:
        """See the port."""
        query = select(versions.c.manifest).where(versions.c.policy == policy).order_by(versions.c.seq.desc())
        with reading(self._engine) as connection:
            self._demand_policy(connection, policy)
            return [manifest.from_json(text) for text in connection.scalars(query)]

    def manifest(self, policy: str, version: str) -> Manifest:
        """See the port."""
        with reading(self._engine) as connection:
            self._demand_policy(connection, policy)
            return manifest.from_json(_version(connection, policy, version)["manifest"])

    def fetch(self, policy: str, version: str) -> Path:
        """See the port. The folder is the registry's own: read it, never write into it."""
        with reading(self._engine) as connection:
            self._demand_policy(connection, policy)
            row = _version(connection, policy, version)
        return self._artifacts.fetch(row["location"], manifest.from_json(row["manifest"]))

    def channels(self, policy: str) -> dict[Channel, str]:
        """See the port. A cleared channel is not among them."""
        with reading(self._engine) as connection:
            return channels.pointers(connection, policy)

    def move(
        self,
        policy: str,
        channel: Channel,
        version: str,
        *,
        actor: str,
        reason: str,
        evidence_digest: str = "",
        expected_previous: str | None = None,
    ) -> ChannelChange:
        """See the port. The version's digests are checked before the pointer moves to it.

        A move to where the channel points already is harmless, also when `expected_previous` is another version: the
        caller's wish is fulfilled.
        """
        self._demand_usable(policy, version)
        move = Move(policy, channel, version, actor, reason, evidence_digest)
        with writing(self._engine) as connection:
            return _moved(connection, move, expected_previous, self._clock())

    def rollback(self, policy: str, *, actor: str, reason: str) -> ChannelChange:
        """See the port."""
        with reading(self._engine) as connection:
            self._demand_policy(connection, policy)
            earlier, present = channels.earlier_champions(connection, policy)
        if not earlier:
            raise Conflict(f"policy {policy} had no champion before {present or 'now'}; promote a version by name")
        self._demand_usable(policy, earlier[0])
        move = Move(policy, Channel.CHAMPION, earlier[0], actor, reason, is_rollback=True)
        with writing(self._engine) as connection:
            return _moved(connection, move, present, self._clock())

    def earlier_champions(self, policy: str) -> list[str]:
        """See the port."""
        with reading(self._engine) as connection:
            earlier, _ = channels.earlier_champions(connection, policy)
        return earlier

    def history(self, policy: str, limit: int = 50) -> list[ChannelChange]:
        """See the port."""
        with reading(self._engine) as connection:
            return channels.history(connection, policy, limit)

    def generation(self) -> int:
        """See the port."""
        with reading(self._engine) as connection:
            return channels.generation(connection)

    def splits(self) -> dict[str, Split]:
        """See the port."""
        with reading(self._engine) as connection:
            return trials.splits(connection)

    def close(self) -> None:
        """Release the database's connections."""
        self._engine.dispose()

    def _enter(self, new: NewVersion, upload: Upload) -> Manifest:
        """Seal what was sent and insert its row, again if another version took its number meanwhile."""
        entered = False
        try:
            while True:
                seq = self._next_seq(new.policy)
                made = manifest.build(new, f"v{seq}", upload.digests, self._clock())
                location = upload.seal(made)
                with writing(self._engine) as connection:
                    self._demand_kind(connection, new)
                    if published := _of_run(connection, new):
                        return published
                    if _next_seq(connection, new.policy) == seq:
                        connection.execute(insert(versions).values(_row(made, seq, location)))
                        entered = True  # from here on the row may be there, even if the commit is not answered
                        return made
        finally:
            if not entered:
                upload.discard()

    def _next_seq(self, policy: str) -> int:
        with reading(self._engine) as connection:
            return _next_seq(connection, policy)

    def _demand_usable(self, policy: str, version: str) -> None:
        if version:
            self.fetch(policy, version)
            return
        with reading(self._engine) as connection:
            self._demand_policy(connection, policy)

    def _demand_policy(self, connection: Connection, policy: str) -> None:
        if _kind(connection, policy) is None:
            known = connection.scalars(select(versions.c.policy).distinct().order_by(versions.c.policy)).all()
            raise UnknownPolicy.among(policy, known)

    def _demand_kind(self, connection: Connection, new: NewVersion) -> None:
        kind = _kind(connection, new.policy)
        if kind is not None and kind != new.kind:
            raise InvalidInput("kind", f"policy {new.policy} is of kind {kind}; take another name for a {new.kind}")


def _moved(connection: Connection, move: Move, expected: str | None, now_us: int) -> ChannelChange:
    """Move a channel; whoever moves the champion, or the canary, decides what a trial was to find out."""
    change = channels.move(connection, move, expected, now_us)
    if change.previous != change.version and move.channel is not Channel.SHADOW:
        to = f"{move.channel} is now {move.version or 'none'}"
        trials.overtake(connection, move.policy, f"{to} ({move.reason})", move.actor, now_us)
    return change


def demand_name(policy: str) -> None:
    """Raise InvalidInput unless a policy may have this name."""
    if not _POLICY_NAME.fullmatch(policy):
        raise InvalidInput("policy", "a name has 1-64 of a-z 0-9 . _ - and begins with a letter or a digit")


def _kind(connection: Connection, policy: str) -> str | None:
    return connection.scalar(select(versions.c.kind).where(versions.c.policy == policy).limit(1))


def _of_run(connection: Connection, new: NewVersion) -> Manifest | None:
    """What this run published before, if it did."""
    if not new.run_id:
        return None
    mine = (versions.c.policy == new.policy) & (versions.c.run_id == new.run_id)
    text = connection.scalar(select(versions.c.manifest).where(mine))
    return manifest.from_json(text) if text else None


def _next_seq(connection: Connection, policy: str) -> int:
    return (connection.scalar(select(func.max(versions.c.seq)).where(versions.c.policy == policy)) or 0) + 1


def _locations(connection: Connection, policy: str) -> set[str]:
    return set(connection.scalars(select(versions.c.location).where(versions.c.policy == policy)))


def _ended_runs(connection: Connection, policy: str) -> set[str]:
    """Ids of the runs that publish nothing any more."""
    final = [state for state in RunState if state.is_final]
    return set(connection.scalars(select(runs.c.run_id).where(runs.c.policy == policy, runs.c.state.in_(final))))


def _version(connection: Connection, policy: str, version: str) -> RowMapping:
    of_policy = select(versions).where(versions.c.policy == policy).order_by(versions.c.seq)
    rows: dict[str, RowMapping] = {row["version"]: row for row in connection.execute(of_policy).mappings()}
    if version not in rows:
        have = ", ".join(list(rows)[-10:])
        raise UnknownVersion(f"version: {policy} has no version {version!r}; it has {have}")
    return rows[version]


def _row(made: Manifest, seq: int, location: str) -> dict[str, object]:
    return {
        "policy": made.policy,
        "version": made.version,
        "seq": seq,
        "kind": made.kind.value,
        "parent": made.parent,
        "digest": made.digest,
        "manifest": manifest.to_json(made),
        "run_id": made.run_id,
        "created_us": made.created_us,
        "location": location,
    }
