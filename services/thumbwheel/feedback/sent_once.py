"""One append for one `feedback_id`, also while its first try is still on its way into the log or to the store."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import RecordAppender
from thumbwheel.errors import AlreadyExists
from thumbwheel.records import Feedback, Retraction

_MAX_IDS = 16_384


@dataclass(frozen=True, slots=True)
class _Sent:
    content: bytes
    appended: asyncio.Task[None]


class SentOnce:
    """Appends feedback to the log; what was appended lately is not appended again.

    The store knows what ingest has passed; this knows the moments before, of this process. Only the ids sent last
    are remembered. Used from one event loop.
    """

    def __init__(self, log: RecordAppender, max_ids: int = _MAX_IDS) -> None:
        """Append to `log`; remember at most `max_ids`."""
        self._log = log
        self._max_ids = max_ids
        self._sent: OrderedDict[tuple[str, str], _Sent] = OrderedDict()

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
        key, content = (record.rater, record.feedback_id), _digest(record)
        sent = self._sent.get(key)
        if sent is None:
            sent = self._remember(key, content, record)
        elif sent.content != content:
            raise AlreadyExists("feedback_id: was used for other feedback before; make a new one for each")
        await asyncio.shield(sent.appended)

    def _remember(self, key: tuple[str, str], content: bytes, record: Feedback | Retraction) -> _Sent:
        sent = _Sent(content, asyncio.create_task(self._log.append([to_log(record)])))
        self._sent[key] = sent

        def done(appended: asyncio.Task[None]) -> None:
            # What was not written may be sent again, and then be another content.
            if (appended.cancelled() or appended.exception()) and self._sent.get(key) is sent:
                del self._sent[key]

        sent.appended.add_done_callback(done)
        if len(self._sent) > self._max_ids:
            self._sent.popitem(last=False)
        return sent


def _digest(record: Feedback | Retraction) -> bytes:
    """What tells a record from another, without the time at which this try came."""
    return hashlib.sha256(repr(replace(record, time_us=0)).encode()).digest()
