"""What an operator may ask for. Every refusal names the field, the limit and the cure."""

from __future__ import annotations

import re

from thumbwheel.access.caller import signed
from thumbwheel.errors import InvalidInput

MAX_REASON_CHARS = 500
MAX_ACTOR_CHARS = 100
MAX_USER_ID_CHARS = 256
MAX_LISTED = 1_000
_MAX_SHARE = 0.5

# They would steer the terminal that shows them. A reason may have several lines, a name has one.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def reason(text: str) -> str:
    """Return why something is done. Raises InvalidInput."""
    sized = _sized("reason", text, MAX_REASON_CHARS, "say why; it stands in the audit trail")
    return _without("reason", sized, _CONTROL_IN_LINES)


def actor(text: str) -> str:
    """Return who does it, behind the API key that the call came by, if keys are asked for. Raises InvalidInput."""
    sized = _sized("actor", text, MAX_ACTOR_CHARS, "say who decides; it stands in the audit trail")
    return signed(_without("actor", sized, _CONTROL))


def user_id(text: str) -> str:
    """Return whom to erase. Raises InvalidInput. Blanks belong to the id, as they did when it was hashed."""
    if not 1 <= len(text) <= MAX_USER_ID_CHARS:
        limit = f"must have 1 to {MAX_USER_ID_CHARS} characters, has {len(text)}"
        raise InvalidInput("user_id", f"{limit}; send the id that the requests had")
    return text


def named(field: str, text: str) -> str:
    """Return a name that may not be empty. Raises InvalidInput."""
    if not text:
        raise InvalidInput(field, "must not be empty; give the one you mean")
    return text


def limit(number: int, default: int) -> int:
    """Return how many to list; 0 means `default`. Raises InvalidInput."""
    if not 0 <= number <= MAX_LISTED:
        raise InvalidInput("limit", f"must be 1 to {MAX_LISTED:,}, or 0 for {default}, got {number}")
    return number or default


def _sized(field: str, text: str, most: int, cure: str) -> str:
    stripped = text.strip()
    if not 1 <= len(stripped) <= most:
        raise InvalidInput(field, f"must have 1 to {most} characters, has {len(stripped)}; {cure}")
    return stripped


def _without(field: str, text: str, forbidden: re.Pattern[str]) -> str:
    if found := forbidden.search(text):
        raise InvalidInput(field, f"character {found.start()} is U+{ord(found[0]):04X}, a control character; remove it")
    return text


def share(value: float) -> float:
    """Return a share of users; 0 stands for the one that is set. Raises InvalidInput."""
    if not 0 <= value <= _MAX_SHARE:  # NaN neither
        raise InvalidInput("share", f"must lie above 0 and be at most {_MAX_SHARE}, got {value}")
    return value
