"""What no thumb is waited for: a version that fails, is slow, says nothing, or writes at another length.

Failures and times are of requests since the trial began; replies are the newest of each version. Each rail is broken
only with evidence at the trial's confidence, never by a handful of requests.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from thumbwheel.canary.evidence import log_e_share_above, log_e_worse
from thumbwheel.config.settings import Canary
from thumbwheel.records import GenerateAnswer, LoggedResponse
from thumbwheel.registry.serving_tally import BUCKETS_S, bucket_of_share, slower_than
from thumbwheel.registry.trial import Served

LEAST_REPLIES = 50
LEAST_REQUESTS = 200
_TAIL = 0.01
_REFUSAL = re.compile(
    r"^\W*(i('m| am)? ?(sorry|afraid|unable|not able)|i (can ?not|can't|won't|will not)|as an ai\b|sorry,? (but )?i)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Rail:
    """What was measured: the control's number, the tried version's, the most that is allowed, and whether it broke."""

    name: str
    control: float
    tried: float
    most: float
    broken: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Replies:
    """Replies of a version: how many said nothing or refused, how many did not, and the tokens of each."""

    empty: int = 0
    full: int = 0
    tokens: Sequence[int] = ()


def replies_of(answers: Sequence[LoggedResponse]) -> Replies:
    """What the `generate` answers among them were like; labels are neither empty nor long."""
    written = [one.answer for one in answers if isinstance(one.answer, GenerateAnswer)]
    empty = sum(is_empty(answer.text) for answer in written)
    return Replies(empty, len(written) - empty, [len(answer.token_ids) for answer in written])


def is_empty(text: str) -> bool:
    """Whether a reply says nothing, or refuses by its first words."""
    return not text.strip() or bool(_REFUSAL.match(text))


def rails(control: Served, tried: Served, before: Replies, now: Replies, limits: Canary) -> list[Rail]:
    """Every rail for which there is anything to say."""
    least = -math.log1p(-limits.confidence)
    found = [*_failures(control, tried, limits, least), *_latency(control, tried, limits, least)]
    return [*found, *_empty(before, now, limits, least), *_length(before, now, limits)]


def _failures(control: Served, tried: Served, limits: Canary, least: float) -> Iterator[Rail]:
    if not (control.requests and tried.requests):
        return
    went = [(one.requests - one.failures, one.failures) for one in (control, tried)]
    broken = float(log_e_worse(went[0], went[1], limits.max_failure_rise)) >= least
    shares = control.failures / control.requests, tried.failures / tried.requests
    sentence = f"{shares[1]:.1%} of its requests failed, {shares[0]:.1%} of the champion's."
    yield Rail("failures", *shares, limits.max_failure_rise, broken, sentence)


def _latency(control: Served, tried: Served, limits: Canary, least: float) -> Iterator[Rail]:
    """Evidence that more than 1 % of its requests take longer than `max_latency_ratio` times the control's p99."""
    if min(sum(control.latencies), sum(tried.latencies)) < LEAST_REQUESTS:
        return
    old, new = (bucket_of_share(one.latencies, 1 - _TAIL) for one in (control, tried))
    if max(old, new) >= len(BUCKETS_S):
        old, new = min(old, len(BUCKETS_S) - 1), min(new, len(BUCKETS_S) - 1)
    allowed_s = BUCKETS_S[old] * limits.max_latency_ratio
    allowed = max(bucket for bucket, end_s in enumerate(BUCKETS_S) if end_s <= allowed_s * (1 + 1e-9))
    broken = float(log_e_share_above(slower_than(tried.latencies, allowed), _TAIL)) >= least
    ratio = BUCKETS_S[new] / BUCKETS_S[old]
    sentence = (
        f"One request of a hundred takes longer than {BUCKETS_S[new]:.3g} s, of the champion's {BUCKETS_S[old]:.3g} s."
    )
    yield Rail("latency", 1.0, ratio, limits.max_latency_ratio, broken, sentence)


def _empty(before: Replies, now: Replies, limits: Canary, least: float) -> Iterator[Rail]:
    counts = before.empty + before.full, now.empty + now.full
    if min(counts) < LEAST_REPLIES:
        return
    broken = float(log_e_worse((before.full, before.empty), (now.full, now.empty), limits.max_empty_rise)) >= least
    shares = before.empty / counts[0], now.empty / counts[1]
    sentence = f"{shares[1]:.1%} of its replies are empty or refuse, {shares[0]:.1%} of the champion's."
    yield Rail("empty_replies", *shares, limits.max_empty_rise, broken, sentence)


def _length(before: Replies, now: Replies, limits: Canary) -> Iterator[Rail]:
    """Ratio of geometric means of 1 + tokens, broken where Welch's interval of its logarithm lies beyond the limit."""
    if min(len(before.tokens), len(now.tokens)) < LEAST_REPLIES:
        return
    old, new = (np.log1p(np.asarray(one.tokens, dtype=np.float64)) for one in (before, now))
    gap = float(new.mean() - old.mean())
    reach = _welch_reach(old, new, limits.confidence)
    most = math.log(limits.max_length_ratio)
    broken = abs(gap) - reach > most
    sentence = f"Its replies are {math.exp(gap):.2f} times as long as the champion's."
    yield Rail("reply_length", 1.0, math.exp(gap), limits.max_length_ratio, broken, sentence)


def _welch_reach(old: np.ndarray, new: np.ndarray, confidence: float) -> float:
    """Half of Welch's interval for a difference of means (Welch 1947)."""
    parts = [float(one.var(ddof=1)) / len(one) for one in (old, new)]
    if sum(parts) == 0.0:
        return 0.0
    freedom = sum(parts) ** 2 / sum(part**2 / (len(one) - 1) for part, one in zip(parts, (old, new), strict=True))
    return float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(sum(parts))
