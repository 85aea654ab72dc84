"""The gates' thresholds in a file of their own, for who answers for them and no other setting.

    # gates.toml
    confidence = 0.95

    [kl_budget]
    threshold = 2.5

    [win_rate]
    threshold = 0.52

What it does not name stays as it is set. A run reads it when it begins; what changed since the last run stands in the
audit trail.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from getpass import getuser
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from thumbwheel.config.settings import Gates
from thumbwheel.errors import InvalidConfig
from thumbwheel.gates.judge import every_gate

THRESHOLD: Final = "threshold"
CONFIDENCE: Final = "confidence"

SETTING_OF: Final[Mapping[str, str]] = {gate.name: gate.setting for gate in every_gate().values() if gate.setting}
"""Gate -> the setting that is its threshold. Gates that are not here compare candidate and champion with each other."""


def in_force(gates: Gates) -> Gates:
    """Return the settings with what `gates.file` says, if one is named.

    Raises:
        InvalidConfig: the file can not be read, or names a gate or a threshold that can not be; the message names it
            and what can be.
    """
    if gates.file is None:
        return gates
    found = dict(_settings(_read(gates.file), gates.file))
    try:
        return Gates.model_validate({**gates.model_dump(), **{field: value for field, (_, value) in found.items()}})
    except ValidationError as error:
        raise _out_of_range(gates.file, found, error) from error


def thresholds(gates: Gates) -> dict[str, float]:
    """Return the threshold of every gate that has one, by the gate's name, and the confidence of intervals."""
    named = {name: float(getattr(gates, field)) for name, field in SETTING_OF.items()}
    return {**named, CONFIDENCE: gates.confidence}


def answerable(gates: Gates, actor: str) -> str:
    """Return who answers for the thresholds: the owner of the file, where there is one, else `actor`."""
    if gates.file is None:
        return actor
    try:
        return gates.file.owner()
    except (KeyError, OSError, NotImplementedError):
        return getuser()


def range_of(field: str) -> str:
    """Return the range of a threshold, in words."""
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    limits = Gates.model_fields[field].metadata
    said = [f"{word} {getattr(one, name):g}" for one in limits for name, word in words.items() if hasattr(one, name)]
    return " and ".join(dict.fromkeys(said))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidConfig(
            "gates.file", f"{path} can not be read ({error.strerror}); mend it or name another"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidConfig("gates.file", f"{path} is no TOML: {error}") from error


def _settings(read: Mapping[str, Any], path: Path) -> Iterator[tuple[str, tuple[str, object]]]:
    """Yield (setting, (gate, value)) of everything that the file says."""
    said: dict[str, tuple[str, object]] = {}
    for gate, table in read.items():
        field = CONFIDENCE if gate == CONFIDENCE else SETTING_OF.get(gate, "")
        if not field:
            have = ", ".join([*sorted(SETTING_OF), CONFIDENCE])
            raise InvalidConfig("gates.file", f"{path} names {gate!r}, which has no threshold; there are: {have}")
        value = table if gate == CONFIDENCE else _threshold(gate, table, path)
        if field in said and said[field][1] != value:
            other = said[field][0]
            raise InvalidConfig("gates.file", f"{path}: {gate} and {other} share one threshold; give both the same")
        said[field] = gate, value
        yield field, (gate, value)


def _threshold(gate: str, table: object, path: Path) -> object:
    if not isinstance(table, dict) or set(table) != {THRESHOLD}:
        example = f"[{gate}]\\n{THRESHOLD} = ..."
        raise InvalidConfig("gates.file", f"{path}: {gate} takes {THRESHOLD!r} and nothing else, as in {example!r}")
    value = table[THRESHOLD]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidConfig("gates.file", f"{path}: {THRESHOLD} of {gate} must be a number, got {value!r}")
    return value


def _out_of_range(path: Path, found: Mapping[str, tuple[str, object]], error: ValidationError) -> InvalidConfig:
    field = str(error.errors()[0]["loc"][0])
    gate, value = found.get(field, (field, None))
    return InvalidConfig("gates.file", f"{path}: {THRESHOLD} of {gate} must be {range_of(field)}, got {value!r}")
