"""Whose voice a vote is, wherever one voice must not count for too much: the cap, the split, the gate on raters.

A vote without a user id comes from whoever holds the answer's token, so its rater is a new one for each answer, and
somebody who asks a thousand times is a thousand raters. Therefore all of them together are one voice, unless
`data.anonymous_as_one` says otherwise. The votes themselves are kept as they came.
"""

from __future__ import annotations

from typing import Final

from thumbwheel.records import is_anonymous

UNNAMED: Final = "unnamed"


def voice_of(rater: str, anonymous_as_one: bool) -> str:
    """Return whom a rater's votes count for: the rater, or `UNNAMED` for all anonymous ones together."""
    return UNNAMED if anonymous_as_one and is_anonymous(rater) else rater
