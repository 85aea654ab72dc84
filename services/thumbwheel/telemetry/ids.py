"""Correlation ids: one for each call, in every line it logs and in the answer to a failed call."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.contextvars import bound_contextvars, get_contextvars

_NAME = "correlation_id"
_BYTES = 8


def new_correlation_id() -> str:
    """Return 16 random hexadecimal digits."""
    return secrets.token_hex(_BYTES)


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Put the id into every line logged inside the `with` block, by this task or thread."""
    with bound_contextvars(**{_NAME: correlation_id}):
        yield


def correlation_id() -> str:
    """Return the id of the call that is being handled; empty outside of one."""
    return str(get_contextvars().get(_NAME, ""))
