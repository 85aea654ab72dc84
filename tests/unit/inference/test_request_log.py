"""Whether answers can be kept is known from the last ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from query_plans import answer

from thumbwheel.bus.port import NewRecord
from thumbwheel.errors import InvalidInput, LogUnavailable
from thumbwheel.inference.request_log import Origin, RequestLog
from thumbwheel.inference.swap import Served
from thumbwheel.inference.validate import Asker
from thumbwheel.records import Channel
from thumbwheel.telemetry.metrics import Metrics


class Log:
    """Takes what it is given, or raises what is set."""

    error: Exception | None = None

    async def append(self, records: Sequence[NewRecord]) -> None:
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("error", "refused"),
    [(LogUnavailable("the disk is full", retry_after_s=1.0), True), (InvalidInput("payload", "is too large"), False)],
)
async def test_the_log_refuses_until_it_takes_one_again(error: Exception, refused: bool) -> None:
    log, given = Log(), answer("r1")
    engine: Any = None
    origin = Origin("q", Asker("", ""), "", Served(given.ref, Channel.CHAMPION, engine))
    kept = RequestLog(log, _Tokens(), _Raters(), Metrics().log)
    assert [(await kept.log(origin, [given]))[0].logged, kept.refused] == [True, False]
    log.error = error
    assert [(await kept.log(origin, [given]))[0].logged, kept.refused] == [False, refused]
    log.error = None
    assert [(await kept.log(origin, [given]))[0].logged, kept.refused] == [True, False]


class _Tokens:
    def sign(self, *_: object) -> str:
        return "token"


class _Raters:
    def user_hash(self, user_id: str) -> str:
        return ""

    def rater(self, user_id: str, response_id: str) -> str:
        return "somebody"
