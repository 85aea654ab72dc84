"""Who a call is of, for as long as it is answered."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from thumbwheel.records import Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """The key that a call came with; of the process's own pages `name` is empty."""

    name: str
    scopes: frozenset[Scope]


_current: ContextVar[Caller | None] = ContextVar("caller", default=None)


def enter(caller: Caller | None) -> None:
    """Note whose call this task answers from now on; None where no keys are asked for."""
    _current.set(caller)


def signed(actor: str) -> str:
    """Return who does something, for the audit trail: before the name that was given stands the key that it came by.

    A caller says of itself what it likes, but what stands first is sure. The process's own pages are trusted to have
    put it there.
    """
    caller = _current.get()
    return f"key {caller.name}: {actor}" if caller and caller.name else actor
