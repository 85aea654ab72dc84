"""Values a caller gave, held to what the contract can carry: each check returns the value or raises InvalidInput.

What the service allows is the service's to say. Here is refused what could not even be sent, or would be sent as
something that nobody meant: a string where a list of strings is wanted is a list of its letters.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any, Final, SupportsFloat, SupportsIndex

from thumbwheel.errors import InvalidInput

# What the service allows at most, whatever its settings; told where the contract can not even carry a number.
LIMITS: Final = {
    "n": "1 to 8",
    "rating": "1 to 5",
    "limit": "1 to 1,000",
    "sampling.top_k": "0 to 1,000,000",
    "sampling.max_new_tokens": "1 to 4,096",
}
MAX_SECONDS: Final = 1e9  # some decades; far above, gRPC's clock runs over and the deadline has passed at once


def utf8(field: str, text: str) -> str:
    """Return `text`. Raises InvalidInput for no string, or half a surrogate pair, which UTF-8 can't carry."""
    if not isinstance(text, str):
        raise InvalidInput(field, f"must be a string, got {_kind_of(text)}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(field, f"character {error.start} is not valid Unicode; remove it") from error
    return text


def int32(field: str, value: int) -> int:
    """Return `value`. Raises InvalidInput when the contract's whole numbers, of 32 bits, can't carry it."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise InvalidInput(field, f"must be a whole number, {LIMITS[field]}, got {_kind_of(value)}")
    number = operator.index(value)
    if not -(2**31) <= number < 2**31:
        raise InvalidInput(field, f"must be {LIMITS[field]}: choose a number in that range")
    return number


def real(field: str, value: float) -> float:
    """Return `value` as a float. Raises InvalidInput for what is no number."""
    if isinstance(value, bool) or not isinstance(value, SupportsFloat):
        raise InvalidInput(field, f"must be a number, got {_kind_of(value)}")
    try:
        return float(value)
    except (OverflowError, ValueError, TypeError) as error:
        raise InvalidInput(field, "must be a number that a float can hold") from error


def flag(field: str, value: bool) -> bool:
    """Return `value`. Raises InvalidInput for anything but yes and no (or 1 and 0)."""
    if value not in (True, False):
        raise InvalidInput(field, f"must be True or False, got {_kind_of(value)}")
    return bool(value)


def seconds(field: str, value: float) -> float:
    """Return a time of more than 0 and at most 1e9 s. Raises InvalidInput for others: every call has a deadline."""
    number = real(field, value)
    if not 0 < number <= MAX_SECONDS:  # NaN is in no range
        raise InvalidInput(field, f"must be more than 0 and at most {MAX_SECONDS:,.0f} seconds, got {number}")
    return number


def strings(field: str, values: Iterable[str]) -> list[str]:
    """Return the strings as a list. Raises InvalidInput for one string, or for items that are none."""
    return [utf8(f"{field}[{index}]", value) for index, value in enumerate(items(field, values, "a list of strings"))]


def items(field: str, values: Iterable[Any], wanted: str) -> list[Any]:
    """Return what a list holds. Raises InvalidInput for a string, a mapping, or what can't be gone through."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InvalidInput(field, f"must be {wanted}, got {_kind_of(values)}")
    return list(values)


def _kind_of(value: object) -> str:
    return "one string" if isinstance(value, str) else type(value).__name__
