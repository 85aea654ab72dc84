"""The error tree. Raised anywhere, mapped once to a gRPC status (`hosts/status.py`) and to an exit code (`cli/`).

    ThumbwheelError                      gRPC status            a caller should
    ├── InvalidInput                     INVALID_ARGUMENT       mend the named field
    │   ├── InvalidConfig
    │   └── InvalidData                                         mend the named lines
    │       └── PoisonRecord                                    look at it among the dead letters
    ├── NotFound                         NOT_FOUND              use a name that exists
    │   ├── UnknownPolicy
    │   ├── UnknownVersion
    │   ├── UnknownRun
    │   └── NothingToRetract
    ├── TokenMissing                     UNAUTHENTICATED        send the token that came with the answer
    ├── TokenRefused                     PERMISSION_DENIED      rate only answers it received itself
    ├── KeyRefused                       UNAUTHENTICATED        send an API key that is good
    ├── ScopeMissing                     PERMISSION_DENIED      use a key that is good for this
    ├── AlreadyExists                    ALREADY_EXISTS         choose a new id
    ├── Conflict                         FAILED_PRECONDITION    change the state first
    │   ├── HomeInUse
    │   ├── SchemaMismatch
    │   ├── AlreadyMoved                                        go on where it was moved to
    │   ├── RunInProgress
    │   ├── Fenced                                              stop: another worker took over
    │   └── Unlearnable                                         look at the votes, the champion, the settings
    │       └── NotEnoughData                                   collect more feedback
    ├── Overloaded                       RESOURCE_EXHAUSTED     retry after the hint
    ├── Unavailable                      UNAVAILABLE            retry after the hint
    │   ├── LogUnavailable
    │   └── Unreachable                                         start the service, or mend the address
    ├── DeadlineMissed                   DEADLINE_EXCEEDED      allow more time
    └── DamagedArtifact                  DATA_LOSS              restore the artifact, or promote another version
        └── UnservableVersion                                   begin with a model of another type

Anything else is a defect: it reaches the caller as INTERNAL with a correlation id, never with its text.
"""

from collections.abc import Sequence
from typing import Self


class ThumbwheelError(Exception):
    """Base of all errors meant for the caller. `str(error)` is safe to show: no secrets, no user text."""


class InvalidInput(ThumbwheelError):
    """A field is wrong. `field` is its path as the caller wrote it, for example `sampling.temperature`."""

    def __init__(self, field: str, problem: str) -> None:
        """Name the `field`, and in `problem` the limit and the cure."""
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """Pickled as it was made: it may have to cross processes."""
        return type(self), (self.field, self.problem)


class InvalidConfig(InvalidInput):
    """A configuration value is unknown or out of range."""


class InvalidData(InvalidInput):
    """A data file has bad lines; the message names the first of them by number."""


class PoisonRecord(InvalidData):
    """A record of the log can not be used: no event, or one that contradicts itself or what is stored."""


class NotFound(ThumbwheelError):
    """Something named does not exist; the message names what does."""


class UnknownPolicy(NotFound):
    """No policy of that name (and kind) is served."""

    @classmethod
    def among(cls, policy: str, there: Sequence[str]) -> Self:
        """Return the error that names the policies that are there."""
        none = "there are none yet: make one with `thumbwheel policy init`"
        named = f"there are: {', '.join(there)}" if there else none
        return cls(f"policy: there is no {policy!r}; {named}")


class UnknownVersion(NotFound):
    """The policy has no such version."""


class UnknownRun(NotFound):
    """There is no such run."""


class NothingToRetract(NotFound):
    """This rater never gave a vote of that kind on that answer."""


class TokenMissing(ThumbwheelError):
    """Feedback came without a token."""


class TokenRefused(ThumbwheelError):
    """A feedback token is forged, expired, or belongs to another answer or user."""


class KeyRefused(ThumbwheelError):
    """A call came without an API key, or with none that is good."""


class ScopeMissing(ThumbwheelError):
    """The API key is good, but not for this."""


class AlreadyExists(ThumbwheelError):
    """An id is taken by something else."""


class Conflict(ThumbwheelError):
    """The state does not allow it now."""


class HomeInUse(Conflict):
    """Another process runs on the same home folder."""


class SchemaMismatch(Conflict):
    """The database has a schema that this version can not use."""


class AlreadyMoved(Conflict):
    """What is asked for was moved to another place; the message says how to go on."""


class RunInProgress(Conflict):
    """One run at a time."""


class Fenced(Conflict):
    """Another worker has taken over; what was being written was not written."""


class Unlearnable(Conflict):
    """A run can learn nothing from what it was given; the message says why. It ends with a verdict: no."""


class NotEnoughData(Unlearnable):
    """Too few votes to learn from; the message says how many there are and how many it takes."""


class _Retryable(ThumbwheelError):
    """May succeed when tried again after `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        """Tell what happened and after how many seconds another try makes sense."""
        super().__init__(message)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type[Self], tuple[str, float]]:
        """Pickled as it was made: it may have to cross processes."""
        return type(self), (str(self), self.retry_after_s)


class Overloaded(_Retryable):
    """A bounded queue is full."""


class Unavailable(_Retryable):
    """A part is away."""


class LogUnavailable(Unavailable):
    """The event log can not take the event (disk full, read-only, outbox full): nothing was acknowledged."""


class Unreachable(Unavailable):
    """No service answered at all; raised by clients only."""


class DeadlineMissed(ThumbwheelError):
    """The caller's deadline passed before the answer was there."""


class DamagedArtifact(ThumbwheelError):
    """A version's files do not match its manifest, or can not be read."""


class UnservableVersion(DamagedArtifact):
    """A version's files are what they were, but this service can not compute with them; trying again never helps."""
