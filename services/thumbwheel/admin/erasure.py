"""Erasing a user: in the log, in what learning copied, and last in the store, which knows what belongs to whom."""

from __future__ import annotations

import asyncio

from thumbwheel.admin.ports import Copies, Progress, Pseudonyms
from thumbwheel.bus.port import TOPICS, EventLog
from thumbwheel.errors import Conflict
from thumbwheel.records import ErasureReport
from thumbwheel.store.port import FeedbackStore


class RefusedErasure:
    """Erases nobody: a part that keeps users' texts can not remove them."""

    def __init__(self, why: str) -> None:
        """Say `why`, and what to do."""
        self._why = why

    async def erase(self, user_id: str) -> ErasureReport:
        """Refuse. Raises Conflict; nothing was removed."""
        raise Conflict(self._why)


class Eraser:
    """Erases users. Every step can be repeated: after a failure or a kill, ask again and it ends the same."""

    def __init__(
        self, pseudonyms: Pseudonyms, progress: Progress, log: EventLog, store: FeedbackStore, copies: Copies
    ) -> None:
        """Erase from `log`, `copies` and `store`."""
        self._pseudonyms = pseudonyms
        self._progress = progress
        self._log = log
        self._store = store
        self._copies = copies

    async def erase(self, user_id: str) -> ErasureReport:
        """Remove a user's texts and votes for good, and report what there was.

        Raises:
            Unavailable: nothing was promised (events still on their way, files being read); ask again.
            Conflict: the log can not remove single records; nothing was removed.
        """
        # What is still on its way to the store would come in after the user was erased there.
        await self._progress.caught_up(TOPICS)
        return await asyncio.to_thread(self._erase, self._pseudonyms.user_hash(user_id))

    def _erase(self, user_hash: str) -> ErasureReport:
        # A record's key is the answer's id, in both topics.
        self._log.erase(self._store.answers_concerning(user_hash))
        self._copies.erase_user(user_hash)
        return self._store.erase_user(user_hash)
