"""What a check of an installation has found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from thumbwheel.errors import ThumbwheelError


@dataclass(frozen=True, slots=True)
class Finding:
    """One check; `cure` is empty when all is well. A `warning` is of what works, and had better be otherwise."""

    check: str
    ok: bool
    found: str
    cure: str = ""
    warning: bool = False

    @property
    def level(self) -> str:
        """One of ok, warning, problem."""
        return ("warning" if self.warning else "ok") if self.ok else "problem"


def tried(check: str, look: Callable[[], str]) -> Finding:
    """Return what `look` says; an error's text tells the problem and, behind a semicolon, the cure."""
    try:
        return Finding(check, True, look())
    except ThumbwheelError as error:
        problem, _, cure = str(error).partition("; ")
        return Finding(check, False, problem, cure or "mend what was found")
    except KeyError:
        return Finding(check, False, "has no champion", "promote a version: thumbwheel promote")
