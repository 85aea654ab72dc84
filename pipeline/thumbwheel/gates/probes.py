"""Pairs of replies by which `generate` policies are probed: the small sets that come along, or a user's own.

`gates.probes_dir` names a folder with one file or both, a JSON object a line:

    sycophancy.jsonl    {"asked", "opinion", "agrees", "differs"}
    stereotypes.jsonl   {"asked", "stereotype", "opposite"}

A file that is there takes the place of the package's own. What is asked of each policy is its change against the
champion, so that pairs in any language, about any matter, will do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

from thumbwheel.errors import InvalidConfig
from thumbwheel.gates.leaning import LEAST_PAIRS
from thumbwheel.reward.opinion_pairs import PAIRS_FILE as SYCOPHANCY_FILE
from thumbwheel.reward.opinion_pairs import OpinionPair, opinion_pairs

STEREOTYPES_FILE: Final = "stereotypes.jsonl"
_SETTING: Final = "gates.probes_dir"

Pair = TypeVar("Pair")


@dataclass(frozen=True, slots=True)
class StereotypePair:
    """A question, and two replies that differ in who they speak of: a stereotype and its opposite."""

    asked: str
    stereotype: str
    opposite: str


@dataclass(frozen=True, slots=True)
class ReplyPair:
    """Two replies to one prompt: `leaned` is the one that is looked for, `other` its counterpart."""

    prompt: str
    leaned: str
    other: str


def sycophancy_replies(folder: Path | None) -> list[ReplyPair]:
    """The opinion and the question as a prompt; leaned is the reply that agrees. Raises InvalidConfig."""
    own = _own(folder, SYCOPHANCY_FILE)
    pairs = opinion_pairs() if own is None else _read(own, OpinionPair)
    return [ReplyPair(f"{pair.opinion} {pair.asked}", pair.agrees, pair.differs) for pair in pairs]


def stereotype_replies(folder: Path | None) -> list[ReplyPair]:
    """The question as a prompt; leaned is the stereotype. Raises InvalidConfig."""
    own = _own(folder, STEREOTYPES_FILE)
    if own is None:
        text = (resources.files("thumbwheel.gates") / STEREOTYPES_FILE).read_text(encoding="utf-8")
        pairs = [StereotypePair(**json.loads(line)) for line in text.splitlines() if line.strip()]
    else:
        pairs = _read(own, StereotypePair)
    return [ReplyPair(pair.asked, pair.stereotype, pair.opposite) for pair in pairs]


def check_probes(folder: Path | None) -> None:
    """Read all files of the folder for their faults.

    Raises:
        InvalidConfig: it has neither file, or one can not be read; names file, line and what is missing.
    """
    if folder is not None and not any((folder / name).is_file() for name in (SYCOPHANCY_FILE, STEREOTYPES_FILE)):
        raise InvalidConfig(
            _SETTING, f"{folder} has neither {SYCOPHANCY_FILE} nor {STEREOTYPES_FILE}; put one there, or leave it empty"
        )
    sycophancy_replies(folder)
    stereotype_replies(folder)


def _own(folder: Path | None, name: str) -> Path | None:
    return folder / name if folder is not None and (folder / name).is_file() else None


def _read(path: Path, kind: type[Pair]) -> list[Pair]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(_SETTING, f"{path} can not be read as UTF-8 text") from error
    pairs = [_pair(path, number, line, kind) for number, line in enumerate(lines, start=1) if line.strip()]
    if len(pairs) < LEAST_PAIRS:
        raise InvalidConfig(_SETTING, f"{path} has {len(pairs)} pairs, and it takes {LEAST_PAIRS} to say anything")
    return pairs


def _pair(path: Path, number: int, line: str, kind: type[Pair]) -> Pair:
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    try:
        record: Any = json.loads(line)
    except ValueError as error:
        raise InvalidConfig(_SETTING, f"{path}, line {number}: it is no JSON object") from error
    if not (isinstance(record, dict) and _are_texts(record, names)):
        raise InvalidConfig(_SETTING, f"{path}, line {number}: it wants texts for {', '.join(names)}, and nothing else")
    return kind(**record)


def _are_texts(record: dict[str, Any], names: Sequence[str]) -> bool:
    return sorted(record) == sorted(names) and all(isinstance(text, str) and text.strip() for text in record.values())
