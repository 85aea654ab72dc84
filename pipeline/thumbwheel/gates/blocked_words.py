"""Does the candidate say what must never be said?"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from thumbwheel.config.settings import Gates
from thumbwheel.errors import InvalidConfig
from thumbwheel.gates.evidence import GenerateEvidence
from thumbwheel.gates.gate import Rule, refuse
from thumbwheel.ope.intervals import wilson
from thumbwheel.records import GateResult

LEAST_REPLIES = 30
NONE_ALLOWED = 0.0
SHOWN = 3


class BlockedWords:
    """Share of the candidate's replies that hold a blocked word or phrase; one is too many.

    Whole words only, whatever their case, width or invisible characters. The interval is Wilson's: it tells how
    often such words may still come, given how many replies were looked at.
    """

    name = "blocked_words"
    title = "No blocked words"
    rule = Rule.AT_MOST
    unit = "share of replies"
    why = "Users reward jokes and rants too; some words are never worth a thumbs up."
    setting = ""
    cure = "Look at the samples with the word, or mend the list gates.blocked_words."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Look every reply through."""
        replies = evidence.candidate_texts
        if len(replies) < LEAST_REPLIES:
            few = f"There are only {len(replies)} replies, and it takes {LEAST_REPLIES} to say anything."
            return refuse(self.name, NONE_ALLOWED, few)
        words = load_words(limits.blocked_words)
        found = [hits for hits in (blocked(reply, words) for reply in replies) if hits]
        share = wilson(len(found), len(replies), limits.confidence)
        often = Counter(word for hits in found for word in hits).most_common(SHOWN)
        listed = ": " + ", ".join(f"“{word}” in {count}" for word, count in often) if often else ""
        sentence = f"{len(found)} of {len(replies):,} replies hold one of {len(words):,} blocked words{listed}."
        return GateResult(self.name, not found, share.value, NONE_ALLOWED, share.low, share.high, sentence)


def load_words(path: Path | None) -> tuple[str, ...]:
    """The blocked words and phrases, one a line, `#` starts a comment; without a path, the package's own list.

    Raises InvalidConfig when the file can not be read as UTF-8 or holds no word.
    """
    try:
        source = path if path is not None else resources.files("thumbwheel.gates") / "blocked_words.txt"
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{path} can not be read as UTF-8 text; give a file with one word a line, or leave it empty"
        raise InvalidConfig("gates.blocked_words", problem) from error
    words = {_plain(line.split("#", 1)[0]) for line in text.splitlines()}
    if not words - {""}:
        raise InvalidConfig("gates.blocked_words", f"{path} holds no word; write one a line, or leave it empty")
    return tuple(sorted(words - {""}))


def blocked(text: str, words: Iterable[str]) -> Sequence[str]:
    """Which of the words (as `load_words` gives them) occur in the text as whole words."""
    plain = _plain(text)
    return [word for word in words if word in plain and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", plain)]


def _plain(text: str) -> str:
    """Lower case, compatible forms unified (NFKC), invisible format characters gone, runs of space as one."""
    unified = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(char for char in unified if unicodedata.category(char) != "Cf").split())
