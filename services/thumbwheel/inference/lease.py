"""How long what was read of the registry may be served, where several processes serve the same policies.

A process alone serves on while the database is away: nobody else can tell its users otherwise. Of several, one may be
cut off from the database while a channel is moved and the others follow: it would answer with a version that is no
longer the channel's. So each serves on a lease:

- reading the registry renews it;
- where it can't be read, a witness that looks from elsewhere is asked. It renews the lease if no channel has moved
  since what this process follows, or if the registry can't be read from there either: then none can be moved;
- if a channel has moved, or the witness does not answer, the lease runs out, and with it the right to answer.

So a version is served at most the lease's length after its channel was moved (plus the time to load its successor,
where that is known and being loaded).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Protocol

from thumbwheel.errors import Unavailable
from thumbwheel.telemetry.logging import get_logger

logger = get_logger(__name__)


class Lease:
    """The right to serve, until it lapses."""

    def __init__(self, length_s: float = math.inf, clock: Callable[[], float] = monotonic) -> None:
        """Renewals hold for `length_s` seconds; without end it never has to be renewed."""
        self.length_s = length_s
        self._clock = clock
        self._until = math.inf if math.isinf(length_s) else -math.inf

    @property
    def lapsed(self) -> bool:
        """Whether the right is gone."""
        return self._clock() > self._until

    def renew(self, as_of: float) -> None:
        """Hold on from `as_of`, the time at which what renews it was asked for."""
        self._until = max(self._until, as_of + self.length_s)

    def demand(self) -> None:
        """Raise Unavailable when it has lapsed."""
        if self.lapsed:
            raise Unavailable("this replica has lost sight of the registry and may be behind: ask another", 0.5)


class Witness(Protocol):
    """Looks at the registry from elsewhere."""

    async def generation(self) -> int | None:
        """Return where the registry stands; None where it can't be read from there. Raises ConnectionError."""


class LeaseHolder:
    """Renews a lease until it is cancelled."""

    def __init__(
        self, lease: Lease, read: Callable[[], int], followed: Callable[[], int | None], witness: Witness
    ) -> None:
        """Renew `lease` by `read`, the registry's generation, else by `witness`; `followed` is what this process has.

        `read` blocks, and may raise or hang when the database is away.
        """
        self._lease = lease
        self._read = read
        self._followed = followed
        self._witness = witness
        self._reading: asyncio.Future[int] | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="lease")
        self._troubled = False

    async def run(self) -> None:
        """Renew several times in each lease."""
        pause_s = self._lease.length_s / 5
        try:
            while True:
                await self.renew_once(pause_s)
                await asyncio.sleep(pause_s)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the thread that reads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def renew_once(self, patience_s: float) -> None:
        """Read, or ask; each for `patience_s` seconds at most."""
        begun = monotonic()
        if await self._registry_answers(patience_s):
            self._lease.renew(begun)
            self._tell(trouble=False)
            return
        asked = monotonic()
        if await self._witness_agrees(patience_s):
            self._lease.renew(asked)
        self._tell(trouble=True)

    async def _registry_answers(self, patience_s: float) -> bool:
        if self._reading is None:  # one read at a time: those that hang would pile up
            self._reading = asyncio.get_running_loop().run_in_executor(self._threads, self._read)
        done, _ = await asyncio.wait([self._reading], timeout=patience_s)
        if not done:
            return False
        reading, self._reading = self._reading, None
        return reading.exception() is None

    async def _witness_agrees(self, patience_s: float) -> bool:
        try:
            async with asyncio.timeout(patience_s):
                found = await self._witness.generation()
        except (TimeoutError, ConnectionError):
            return False
        return found is None or found == self._followed()

    def _tell(self, trouble: bool) -> None:
        if trouble and not self._troubled:
            logger.warning("the registry can't be read from here; serving goes on while the lease holds")
        if self._troubled and not trouble:
            logger.info("the registry can be read again")
        self._troubled = trouble
