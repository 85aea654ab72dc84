"""The secret keys of a service that is one process: made at its first start, and never while others' are in use."""

from __future__ import annotations

from contextlib import closing

from thumbwheel.app.storage import open_kafka
from thumbwheel.bus.key_topic import oldest_key
from thumbwheel.config.settings import Settings
from thumbwheel.errors import InvalidConfig, LogUnavailable
from thumbwheel.feedback.keys import Keys, load_or_make_keys


def keys_of_whole_service(settings: Settings, now_us: int) -> Keys:
    """Read the keys, or make them where nothing is kept under others: with Kafka its topic of keys is looked at.

    Raises:
        InvalidConfig: the key file can't be used; or it is missing, and Kafka has users' keys wrapped under it.
        LogUnavailable: it is missing, and Kafka can't be asked.
    """
    if settings.log.is_shared and not settings.keys_path.exists():
        _demand_new(settings)
    return load_or_make_keys(settings.keys_path, now_us)


def _demand_new(settings: Settings) -> None:
    """Raise InvalidConfig where Kafka has keys of users, LogUnavailable where that can't be seen."""
    with closing(open_kafka(settings)) as log:
        try:
            oldest = oldest_key(log)
        except LogUnavailable as error:
            said = (
                f"feedback.keys_file: {settings.keys_path} is not there, and whether Kafka has users' keys under an "
                f"earlier one can't be seen ({error}); restore it, or for a new service run `thumbwheel keys create`"
            )
            raise LogUnavailable(said, error.retry_after_s) from error
    if oldest is not None:
        raise InvalidConfig(
            "feedback.keys_file",
            f"{settings.keys_path} is not there, and users' events in Kafka are sealed under the one that the service "
            "had; restore that, or choose another kafka.topic_prefix",
        )
