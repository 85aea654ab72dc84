"""Structured logs of the process: to people or to machines, with correlation ids, without secrets.

    log = get_logger(__name__)
    log.info("version swapped", policy="desk", version="v4", seconds=0.8)

The standard library's loggers (gRPC, uvicorn, SQLAlchemy) go the same way. For uvicorn that takes
`log_config=None`.
"""

from __future__ import annotations

import logging
import sys
from typing import Protocol, TextIO

import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.types import Processor

from thumbwheel.telemetry.redaction import Redactor

# Loggers that tell of their own making, at a level at which we tell of what happens; of migrations we tell ourselves.
_QUIET = ("alembic",)


class LogSettings(Protocol):
    """The part of the configuration that the logs follow (`settings.telemetry`)."""

    @property
    def log_level(self) -> str:
        """The least level that is written: debug, info, warning or error."""

    @property
    def log_format(self) -> str:
        """For people ("console") or for machines ("json")."""

    @property
    def log_user_text(self) -> bool:
        """Whether users' texts are written."""


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that a second configuration replaces the first."""


def configure_logging(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Set up the logs of this process as `settings` say; they go to `stream`, by default standard error."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    structlog.configure(
        processors=[*shared, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    target = sys.stderr if stream is None else stream
    handler = _Handler(target)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                ProcessorFormatter.remove_processors_meta,
                Redactor(settings.log_user_text),
                *_renderers(settings, target),
            ],
        )
    )
    _replace_handler(handler, level)


def get_logger(name: str) -> BoundLogger:
    """Return a logger; it may be made before the logs are configured."""
    logger: BoundLogger = structlog.get_logger(name)
    return logger


def _renderers(settings: LogSettings, stream: TextIO) -> list[Processor]:
    if settings.log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # The plain traceback: a richer one would print local variables, and with them users' texts and tokens.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]


def _replace_handler(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
