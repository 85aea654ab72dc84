"""What never gets into a log: secrets, and, unless asked for, what users wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from structlog.typing import EventDict, WrappedLogger

SECRET_WORDS = ("token", "secret", "password", "passwd", "authorization", "api_key", "apikey", "user_key", "cookie")
COUNT_WORDS = ("tokens", "new_tokens", "token_ids")
USER_ID_KEYS = frozenset({"user", "user_id"})
USER_TEXT_KEYS = frozenset(
    {"text", "prompt", "messages", "content", "comment", "completion", "output", "input", "edit"}
)
_HIDDEN = "(hidden)"
_MAX_DEPTH = 6


class Redactor:
    """A structlog processor that replaces values by the name of their key, at any depth."""

    def __init__(self, log_user_text: bool) -> None:
        """Let users' texts through only with `log_user_text`; secrets and user ids never."""
        self._log_user_text = log_user_text

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Return the event without what must not be written."""
        return {key: self._clean(key, value, 0) for key, value in event.items()}

    def _clean(self, key: str, value: object, depth: int) -> Any:
        name = key.lower()
        if is_secret(name) or name in USER_ID_KEYS:
            return _HIDDEN if value else value
        if name in USER_TEXT_KEYS and not self._log_user_text:
            return _measure(value)
        return self._inside(key, value, depth)

    def _inside(self, key: str, value: object, depth: int) -> object:
        if not isinstance(value, Mapping | list | tuple):
            return value
        if depth >= _MAX_DEPTH:
            return _HIDDEN
        if isinstance(value, Mapping):
            return {str(name): self._clean(str(name), inner, depth + 1) for name, inner in value.items()}
        return [self._inside(key, inner, depth + 1) for inner in value]


def is_secret(name: str) -> bool:
    """Tell whether a key's value is a secret, judged by its name; numbers of tokens are none."""
    return any(word in name for word in SECRET_WORDS) and not name.endswith(COUNT_WORDS)


def _measure(value: object) -> object:
    """Say how long a user's text is instead of what it says."""
    if isinstance(value, str):
        return f"({len(value)} characters)"
    if isinstance(value, list | tuple | Mapping):
        return f"({len(value)} items)"
    return _HIDDEN if value is not None else None
