"""From tokens, as they come, to text that can be shown: whole characters, outer blanks off, cut at a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_INCOMPLETE = "\ufffd"


class TextStream:
    """The text of one answer as it grows. What was taken is never changed by what follows."""

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        """Use `decode` (ids to text, control tokens left out); cut before the first of the `stop` strings."""
        self._decode = decode
        self._stop = tuple(stop)
        self._ids: list[int] = []
        # Tokens before `_window` no longer influence later text; those before `_read` are in `_text`.
        self._window = 0
        self._read = 0
        self._text = ""
        self._start = 0
        self._taken = 0
        self.stopped = False

    @property
    def taken(self) -> str:
        """All text taken so far."""
        return self._text[self._start : self._taken]

    def push(self, token_ids: Sequence[int]) -> int | None:
        """Add tokens. Return how many of them complete a stop string, before which the text then ends; else None."""
        if not self._stop:
            self._ids.extend(token_ids)
            self._extend()
            return None
        for count, token_id in enumerate(token_ids, start=1):
            self._ids.append(token_id)
            self._extend()
            if self.stopped:
                return count
        return None

    def take(self, final: bool = False) -> str:
        """Return the text that is new and certain; with `final` or after a stop string, all that is left."""
        end = len(self._text) if final or self.stopped else len(self._text) - self._held()
        if self._taken == self._start:
            self._start = self._taken = len(self._text) - len(self._text.lstrip())
        # Blanks at the end are held back: if nothing follows they are not part of the answer.
        delta = self._text[self._taken : max(end, self._taken)].rstrip()
        self._taken += len(delta)
        return delta

    def finish(self) -> str:
        """Return what is left when no token will follow, an unfinished character included."""
        if not self.stopped:
            self._extend(final=True)
        return self.take(final=True)

    def _extend(self, final: bool = False) -> None:
        """Read as many of the unread tokens as make whole characters; with `final`, all."""
        known = self._decode(self._ids[self._window : self._read])
        for end in range(len(self._ids), self._read, -1):
            text = self._decode(self._ids[self._window : end])
            if final or not text.endswith(_INCOMPLETE):
                break
        else:
            return
        if len(text) <= len(known):
            return
        start = len(self._text)
        self._text += text[len(known) :]
        self._window, self._read = self._read, end
        self._cut(start)

    def _cut(self, start: int) -> None:
        """Look for stop strings that end in the text from `start` on; cut at the one that begins first."""
        found = [self._text.find(stop, max(0, start - len(stop) + 1)) for stop in self._stop]
        hits = [index for index in found if index >= 0]
        if hits:
            self._text = self._text[: min(hits)]
            self.stopped = True

    def _held(self) -> int:
        """How many characters at the end may be the beginning of a stop string."""
        lengths = (
            length
            for stop in self._stop
            for length in range(min(len(stop) - 1, len(self._text)), 0, -1)
            if self._text.endswith(stop[:length])
        )
        return max(lengths, default=0)
