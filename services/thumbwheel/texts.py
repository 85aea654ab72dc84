"""What texts from outside may hold, the same at every door. Refusals name the field and the cure."""

from __future__ import annotations

import re

from thumbwheel.errors import InvalidInput

# What text has no use for, and what would steer a terminal that shows it; lines and tabs are fine.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def demand_no_zero(field: str, text: str) -> None:
    """Refuse a text that no column of a database can hold. Raises InvalidInput."""
    if "\0" in text:
        raise InvalidInput(field, "must not contain the zero character; remove it")


def demand_no_control(field: str, text: str) -> None:
    """Refuse a text with control characters other than the ends of lines and tabs. Raises InvalidInput."""
    if found := _CONTROL.search(text):
        raise InvalidInput(field, f"character {found.start()} is U+{ord(found[0]):04X}, a control character; remove it")
