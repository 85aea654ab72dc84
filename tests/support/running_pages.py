"""The pages on a real HTTP server in a thread of its own, for tests that talk to them over the wire."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

from thumbwheel.client import AsyncClient
from thumbwheel.web.app import create_app
from thumbwheel.web.deps import RETRY, Deps
from thumbwheel.web.server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def running_pages(target: str, deps_for: Callable[[AsyncClient], Deps]) -> Iterator[str]:
    """Serve the pages for the service at `target`; yield their URL."""
    url: Future[str] = Future()
    leave = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(target, deps_for, url, leave)), name="pages")
    thread.start()
    try:
        yield url.result(timeout=30)
    finally:
        leave.set()
        thread.join(timeout=30)


async def _serve(
    target: str, deps_for: Callable[[AsyncClient], Deps], url: Future[str], leave: threading.Event
) -> None:
    async with (
        AsyncClient(target, retry=RETRY) as client,
        serving(create_app(deps_for(client)), "127.0.0.1", 0, 2.0) as address,
    ):
        url.set_result(address)
        await asyncio.to_thread(leave.wait)
