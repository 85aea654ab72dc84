"""Erasing a user: in the log, in what learning copied, and last in the store, which knows what belongs to whom."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from thumbwheel.admin.ports import Copies, Progress, Pseudonyms
from thumbwheel.bus.port import TOPICS
from thumbwheel.bus.source import Source
from thumbwheel.records import AuditAction, AuditEntry, ErasureReport
from thumbwheel.store.port import FeedbackStore

_RUNS = 100  # those under way are among the newest


class Eraser:
    """Erases users. Every step can be repeated: after a failure or a kill, ask again and it ends the same."""

    def __init__(
        self, pseudonyms: Pseudonyms, progress: Progress, log: Source, store: FeedbackStore, copies: Copies
    ) -> None:
        """Erase from `log`, `copies` and `store`."""
        self._pseudonyms = pseudonyms
        self._progress = progress
        self._log = log
        self._store = store
        self._copies = copies

    async def erase(self, user_id: str, actor: str, reason: str) -> ErasureReport:
        """Remove a user's texts and votes for good, and report what there was; the audit trail has it, too.

        Raises:
            Unavailable: nothing was promised (events still on their way, files being read); ask again.
            Conflict: the log can forget no user, or there are copies that can't; nothing was removed.
        """
        await asyncio.to_thread(self._copies.demand_erasable)
        # What is still on its way to the store would come in after the user was erased there.
        await self._progress.caught_up(TOPICS)
        entry = AuditEntry(time.time_ns() // 1000, AuditAction.USER_ERASED, actor, reason)
        return await asyncio.to_thread(self._erase, self._pseudonyms.user_hash(user_id), entry)

    def _erase(self, user_hash: str, entry: AuditEntry) -> ErasureReport:
        # A record's key is the answer's id, in both topics.
        self._log.erase_user(user_hash, self._store.answers_concerning(user_hash))
        # asked first: what the erasure ends may have ended by the time that it is done
        under_way = {run.run_id for run in self._store.runs(limit=_RUNS) if not run.state.is_final}
        ended = tuple(run_id for run_id in self._copies.erase_user(user_hash) if run_id in under_way)
        return replace(self._store.erase_user(user_hash, entry), runs_ended=ended)
