"""The request log: every answer is durable in the event log before its receiver gets it.

When the log can't take it, or it is larger than the log takes, the answer is served all the same, marked as not logged,
without a feedback token, and counted: whoever asks must not suffer from a full disk, and a vote on it could never be
joined to its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import time_ns

import uuid_utils

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import RecordAppender
from thumbwheel.errors import InvalidInput, LogUnavailable, Overloaded
from thumbwheel.inference.gathered_appends import GatheredAppends
from thumbwheel.inference.ports import FeedbackTokens, Pseudonyms
from thumbwheel.inference.swap import Served
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.validate import Asker
from thumbwheel.records import Answer, LoggedResponse
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import LogMetrics

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom an answer is for and who makes it: what all candidates of a request share."""

    request_id: str
    asker: Asker
    user_hash: str
    served: Served
    trace_parent: str = ""
    tenant: str = ""


class RequestLog:
    """Logs answers and stamps them."""

    def __init__(
        self,
        appender: RecordAppender,
        tokens: FeedbackTokens,
        pseudonyms: Pseudonyms,
        metrics: LogMetrics,
    ) -> None:
        """Append through `appender`; sign with `tokens`, for the raters that `pseudonyms` name."""
        self._appender = GatheredAppends(appender)
        self._tokens = tokens
        self._pseudonyms = pseudonyms
        self._metrics = metrics
        self.refused = False
        """Whether the last answers were served without being logged."""

    def origin(self, asker: Asker, user_hash: str, served: Served, trace_parent: str = "") -> Origin:
        """Begin a request: give it its id."""
        return Origin(new_id(), asker, user_hash, served, trace_parent)

    def user_hash(self, asker: Asker) -> str:
        """Pseudonym of who asks; empty for an anonymous one."""
        return self._pseudonyms.user_hash(asker.user_id)

    def preliminary_stamp(self, origin: Origin, response_id: str) -> pb.Stamp:
        """Stamp of a stream's first message: who answers. The token follows in the last, once it is logged."""
        ref = origin.served.ref
        return pb.Stamp(
            response_id=response_id,
            policy=ref.policy,
            policy_version=ref.version,
            checkpoint_digest=ref.digest,
            channel=origin.served.channel.value,
        )

    async def log(self, origin: Origin, answers: Sequence[LoggedResponse]) -> list[pb.Stamp]:
        """Make the answers durable and return their stamps, in order."""
        logged = await self._append(origin, answers)
        return [self._stamp(origin, answer, logged) for answer in answers]

    def response(self, origin: Origin, response_id: str, answer: Answer, not_learnable: str) -> LoggedResponse:
        """Put together what is kept of an answer."""
        return LoggedResponse(
            response_id=response_id,
            request_id=origin.request_id,
            ref=origin.served.ref,
            channel=origin.served.channel,
            tenant=origin.tenant,
            user_hash=origin.user_hash,
            client_request_id=origin.asker.request_id,
            time_us=now_us(),
            not_learnable=not_learnable,
            answer=answer,
        )

    async def _append(self, origin: Origin, answers: Sequence[LoggedResponse]) -> bool:
        try:
            await self._appender.append([to_log(answer, origin.trace_parent) for answer in answers])
        except (InvalidInput, LogUnavailable, Overloaded) as error:
            self.refused = not isinstance(error, InvalidInput)  # that is about these answers, not about the log
            self._metrics.unlogged.inc(len(answers), policy=answers[0].ref.policy)
            logger.warning("served without being logged", policy=answers[0].ref.policy, problem=str(error))
            return False
        self.refused = False
        return True

    def _stamp(self, origin: Origin, answer: LoggedResponse, logged: bool) -> pb.Stamp:
        stamp = self.preliminary_stamp(origin, answer.response_id)
        if logged:
            rater = origin.user_hash or self._pseudonyms.rater("", answer.response_id)
            ref = answer.ref
            stamp.feedback_token = self._tokens.sign(
                answer.response_id, origin.request_id, rater, ref.policy, ref.version, answer.time_us
            )
            stamp.logged = True
        return stamp


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562): unique, and in order of time."""
    return str(uuid_utils.uuid7())


def now_us() -> int:
    """Return microseconds since the epoch, UTC."""
    return time_ns() // 1_000
