"""The registry on a SQL database and a local folder: `folder/POLICY/VERSION/`, a row a version, a row a channel."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, RowMapping, func, insert, select

from thumbwheel.database.engine import connect
from thumbwheel.database.schema import versions
from thumbwheel.database.transactions import reading, writing
from thumbwheel.errors import Conflict, InvalidInput, LogUnavailable, UnknownPolicy, UnknownVersion
from thumbwheel.records import Channel, ChannelChange, Manifest, PolicyKind
from thumbwheel.registry import channels, manifest, staging
from thumbwheel.registry.channels import Move
from thumbwheel.registry.files import version_files
from thumbwheel.registry.port import NewVersion

_POLICY_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_RETRY_S = 5.0


def _now_us() -> int:
    return time.time_ns() // 1000


class SqlRegistry:
    """`Registry` on a migrated database (`database.migrate`) and a folder on the same machine.

    Safe from any thread and any process of the machine. `clock` gives microseconds since the epoch.
    """

    def __init__(self, database: Engine | str, folder: Path, clock: Callable[[], int] = _now_us) -> None:
        self._engine = connect(database) if isinstance(database, str) else database
        self._folder = folder
        self._clock = clock

    def publish(self, new: NewVersion, folder: Path) -> Manifest:
        """See the port. The folder is whole and on the disk before the row that makes it a version."""
        demand_name(new.policy)
        with reading(self._engine) as connection:
            self._demand_kind(connection, new)
            published = _of_run(connection, new)
        if published:
            return published
        names = version_files(folder)
        try:
            return self._publish(new, folder, names)
        except OSError as error:
            problem = f"{self._folder.name} can not take the version ({error.strerror}); free space or mend its rights"
            raise LogUnavailable(problem, _RETRY_S) from error

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
            return _manifest(connection, policy, version)

    def fetch(self, policy: str, version: str) -> Path:
        """See the port. The folder is the registry's own: read it, never write into it."""
        expected = self.manifest(policy, version)
        folder = self._folder / policy / version
        manifest.verify(folder, expected)
        return folder

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
            return channels.move(connection, move, expected_previous, self._clock())

    def rollback(self, policy: str, *, actor: str, reason: str) -> ChannelChange:
        """See the port."""
        with reading(self._engine) as connection:
            self._demand_policy(connection, policy)
            earlier, present = channels.earlier_champion(connection, policy)
        if not earlier:
            raise Conflict(f"policy {policy} had no champion before {present or 'now'}; promote a version by name")
        self._demand_usable(policy, earlier)
        move = Move(policy, Channel.CHAMPION, earlier, actor, reason, is_rollback=True)
        with writing(self._engine) as connection:
            return channels.move(connection, move, present, self._clock())

    def earlier_champion(self, policy: str) -> str:
        """See the port."""
        with reading(self._engine) as connection:
            earlier, _ = channels.earlier_champion(connection, policy)
        return earlier

    def history(self, policy: str, limit: int = 50) -> list[ChannelChange]:
        """See the port."""
        with reading(self._engine) as connection:
            return channels.history(connection, policy, limit)

    def generation(self) -> int:
        """See the port."""
        with reading(self._engine) as connection:
            return channels.generation(connection)

    def close(self) -> None:
        """Release the database's connections."""
        self._engine.dispose()

    def _publish(self, new: NewVersion, folder: Path, names: list[str]) -> Manifest:
        staged, digests = staging.stage(folder, self._folder / new.policy, names)
        try:
            with writing(self._engine) as connection:
                self._demand_kind(connection, new)
                return _of_run(connection, new) or self._settle(connection, new, staged, digests)
        finally:
            staging.discard(staged)

    def _settle(self, connection: Connection, new: NewVersion, staged: Path, digests: dict[str, str]) -> Manifest:
        """Number the version, move its folder to its place, insert its row; the lock on writes is held."""
        last = connection.scalar(select(func.max(versions.c.seq)).where(versions.c.policy == new.policy)) or 0
        version = f"v{last + 1}"
        made = manifest.build(new, version, digests, self._clock())
        staging.settle(staged, self._folder / new.policy / version, made)
        connection.execute(insert(versions).values(_row(made, last + 1)))
        return made

    def _demand_usable(self, policy: str, version: str) -> None:
        if version:
            self.fetch(policy, version)
            return
        with reading(self._engine) as connection:
            self._demand_policy(connection, policy)

    def _demand_policy(self, connection: Connection, policy: str) -> None:
        if _kind(connection, policy) is None:
            known = connection.scalars(select(versions.c.policy).distinct().order_by(versions.c.policy)).all()
            raise UnknownPolicy(f"policy: there is no {policy!r}; there are: {', '.join(known) or 'none yet'}")

    def _demand_kind(self, connection: Connection, new: NewVersion) -> None:
        kind = _kind(connection, new.policy)
        if kind is not None and kind != new.kind:
            raise InvalidInput("kind", f"policy {new.policy} is of kind {kind}; take another name for a {new.kind}")


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


def _manifest(connection: Connection, policy: str, version: str) -> Manifest:
    of_policy = select(versions).where(versions.c.policy == policy).order_by(versions.c.seq)
    rows: dict[str, RowMapping] = {row["version"]: row for row in connection.execute(of_policy).mappings()}
    if version not in rows:
        have = ", ".join(list(rows)[-10:])
        raise UnknownVersion(f"version: {policy} has no version {version!r}; it has {have}")
    return manifest.from_json(rows[version]["manifest"])


def _row(made: Manifest, seq: int) -> dict[str, object]:
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
    }
