"""Outboxes of processes that come and go on one machine: each holds one, and what the dead left is shipped by others.

    replicas/0/log.sqlite    replicas/1/log.sqlite    ...

A folder is held by a lock that dies with its process, as a home is. A replica takes the first that nobody holds: one
that is begun anew takes its predecessor's, and its relay ships what it finds. Folders that stay without a holder (there
are fewer replicas now) are emptied by those that live, with the broker's acknowledgement before anything is removed.
Who serves on that home without replicas (`serve`, or `up`) does the same with what they left.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from thumbwheel.app.background import in_background
from thumbwheel.app.home import Home
from thumbwheel.app.storage import open_outbox
from thumbwheel.bus.port import REQUESTS, TOPICS, EventLog
from thumbwheel.bus.relay import Relay
from thumbwheel.bus.source import Place, ends, shipped, waiting
from thumbwheel.bus.sqlite_log import SqliteLog, look_into
from thumbwheel.config.settings import Settings
from thumbwheel.errors import HomeInUse, InvalidInput, Unavailable
from thumbwheel.telemetry.logging import get_logger

_LOOK_S = 5.0
_LOOKED_THROUGH = 5_000

logger = get_logger(__name__)


def outbox_of(folder: Path) -> Path:
    """Return the outbox's file in a replica's folder."""
    return folder / "log.sqlite"


def replicas_dir(settings: Settings) -> Path:
    """Return where the replicas of a machine keep their outboxes."""
    return settings.home / "replicas"


@contextmanager
def held_folder(replicas_dir: Path) -> Iterator[Path]:
    """Hold the first folder that nobody holds, while the block runs. Raises Unavailable: it can't be written."""
    with ExitStack() as stack:
        for number in itertools.count():
            with suppress(HomeInUse):
                stack.enter_context(Home(replicas_dir / str(number)))
                break
        yield replicas_dir / str(number)


@contextmanager
def adopting(settings: Settings, replicas_dir: Path, log: EventLog) -> Iterator[None]:
    """Ship what dead replicas of this machine left, to `log`, while the block runs."""

    def work(stop: threading.Event) -> None:
        while not stop.wait(_LOOK_S):
            try:
                ship_abandoned(settings, replicas_dir, log, stop.is_set)
            except (Unavailable, InvalidInput) as error:
                logger.warning("an outbox that a replica left can not be shipped yet", problem=str(error))
            except Exception:
                # A defect. Nothing is lost: only what was acknowledged has left an outbox.
                logger.exception("shipping what replicas left failed and goes on")

    with in_background("adopting", work):
        yield


def ship_abandoned(settings: Settings, replicas_dir: Path, log: EventLog, stopped: Callable[[], bool]) -> int:
    """Empty every outbox that nobody holds into `log`; return how many events there were.

    Raises Unavailable, InvalidInput as the relay does; what was not acknowledged is still there.
    """
    shipped = 0
    for folder in _folders(replicas_dir):
        if not outbox_of(folder).exists():
            continue
        try:
            with Home(folder), closing(open_outbox(settings, outbox_of(folder))) as outbox:
                relay, before = Relay(outbox, log), shipped
                while not stopped() and (count := relay.run_once()):
                    shipped += count
                if shipped > before:
                    outbox.erase([])  # nobody erases users there any more: no copy of what was shipped may stay
        except HomeInUse:
            continue
    return shipped


def unshipped(replicas_dir: Path) -> int:
    """Return how many events wait in the outboxes of this machine's replicas. Raises Unavailable."""
    count = 0
    for folder in _folders(replicas_dir):
        if outbox_of(folder).exists():
            with closing(look_into(outbox_of(folder))) as outbox:
                count += sum(waiting(outbox, topic).records for topic in TOPICS)
    return count


def shipping(replicas_dir: Path) -> Callable[[], bool]:
    """Note what waits in the outboxes of this machine's replicas; return what tells whether all of that was shipped.

    What comes in later is not waited for. Both raise Unavailable.
    """
    marks = {}
    for folder in _folders(replicas_dir):
        if (path := outbox_of(folder)).exists():
            with closing(look_into(path)) as outbox:
                marks[path] = ends(outbox, TOPICS)
    return lambda: all(_is_shipped(*mark) for mark in marks.items())


def _is_shipped(path: Path, marks: Mapping[Place, int]) -> bool:
    if not path.exists():
        return True
    with closing(look_into(path)) as outbox:
        return shipped(outbox, marks)


class OtherOutboxes:
    """Outboxes of other processes of this machine, kept open for reading. One thread at a time may ask."""

    def __init__(self, mine: Path, replicas_dir: Path, left: Sequence[Path] = ()) -> None:
        """Look into those of `replicas_dir`, and those `left` by other processes, but for `mine`."""
        self._mine = mine
        self._replicas_dir = replicas_dir
        self._left = left
        self._open: dict[tuple[Path, int], SqliteLog] = {}

    def held(self, answers: Collection[str]) -> set[str]:
        """Return which of these answers may still be in one of them. Raises Unavailable.

        Where more than `_LOOKED_THROUGH` answers wait, all may be: that relay is far behind.
        """
        return {one for outbox in self._opened() for one in outbox.held(REQUESTS, answers, _LOOKED_THROUGH)}

    def close(self) -> None:
        """Close them."""
        for outbox in self._open.values():
            outbox.close()
        self._open.clear()

    def _opened(self) -> list[SqliteLog]:
        files = {(path, path.stat().st_ino): path for path in self._paths() if path != self._mine and path.exists()}
        for gone in self._open.keys() - files.keys():
            self._open.pop(gone).close()
        for place in files.keys() - self._open.keys():
            with suppress(sqlite3.OperationalError):  # it is being made, and has no tables yet: nothing is in it
                self._open[place] = look_into(place[0])
        return list(self._open.values())

    def _paths(self) -> Iterator[Path]:
        yield from self._left
        yield from (outbox_of(folder) for folder in _folders(self._replicas_dir))


def _folders(replicas_dir: Path) -> list[Path]:
    return sorted(path for path in replicas_dir.glob("[0-9]*") if path.is_dir())
