"""The right to work on a run: a lease in the store, renewed by a thread, and a lock on the run's folder.

The lease keeps two runs of a policy apart, on any machines; its fence refuses whatever a former holder still tries
to write. The lock keeps two processes of one machine out of the same folder, and dies with its process.
"""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from thumbwheel.errors import Fenced, RunInProgress, Unavailable
from thumbwheel.store.port import FeedbackStore, Lease

# A worker that died is taken over after this long; three renewals may fail before.
LEASE_S = 60.0


class RunLease:
    """Holds a policy's run lease for `holder` (the run's id) from enter to exit.

    The same holder that comes again takes its lease over at once, with a higher fence.
    """

    def __init__(self, store: FeedbackStore, policy: str, holder: str, ttl_s: float = LEASE_S) -> None:
        """Name the lease; it is acquired on entering. Raises RunInProgress there if another run holds it."""
        self._store = store
        self._policy = policy
        self._holder = holder
        self._ttl_s = ttl_s
        self._lease: Lease | None = None
        self._lost: Fenced | None = None
        self._ended = threading.Event()
        self._renewer = threading.Thread(target=self._renew_until_ended, name="run-lease", daemon=True)

    def __enter__(self) -> RunLease:
        self._lease = self._store.acquire_lease(self._policy, self._holder, self._ttl_s)
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._renewer.join()
        self._store.release_lease(self.lease)

    @property
    def lease(self) -> Lease:
        """The lease as last renewed."""
        assert self._lease is not None, "enter the lease first"
        return self._lease

    def check(self) -> None:
        """Raise Fenced if the lease was lost: stop, and write nothing more."""
        if self._lost:
            raise Fenced(str(self._lost))

    def demand(self) -> None:
        """Renew now; raise Fenced if the lease was lost. To be called before what can not be undone."""
        self.check()
        self._lease = self._store.renew_lease(self.lease, self._ttl_s)

    def _renew_until_ended(self) -> None:
        while not self._lost and not self._ended.wait(self._ttl_s / 4):
            try:
                self._lease = self._store.renew_lease(self.lease, self._ttl_s)
            except Fenced as error:
                self._lost = error
            except Unavailable as error:
                self._give_up_when_expired(error)

    def _give_up_when_expired(self, error: Unavailable) -> None:
        """The store may be away for a while; once the lease has expired another run may have begun."""
        if time.time() * 1e6 > self.lease.expires_us:
            self._lost = Fenced(f"the lease on runs of {self._policy} expired while {error}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file until the block, or the process, ends.

    Raises:
        RunInProgress: another process holds it.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunInProgress(f"another process works in {path.parent.name}; wait for it to end") from error
        yield
