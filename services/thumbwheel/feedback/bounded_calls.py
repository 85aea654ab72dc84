"""Asking a part that may hang, without hanging with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TypeVar

from thumbwheel.errors import Unavailable

_THREADS = 4
_T = TypeVar("_T")


class BoundedCalls:
    """Calls that block, on a few threads of their own, so that those that never return hold up nobody else.

    Who waited in vain is followed by nobody for `rest_s` seconds: until then each call is refused at once. What a call
    that was given up still finds out is lost. Used from one event loop.
    """

    def __init__(self, what: str, patience_s: float = 0.5, rest_s: float = 5.0) -> None:
        """Ask `what`, as errors call it; wait `patience_s` seconds for each answer."""
        self._what = what
        self._patience_s = patience_s
        self._rest_s = rest_s
        self._rests_until = 0.0
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="bounded")

    async def ask(self, call: Callable[[], _T]) -> _T:
        """Return what `call` returns. Raises what it raises, and Unavailable when it takes too long."""
        if monotonic() < self._rests_until:
            raise self._unavailable()
        try:
            async with asyncio.timeout(self._patience_s):
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except TimeoutError:
            self._rests_until = monotonic() + self._rest_s
            raise self._unavailable() from None

    def _unavailable(self) -> Unavailable:
        return Unavailable(f"{self._what} does not answer in time; try again", self._rest_s)
