"""The last answer that `ask` got, kept so that `vote` can rate it. Readable by its owner only: it holds a token."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from thumbwheel.errors import Conflict

_FILE = "last_answer.json"
_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """What it takes to rate an answer, and to say which one was rated."""

    response_id: str
    token: str
    user: str
    policy: str
    version: str
    shown: str = ""

    def __str__(self) -> str:
        """Say which answer this is; of one that was got elsewhere only the id is known."""
        if not self.version:
            return f"answer {self.response_id}"
        return f"{json.dumps(_short(self.shown), ensure_ascii=False)} of {self.policy} {self.version}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else line[: _SHOWN_CHARS - 1].rstrip() + "…"


def remember(home: Path, answer: LastAnswer) -> None:
    """Keep an answer, instead of the one before. Raises OSError when the home can't be written."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(home / _FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(answer), file)


def forget(home: Path) -> None:
    """Keep no answer any more. Raises OSError when the home can't be written."""
    (home / _FILE).unlink(missing_ok=True)


def recall(home: Path) -> LastAnswer:
    """Return the answer kept. Raises Conflict when there is none."""
    try:
        return LastAnswer(**json.loads((home / _FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise Conflict("there is no answer to rate yet; ask first: thumbwheel ask TEXT") from error
