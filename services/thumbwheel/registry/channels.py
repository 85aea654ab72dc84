"""Pointers and their audit trail, inside a transaction that the caller opened.

A move writes the pointer, its audit row, and the generation, which replicas poll. They happen together or
not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from thumbwheel.database.schema import channel_history, channels, registry_generation
from thumbwheel.errors import Conflict
from thumbwheel.records import Channel, ChannelChange


@dataclass(frozen=True, slots=True)
class Move:
    """Where a channel shall point (`version=""`: nowhere), who wants it, and why."""

    policy: str
    channel: Channel
    version: str
    actor: str
    reason: str
    evidence_digest: str = ""
    is_rollback: bool = False


def pointers(connection: Connection, policy: str) -> dict[Channel, str]:
    """What each channel of a policy points at; a cleared channel is not among them."""
    rows = connection.execute(select(channels.c.channel, channels.c.version).where(channels.c.policy == policy))
    return {Channel(row.channel): row.version for row in rows}


def move(connection: Connection, move: Move, expected_previous: str | None, now_us: int) -> ChannelChange:
    """Write a move; of one to where the channel points already nothing is written, and `previous` is `version`.

    Raises:
        Conflict: the channel does not point at `expected_previous`.
    """
    previous = pointers(connection, move.policy).get(move.channel, "")
    if previous == move.version:
        return _change(move, previous, now_us)
    if expected_previous is not None and previous != expected_previous:
        raise Conflict(
            f"{move.channel} of {move.policy} is {previous or 'empty'}, not {expected_previous or 'empty'};"
            " look at it again and repeat"
        )
    change = _change(move, previous, now_us)
    _point(connection, move, _next_generation(connection))
    connection.execute(insert(channel_history).values(_row(change) | {"is_rollback": move.is_rollback}))
    return change


def earlier_champions(connection: Connection, policy: str) -> tuple[list[str], str]:
    """The versions that were champion before the present one, newest first, and the present one.

    The trail is read as a stack: a promotion pushes, a rollback takes off what it left, so that a second rollback
    goes one step further back. What was rolled back is not among them.
    """
    present = pointers(connection, policy).get(Channel.CHAMPION, "")
    below = _stack(connection, policy)[-2::-1]
    return list(dict.fromkeys(version for version in below if version and version != present)), present


def history(connection: Connection, policy: str, limit: int) -> list[ChannelChange]:
    """The audit trail, newest first."""
    query = select(channel_history).where(channel_history.c.policy == policy)
    rows = connection.execute(query.order_by(channel_history.c.id.desc()).limit(limit)).mappings()
    return [_from_row(row) for row in rows]


def generation(connection: Connection) -> int:
    """A number that grows with every move of any channel."""
    return connection.scalar(select(registry_generation.c.value)) or 0


def _stack(connection: Connection, policy: str) -> list[str]:
    of_champion = (channel_history.c.policy == policy) & (channel_history.c.channel == Channel.CHAMPION.value)
    stack: list[str] = []
    for row in connection.execute(select(channel_history).where(of_champion).order_by(channel_history.c.id)):
        if row.is_rollback:
            while stack and stack[-1] != row.version:
                stack.pop()
        if not stack or stack[-1] != row.version:
            stack.append(row.version)
    return stack


def _point(connection: Connection, move: Move, generation: int) -> None:
    place = (channels.c.policy == move.policy) & (channels.c.channel == move.channel.value)
    connection.execute(delete(channels).where(place))
    if move.version:
        pointer: dict[str, object] = {"policy": move.policy, "channel": move.channel.value, "version": move.version}
        connection.execute(insert(channels).values(pointer | {"generation": generation}))


def _next_generation(connection: Connection) -> int:
    connection.execute(update(registry_generation).values(value=registry_generation.c.value + 1))
    return generation(connection)


def _change(move: Move, previous: str, now_us: int) -> ChannelChange:
    return ChannelChange(
        policy=move.policy,
        channel=move.channel,
        previous=previous,
        version=move.version,
        actor=move.actor,
        reason=move.reason,
        evidence_digest=move.evidence_digest,
        time_us=now_us,
    )


def _row(change: ChannelChange) -> dict[str, object]:
    names = ("policy", "previous", "version", "actor", "reason", "evidence_digest", "time_us")
    return {"channel": change.channel.value} | {name: getattr(change, name) for name in names}


def _from_row(row: RowMapping) -> ChannelChange:
    return ChannelChange(
        policy=row["policy"],
        channel=Channel(row["channel"]),
        previous=row["previous"],
        version=row["version"],
        actor=row["actor"],
        reason=row["reason"],
        evidence_digest=row["evidence_digest"],
        time_us=row["time_us"],
    )
