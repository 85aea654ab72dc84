"""SIGTERM in a command that does one thing and ends: it stops as with Ctrl-C, and tidies up.

Services take SIGTERM themselves (`app/lifetime.py`), from when their work begins; until then they are like the others.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """SIGTERM has come. What knows Ctrl-C knows this: temporary folders go, processes begun are ended."""


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` while the block runs; a second one ends the process at once.

    Where SIGTERM is ignored already, or off the main thread, all stays as it is.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def exit_status(stop: BaseException) -> int:
    """Return what a shell would say: 143 after SIGTERM, else 130, for Ctrl-C."""
    number = signal.SIGTERM if isinstance(stop, Terminated) or isinstance(stop.__cause__, Terminated) else signal.SIGINT
    return 128 + number


def _raise(_signal: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated
