"""The right to run one training run of a policy: a lease that expires, with a fence that grows with every holder."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from thumbwheel.database.schema import leases as table
from thumbwheel.errors import Fenced, RunInProgress
from thumbwheel.store.port import Lease

_NOBODY = ""


def acquire(connection: Connection, policy: str, holder: str, now_us: int, ttl_us: int) -> Lease:
    """Take the lease if it is free, expired, or the holder's own. Raises RunInProgress."""
    row = connection.execute(select(table).where(table.c.policy == policy)).first()
    if row is None:
        lease = Lease(policy, holder, 1, now_us + ttl_us)
        connection.execute(insert(table).values(_values(lease)))
        return lease
    if row.holder not in (_NOBODY, holder) and row.expires_us > now_us:
        left_s = (row.expires_us - now_us) / 1e6
        raise RunInProgress(
            f"a run of {policy} is under way ({row.holder}): wait for it to end, or {left_s:.0f} s if it has died"
        )
    lease = Lease(policy, holder, row.fence + 1, now_us + ttl_us)
    if not _replace(connection, row.fence, lease):
        raise RunInProgress(f"a run of {policy} has just begun")
    return lease


def renew(connection: Connection, lease: Lease, now_us: int, ttl_us: int) -> Lease:
    """Prolong a lease that nobody else has taken. Raises Fenced."""
    longer = Lease(lease.policy, lease.holder, lease.fence, now_us + ttl_us)
    demand(connection, lease)
    _replace(connection, lease.fence, longer)
    return longer


def release(connection: Connection, lease: Lease) -> None:
    """Give a lease back, if it is still held."""
    _replace(connection, lease.fence, Lease(lease.policy, _NOBODY, lease.fence, 0))


def demand(connection: Connection, lease: Lease) -> None:
    """Raise Fenced unless the lease is still held."""
    query = select(table.c.holder).where(table.c.policy == lease.policy, table.c.fence == lease.fence)
    if connection.scalar(query.with_for_update()) != lease.holder:
        raise Fenced(f"the run of {lease.policy} has lost its lease to another one")


def _replace(connection: Connection, fence: int, lease: Lease) -> bool:
    """Write the row if it still has `fence`."""
    which = table.c.policy == lease.policy, table.c.fence == fence
    return connection.execute(update(table).where(*which).values(_values(lease))).rowcount == 1


def _values(lease: Lease) -> dict[str, object]:
    return {
        "policy": lease.policy,
        "holder": lease.holder,
        "fence": lease.fence,
        "expires_us": lease.expires_us,
    }
