"""How a process ends: asked once, it finishes what is in its hands; asked twice, it is gone."""

from __future__ import annotations

import asyncio
import signal


def on_signals() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets; a second one ends the process at once."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopped.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopped
