"""One append for one `feedback_id`, also while its first try is still on its way into the log or to the store."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import replace

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import RecordAppender
from thumbwheel.errors import AlreadyExists
from thumbwheel.records import Feedback, Retraction

_MAX_IDS = 16_384


class SentOnce:
    """Appends feedback to the log; what was appended lately is not appended again.

    The store knows what ingest has passed; this knows the moments before, of this process. Only the ids sent last
    are remembered. Used from one event loop.
    """

    def __init__(self, log: RecordAppender, max_ids: int = _MAX_IDS) -> None:
        """Append to `log`; remember at most `max_ids`."""
        self._log = log
        self._max_ids = max_ids
        self._sent: OrderedDict[bytes, bytes] = OrderedDict()  # digests of whose id it is and of the content
        self._under_way: dict[bytes, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """Return how many ids are remembered."""
        return len(self._sent)

    async def append(self, record: Feedback | Retraction) -> None:
        """Return when the record is durable, whether this call or an earlier one wrote it.

        It is written also when the caller goes away meanwhile.

        Raises:
            AlreadyExists: the rater sent something else under this `feedback_id`.
            LogUnavailable, Overloaded: nothing was promised, and trying again is safe.
        """
        key, content = _id_digest(record), _digest(record)
        sent = self._sent.get(key)
        if sent is None:
            self._begin(key, content, record)
        elif sent != content:
            raise AlreadyExists("feedback_id: was used for other feedback before; make a new one for each")
        if (appended := self._under_way.get(key)) is not None:
            await asyncio.shield(appended)

    def _begin(self, key: bytes, content: bytes, record: Feedback | Retraction) -> None:
        appended = asyncio.create_task(self._log.append([to_log(record)]))
        self._sent[key], self._under_way[key] = content, appended

        def done(appended: asyncio.Task[None]) -> None:
            failed = appended.cancelled() or appended.exception() is not None
            if self._under_way.get(key) is not appended:
                return  # it was forgotten, and begun anew
            # The task holds its context and more, a few kilobytes: of what is written the digests are enough.
            del self._under_way[key]
            if failed:  # it may be sent again, and then be another content
                self._sent.pop(key, None)

        appended.add_done_callback(done)
        if len(self._sent) > self._max_ids:
            self._sent.popitem(last=False)


def _id_digest(record: Feedback | Retraction) -> bytes:
    return hashlib.sha256(f"{record.rater}\0{record.feedback_id}".encode()).digest()


def _digest(record: Feedback | Retraction) -> bytes:
    """What tells a record from another, without the time at which this try came."""
    return hashlib.sha256(repr(replace(record, time_us=0)).encode()).digest()
