"""When a failed call is tried again: only where that is safe, within the caller's time, and not in step with others."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import grpc

from thumbwheel.client.errors import Failure, of_handshake, read_failure
from thumbwheel.client.values import seconds
from thumbwheel.errors import DeadlineMissed


class Safety(Enum):
    """What a second try could do."""

    ONCE = "a second try could do it twice"
    UNANSWERED = "a second try makes a new answer: fine as long as none has come"
    IDEMPOTENT = "a second try changes nothing"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with jitter: `attempts` tries, pauses from `first_s` doubling up to `most_s` seconds."""

    attempts: int = 5
    first_s: float = 0.1
    most_s: float = 5.0

    def pause_s(self, tried: int, hint_s: float | None) -> float:
        """Return the pause after `tried` tries, never shorter than the service's hint."""
        backoff_s = min(self.most_s, self.first_s * 2.0 ** (tried - 1))
        return max(hint_s or 0.0, backoff_s * random.uniform(0.5, 1.0))


class Attempts:
    """The tries of one call, which share its time."""

    def __init__(
        self, policy: RetryPolicy, safety: Safety, timeout_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start the clock: all tries and pauses together last at most `timeout_s` seconds. Raises InvalidInput."""
        self._policy = policy
        self._safety = safety
        self._clock = clock
        self._ends = clock() + seconds("timeout_s", timeout_s)
        self._tried = 0
        self._refusal: Failure | None = None

    def begin(self) -> float:
        """Count a try and return the seconds that it may take. Raises DeadlineMissed when there are none."""
        self._tried += 1
        left_s = self._ends - self._clock()
        if left_s <= 0:
            raise DeadlineMissed("timeout_s: no time was left for the call; allow more seconds")
        return left_s

    def pause_after(self, error: grpc.RpcError) -> float:
        """Return the seconds to wait before the next try. Raises the fitting ThumbwheelError if there is none.

        A last try that only ran out of time says less than the refusal before it, which is raised then.
        """
        failure = read_failure(error)
        if self._refusal is not None and failure.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise self._refusal.to_error() from error
        pause_s = self._policy.pause_s(self._tried, failure.retry_after_s)
        too_late = self._clock() + pause_s >= self._ends
        if self._tried >= self._policy.attempts or too_late or not self._may_retry(failure):
            raise failure.to_error() from error
        self._refusal = failure
        return pause_s

    def _may_retry(self, failure: Failure) -> bool:
        if failure.code is grpc.StatusCode.UNAVAILABLE:
            # A certificate that is refused once is refused again.
            return self._safety is not Safety.ONCE and not (not failure.reason and of_handshake(failure.message))
        # Without a hint it is a limit that waiting doesn't change, such as the size of a message.
        exhausted = failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED and failure.retry_after_s is not None
        return exhausted and self._safety is Safety.IDEMPOTENT
