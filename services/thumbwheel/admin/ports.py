"""What the admin door needs of its neighbours; the process hands the real ones in. Calls block, from any thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from thumbwheel.records import ErasureReport, Run


@dataclass(frozen=True, slots=True)
class Schedule:
    """What starts a policy's next run. `next_run_us` is 0 where no clock does, `votes_needed` 0 where votes don't.

    `new_votes` are of the kinds that a run learns from, `new_other_votes` of the rest.
    `running_progress` is the share of the running step that is done, in [0, 1].
    """

    new_votes: int = 0
    votes_needed: int = 0
    cron: str = ""
    next_run_us: int = 0
    running_run_id: str = ""
    running_step: str = ""
    running_progress: float = 0.0
    new_other_votes: int = 0


class Loop(Protocol):
    """Starts training runs."""

    def start_run(self, policy: str, actor: str) -> str:
        """Start a run now, whatever the schedule says, and return its id.

        Raises:
            RunInProgress: one is at work.
            NotEnoughData: it would begin at once, and it is plain already that there are too few votes. A run that
                turns out to have too few later, since not all of them teach, ends as rejected.
        """

    def schedule(self, policy: str) -> Schedule:
        """Return what starts the next run of a policy."""


class Copies(Protocol):
    """What is kept of users outside of log and store: the snapshots of runs, and what was set aside."""

    def demand_erasable(self) -> None:
        """Raise Conflict, with the cure, if there are copies from which no user can be erased."""

    def erase_user(self, user_hash: str) -> Sequence[str]:
        """Remove a user's rows from every snapshot for good; return the ids of the runs that had some.

        Called again, it changes nothing. A run under way that had some ends as failed.
        """


class Progress(Protocol):
    """How far ingest has come."""

    async def caught_up(self, topics: Sequence[str]) -> None:
        """Return when everything that `topics` hold at the call is in the store. Raises Unavailable."""


class Pseudonyms(Protocol):
    """Turns user ids into keyed hashes."""

    def user_hash(self, user_id: str) -> str:
        """Return a user's pseudonym."""


class Erasure(Protocol):
    """Removes what is kept of users."""

    async def erase(self, user_id: str, actor: str, reason: str) -> ErasureReport:
        """Remove a user's texts and votes for good, and report what there was.

        Raises:
            Unavailable: nothing was promised; ask again.
            Conflict: not all of it can be removed; nothing was.
        """


@dataclass(frozen=True, slots=True)
class Swap:
    """The last change of what a policy serves; `version` is empty when there was none since the start."""

    version: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What the process knows of itself.

    `backlog` counts acknowledged events that are not yet in the store; it raises LogUnavailable where the log is away,
    and then only `unshipped`, those still in this machine's outbox, can be counted. `problem` says why a policy's
    champion is not served and what is instead; empty: it is. `report_place` says where reports are kept outside of
    homes; None: nowhere. `canary_share` is the share of users a canary answers where nothing else is said.
    """

    version: str
    started_us: int
    home: Path
    backlog: Callable[[], int]
    unshipped: Callable[[], int] = lambda: 0
    last_swap: Callable[[str], Swap] = lambda policy: Swap()
    problem: Callable[[str], str] = lambda policy: ""
    report_place: Callable[[str], str] | None = None
    canary_share: float = 0.1

    def report_of(self, run: Run) -> str:
        """Return where a run's report is: its path in this home, or where it is kept if it was made in another's."""
        if not run.report_path:
            return ""
        here = self.home / run.report_path
        return str(here) if here.exists() or self.report_place is None else self.report_place(run.run_id)
