"""Putting a streamed answer together: the same for the blocking and the asyncio client."""

from __future__ import annotations

from dataclasses import dataclass, field

from thumbwheel.client.answers import Candidate, Generation, R, Receipt, Sender, finish_reason
from thumbwheel.errors import Unavailable
from thumbwheel.inference.v1 import inference_pb2 as inf

_RETRY_S = 1.0


class Delta(str):
    """A piece of text as it was made. `candidate` says which candidate it belongs to."""

    __slots__ = ("candidate",)
    candidate: int

    @classmethod
    def of(cls, text: str, candidate: int) -> Delta:
        """Make a piece of a candidate's text."""
        delta = cls(text)
        delta.candidate = candidate
        return delta


@dataclass
class _Growing:
    """A candidate on its way."""

    stamp: inf.Stamp = field(default_factory=inf.Stamp)
    pieces: list[str] = field(default_factory=list)
    last: inf.StreamGenerateResponse | None = None


class Assembly:
    """Collects the messages of a stream."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._growing: dict[int, _Growing] = {}

    @property
    def started(self) -> bool:
        """Whether anything has come yet."""
        return bool(self._growing)

    def add(self, message: inf.StreamGenerateResponse) -> Delta | None:
        """Take a message in and return its piece of text, if it has one."""
        growing = self._growing.setdefault(message.candidate, _Growing())
        if message.HasField("stamp"):
            growing.stamp = message.stamp
        if message.finish_reason:
            growing.last = message
        if not message.text_delta:
            return None
        growing.pieces.append(message.text_delta)
        return Delta.of(message.text_delta, message.candidate)

    def finish(self, user: str, sender: Sender[R]) -> Generation[R]:
        """Return the whole answer. Raises Unavailable when the stream ended before a candidate did."""
        return Generation(tuple(_candidate(self._growing[key], user, sender) for key in sorted(self._growing)))


def _candidate(growing: _Growing, user: str, sender: Sender[R]) -> Candidate[R]:
    last = growing.last
    if last is None:
        raise Unavailable("the stream ended before the answer did; ask again", _RETRY_S)
    return Candidate(
        Receipt.from_stamp(growing.stamp),
        user,
        sender,
        "".join(growing.pieces),
        finish_reason(last.finish_reason),
        last.prompt_tokens,
        last.completion_tokens,
    )
