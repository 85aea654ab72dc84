"""The last answer that `ask` got, kept so that `vote` can rate it. Readable by its owner only: it holds a token."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from thumbwheel.errors import Conflict

_FILE = "last_answer.json"


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """What it takes to rate an answer."""

    response_id: str
    token: str
    user: str
    policy: str
    version: str


def remember(home: Path, answer: LastAnswer) -> None:
    """Keep an answer, instead of the one before."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(home / _FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(answer), file)


def recall(home: Path) -> LastAnswer:
    """Return the answer kept. Raises Conflict when there is none."""
    try:
        return LastAnswer(**json.loads((home / _FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise Conflict("there is no answer to rate yet; ask first: thumbwheel ask TEXT") from error
