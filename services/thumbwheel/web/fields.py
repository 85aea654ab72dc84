"""The fields of a JSON body, each checked for type and range, with a message that names field, limit and cure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from thumbwheel.errors import InvalidInput

_REASON = re.compile(r"[a-z0-9-]{1,40}")
MAX_COMMENT_CHARS = 2_000
MAX_REASONS = 8


class Fields:
    """A JSON object read field by field; `path` is where it stands in the body, for messages."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = values
        self._path = path

    def __contains__(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._values.get(name) is not None

    def only(self, *names: str) -> None:
        """Refuse fields of other names."""
        unknown = [name for name in self._values if name not in names]
        if unknown:
            raise InvalidInput(self._path, f"unknown field {ascii(unknown[0])[:60]}; known are {', '.join(names)}")

    def text(self, name: str, longest: int, *, shortest: int = 1, default: str | None = None) -> str:
        """Return a string of `shortest`..`longest` characters, blanks at its ends removed."""
        value = self._values.get(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, f"must be a string of {shortest} to {longest:,} characters")
        value = value.strip()
        if not shortest <= len(value) <= longest:
            raise self._wrong(name, f"must have {shortest} to {longest:,} characters, has {len(value):,}")
        if not _is_encodable(value):
            raise self._wrong(name, "must be valid Unicode; it has half of a surrogate pair")
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        """Return a whole number in [low, high]."""
        value = self._values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(name, f"must be a whole number from {low} to {high}")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Return one of `choices`."""
        value = self._values.get(name)
        if not isinstance(value, str) or value not in choices:
            raise self._wrong(name, f"must be one of {', '.join(choices)}")
        return value

    def object(self, name: str) -> Fields:
        """Return a nested object."""
        value = self._values.get(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "must be an object")
        return Fields(value, f"{self._at(name)}.")

    def objects(self, name: str, fewest: int, most: int) -> list[Fields]:
        """Return a list of `fewest`..`most` objects."""
        value = self._values.get(name)
        if not isinstance(value, list) or not fewest <= len(value) <= most:
            raise self._wrong(name, f"must be a list of {fewest} to {most} objects")
        if not all(isinstance(item, dict) for item in value):
            raise self._wrong(name, "must hold objects only")
        return [Fields(item, f"{self._at(name)}[{index}].") for index, item in enumerate(value)]

    def reasons(self, name: str) -> tuple[str, ...]:
        """Return reason tags, at most 8 of at most 40 characters a-z, 0-9, '-'; none when absent."""
        value = self._values.get(name, [])
        if not isinstance(value, list) or len(value) > MAX_REASONS:
            raise self._wrong(name, f"must be a list of at most {MAX_REASONS} tags")
        if not all(isinstance(tag, str) and _REASON.fullmatch(tag) for tag in value):
            raise self._wrong(name, "a tag has 1 to 40 characters a-z, 0-9 or '-'")
        return tuple(value)

    def texts(self, name: str, most: int, longest: int) -> tuple[str, ...]:
        """Return a list of 1..`most` strings, each of 1..`longest` characters."""
        value = self._values.get(name)
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise self._wrong(name, f"must be a list of 1 to {most:,} strings")
        items = Fields({str(index): item for index, item in enumerate(value)}, f"{self._at(name)}.")
        return tuple(items.text(str(index), longest) for index in range(len(value)))

    def _at(self, name: str) -> str:
        return f"{self._path}{name}"

    def _wrong(self, name: str, problem: str) -> InvalidInput:
        return InvalidInput(self._at(name), problem)


def _is_encodable(value: str) -> bool:
    """Whether a string has no lone surrogate, which JSON can spell and UTF-8 can not."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
