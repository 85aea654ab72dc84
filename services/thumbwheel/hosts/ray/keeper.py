"""One actor of the cluster that replicas can ask and tell: what the registry says, and how each of them is.

A replica that can not read the registry does not know whether it is alone in that. The keeper, on the head node, reads
it too: it tells where the registry stands, or that nobody can read it, in which case no channel can have moved.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Generic, TypeVar

import ray

from thumbwheel.errors import Unavailable

NAME = "thumbwheel-keeper"
NAMESPACE = "thumbwheel"
_FORGOTTEN_S = 10.0
_ANSWER_S = 5.0
_T = TypeVar("_T")


class Keeper:
    """The actor. It reads on a thread of its own: a database that hangs keeps no replica waiting."""

    def __init__(self, open_generation: Callable[[], Callable[[], int]], interval_s: float) -> None:
        """Read the registry's generation every `interval_s` seconds; `open_generation` opens the registry for it."""
        self._interval_s = interval_s
        self._open = open_generation
        self._seen: tuple[int, float] | None = None
        self._standings: dict[str, tuple[object, float]] = {}
        threading.Thread(target=self._read, daemon=True, name="registry").start()

    def generation(self) -> int | None:
        """Return where the registry stands; None where it can't be read from here either."""
        seen = self._seen
        return seen[0] if seen is not None and monotonic() - seen[1] < 2 * self._interval_s + 1.0 else None

    def tell(self, replica: str, standing: object) -> None:
        """Take down how a replica is."""
        self._standings[replica] = (standing, monotonic())

    def standings(self) -> dict[str, object]:
        """Return how the replicas are that told lately."""
        now = monotonic()
        self._standings = {name: one for name, one in self._standings.items() if now - one[1] < _FORGOTTEN_S}
        return {name: standing for name, (standing, _) in self._standings.items()}

    def _read(self) -> None:
        try:
            self._read_on()
        finally:
            # A defect. Without this thread the registry would seem away for ever; without the actor Ray begins another.
            os._exit(1)

    def _read_on(self) -> None:
        pause, read = threading.Event(), None
        while True:
            begun = monotonic()
            with suppress(Unavailable):  # told by the time of the last success
                read = read or self._open()
                self._seen = (read(), begun)
            pause.wait(self._interval_s)


class KeeperLine(Generic[_T]):
    """A replica's line to the keeper. Implements `Witness`."""

    def __init__(self, replica: str) -> None:
        """Speak as `replica`."""
        self._replica = replica
        self._actor: Any = None

    async def generation(self) -> int | None:
        """Ask where the registry stands. Raises ConnectionError when the keeper can't be asked."""
        try:
            found: int | None = await self._keeper().generation.remote()
        except (ray.exceptions.RayError, ValueError) as error:
            self._actor = None
            raise ConnectionError("the keeper does not answer") from error
        return found

    def tell(self, standing: _T) -> None:
        """Say how this replica is, without waiting for it to be heard."""
        try:
            self._keeper().tell.remote(self._replica, standing)
        except (ray.exceptions.RayError, ValueError):
            self._actor = None  # it is begun again; asked for anew next time

    def _keeper(self) -> Any:
        if self._actor is None:
            self._actor = ray.get_actor(NAME, namespace=NAMESPACE)
        return self._actor


def start_keeper(open_generation: Callable[[], Callable[[], int]], interval_s: float) -> Any:
    """Start the keeper, anew each time it dies, and return a handle. One that an earlier process left is replaced."""
    with suppress(ValueError):
        ray.kill(ray.get_actor(NAME, namespace=NAMESPACE))
    actor = ray.remote(Keeper).options(
        name=NAME, namespace=NAMESPACE, num_cpus=0, max_restarts=-1, max_concurrency=4, lifetime="detached"
    )
    return actor.remote(open_generation, interval_s)


def keeper_answers(method: Any) -> Any:
    """Return what a method of the keeper answers. Blocks. Raises Unavailable when it does not."""
    try:
        return ray.get(method.remote(), timeout=_ANSWER_S)
    except ray.exceptions.RayError as error:
        raise Unavailable("the keeper does not answer", 1.0) from error
