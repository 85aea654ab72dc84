"""What runs apart from `up` shares its log with the others."""

from __future__ import annotations

from thumbwheel.config.settings import Settings
from thumbwheel.errors import InvalidConfig


def demand_shared_log(settings: Settings, command: str) -> None:
    """Refuse a process of its own where the log is a file that `up` owns. Raises InvalidConfig."""
    if not settings.log.is_shared:
        raise InvalidConfig(
            "log.kind",
            f"`thumbwheel {command}` works with Kafka, which separate processes share; the embedded log is a file that "
            "`thumbwheel up` writes and reads alone: start that, or set log.kind to kafka",
        )
