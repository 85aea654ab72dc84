"""Votes that are durable at the broker, with the answers they are about.

Answers go through the outbox on this machine's disk. A vote alone at the broker would outlive that disk and still be
worth nothing: without its answer it counts for no version. So it goes to the broker once the outbox has shipped what it
held of answers when the vote came: whenever the disk is lost, no vote is left without its answer. The relay ships
all the time: it is milliseconds that are waited for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from thumbwheel.bus.port import REQUESTS, EventLog, NewRecord
from thumbwheel.bus.source import ends, shipped
from thumbwheel.errors import LogUnavailable

_LOOK_S = 0.005
_RETRY_S = 1.0
_WAITING = "answers from before are still on their way to Kafka, which may be unavailable"
_REFUSED = "Kafka has not acknowledged it, and may be unavailable; send the vote again"


class BrokerVotes:
    """Appends to the log behind an outbox. Any thread may append."""

    def __init__(self, log: EventLog, outbox: EventLog, patience_s: float) -> None:
        """Append to `log`, into which a relay ships `outbox`; wait for the relay at most `patience_s` seconds."""
        self._log = log
        self._outbox = outbox
        self._patience_s = patience_s

    def append(self, records: Sequence[NewRecord]) -> None:
        """Append votes; return when all in-step copies have them and the answers that were given before.

        Raises:
            InvalidInput: a record is too large, or its topic unknown; nothing was appended.
            LogUnavailable: not all of that was acknowledged in time. The votes may be in the log; sent again under
                their ids they count once.
        """
        self._await_answers()
        try:
            self._log.append(records)
        except LogUnavailable as error:  # where the brokers are, and what ails them, is for operators
            raise LogUnavailable(_REFUSED, error.retry_after_s) from error

    def _await_answers(self) -> None:
        answers = ends(self._outbox, [REQUESTS])
        deadline = time.monotonic() + self._patience_s
        while not shipped(self._outbox, answers):
            if time.monotonic() >= deadline:
                raise LogUnavailable(_WAITING, _RETRY_S)
            time.sleep(_LOOK_S)
