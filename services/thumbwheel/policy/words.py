"""A text's words, as `tag` policies see them: one splitter for serving, for learning and for who writes data.

Near to the word boundaries of Unicode Standard Annex 29, with two differences: characters of Chinese and Japanese,
which are written without blanks, stand one each (a model finds the words, by `B-` and `I-`), and every sign is a word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# First and last code point of the blocks whose characters stand alone: Chinese characters with their extensions,
# compatibility forms and iteration mark, Hiragana, Katakana, Bopomofo. Hangul is written with blanks and is not here.
_ALONE: Final = (
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x3105, 0x312F),
    (0x31A0, 0x31BF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D),
    (0x20000, 0x3FFFD),
)
# What holds a word together: between letters ("don't", "l’eau"), between digits ("3.14", "1,000").
_IN_WORDS: Final = frozenset("'’")
_IN_NUMBERS: Final = frozenset(".,")
_JOINER: Final = "\u200d"


@dataclass(frozen=True, slots=True)
class Word:
    """A word, and where it stands: code points `start` to `end` (exclusive) of the text."""

    text: str
    start: int
    end: int


def split_words(text: str) -> tuple[Word, ...]:
    """The words of `text` in order; blanks and control characters are of none. Empty for a text of nothing else.

    A run of letters, digits and underscores is a word, with the marks on them; so is every other sign.
    """
    words: list[Word] = []
    at = 0
    while at < len(text):
        end = _end_of_word(text, at)
        if end > at:
            words.append(Word(text[at:end], at, end))
        at = max(end, at + 1)
    return tuple(words)


def joined_words(tokens: Sequence[str]) -> tuple[str, tuple[Word, ...]]:
    """Words that somebody else has split, as a text with single blanks between them, and where each stands in it."""
    words, at = [], 0
    for token in tokens:
        words.append(Word(token, at, at + len(token)))
        at += len(token) + 1
    return " ".join(tokens), tuple(words)


def _end_of_word(text: str, at: int) -> int:
    """One past the word that begins at `at`; `at` itself where none does."""
    first = text[at]
    if _is_nothing(first):
        return at
    if _is_alone(first) or not _is_of_word(first):
        return _past_marks(text, at + 1)
    end = at + 1
    while end < len(text) and (_continues(text[end]) or _holds_together(text, end)):
        end += 1
    return end


def _past_marks(text: str, at: int) -> int:
    """Past the marks on a sign, and past what joiners bind to it: an emoji of several signs is one word."""
    while at < len(text):
        if text[at] == _JOINER and at + 1 < len(text) and not _is_nothing(text[at + 1]):
            at += 2
        elif unicodedata.category(text[at])[0] == "M":
            at += 1
        else:
            break
    return at


def _is_nothing(sign: str) -> bool:
    return sign.isspace() or unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")


def _is_alone(sign: str) -> bool:
    code = ord(sign)
    return code >= _ALONE[0][0] and any(first <= code <= last for first, last in _ALONE)


def _is_of_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


def _continues(sign: str) -> bool:
    if _is_of_word(sign):
        return not _is_alone(sign)
    return unicodedata.category(sign)[0] == "M"


def _holds_together(text: str, at: int) -> bool:
    """Whether the sign at `at` binds what stands on both its sides into one word."""
    if at + 1 >= len(text):
        return False
    before, sign, after = text[at - 1], text[at], text[at + 1]
    if sign in _IN_WORDS:
        return before.isalpha() and after.isalpha() and not _is_alone(after)
    return sign in _IN_NUMBERS and before.isdigit() and after.isdigit()
