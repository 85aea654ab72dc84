"""Who judges and who teaches, and from when on nobody teaches.

By user: a hash of the pseudonym decides, so a user held out once is held out for ever. The seed of a run has no
part in it: were it to choose anew, the champion would have learned from users who now judge it. Held-out users'
answers are in no training row, at any time. Who is nobody in particular never judges: answers and votes without a
user id are for training, all of them, while they count as one voice (see `voices.py`).

By time: the newest `NEWEST` of the answers are the future as seen from the training rows. Training users' rows of
that slice go to neither part and are learned from by a later run; held-out users' rows of it judge, and so part of
the judgement is about people and days that the candidate knows nothing of. The slice is small, because recent votes
are also those that say most about the champion.
"""

from __future__ import annotations

import hashlib
import random

from thumbwheel.dataset.voices import UNNAMED
from thumbwheel.records import LoggedResponse, Split

NEWEST = 0.05

_SAMPLE = 50_000


def split_of(policy: str, who: str, held_out: float) -> Split:
    """The part that a user's rows of a policy belong to; `held_out` in [0, 1] is the share of users that judge."""
    if who == UNNAMED:
        return Split.TRAIN
    digest = hashlib.sha256(f"split\0{policy}\0{who}".encode()).digest()
    return Split.HELD_OUT if int.from_bytes(digest[:8]) < held_out * 2**64 else Split.TRAIN


def user_of(response: LoggedResponse, anonymous_as_one: bool) -> str:
    """The pseudonym whose split a row follows; a request without a user stands for itself, unless all are one."""
    return response.user_hash or (UNNAMED if anonymous_as_one else response.request_id)


class TimeCut:
    """Finds the time from which on answers are in the newest slice, from one pass and bounded memory.

    Exact up to 50,000 rows, then from a uniform sample of that many (algorithm R, Vitter 1985), drawn by `seed`.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._times: list[int] = []
        self._seen = 0

    def add(self, time_us: int) -> None:
        """Take one row's time."""
        self._seen += 1
        if len(self._times) < _SAMPLE:
            self._times.append(time_us)
        elif (place := self._random.randrange(self._seen)) < _SAMPLE:
            self._times[place] = time_us

    def cut_us(self) -> int:
        """Rows at or after this time are in the newest slice; 0 when there were none."""
        if not self._times:
            return 0
        newest = max(1, round(len(self._times) * NEWEST))
        return sorted(self._times)[-newest]
