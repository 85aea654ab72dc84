"""What every client of Kafka shares: how it connects, how it is made without leaks, what its errors mean here."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Generic, TypeVar

from kafka.admin import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    UnknownTopicOrPartitionError,
)
from kafka.net.compat import KafkaNetClient

from thumbwheel.bus.port import DEAD_LETTERS, TOPICS, USER_KEYS
from thumbwheel.config.settings import Kafka
from thumbwheel.errors import InvalidConfig, LogUnavailable

RETRY_S = 1.0
_RECONNECT_MAX_MS = 1_000

_Client = TypeVar("_Client")
_Thing = TypeVar("_Thing")


def topic_names(settings: Kafka) -> dict[str, str]:
    """Return the name at the broker of each topic."""
    return {topic: settings.topic_prefix + topic for topic in (*TOPICS, DEAD_LETTERS, USER_KEYS)}


def client_options(settings: Kafka) -> dict[str, Any]:
    """Return what producers, consumers and administrators have in common.

    Raises:
        InvalidConfig: the password can not be read, or kafka-python lacks its fast checksums.
    """
    if find_spec("crc32c") is None:
        raise InvalidConfig("kafka", "checksums would be computed in Python, 15 times slower; install crc32c")
    options: dict[str, Any] = {
        "bootstrap_servers": [one.strip() for one in settings.bootstrap_servers.split(",")],
        "security_protocol": settings.security_protocol,
        "bootstrap_timeout_ms": milliseconds(settings.request_timeout_s),
        "request_timeout_ms": milliseconds(settings.request_timeout_s),
        "reconnect_backoff_max_ms": _RECONNECT_MAX_MS,
    }
    if settings.security_protocol.endswith("SSL") and settings.ca_file:
        options["ssl_cafile"] = str(settings.ca_file)
    if settings.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_user
        options["sasl_plain_password"] = _password(settings)
    return options


def make_client(kind: Callable[..., _Client], options: dict[str, Any]) -> _Client:
    """Make a client; where its constructor fails, end the I/O thread that it leaves behind.

    Raises:
        LogUnavailable: no broker answered in time, or none let us in.
    """
    _quieten()
    made: list[KafkaNetClient] = []

    def network(**configs: Any) -> KafkaNetClient:
        made.append(KafkaNetClient(**configs))
        return made[-1]

    try:
        with translated(",".join(options["bootstrap_servers"])):
            return kind(kafka_client=network, **options)
    except BaseException:
        for one in made:
            one.close()
        raise


@contextmanager
def administrator(settings: Kafka) -> Iterator[KafkaAdminClient]:
    """Connect to look at the cluster, or to change it, while the block runs. Raises LogUnavailable."""
    with closing(make_client(KafkaAdminClient, client_options(settings))) as admin:
        yield admin


class Kept(Generic[_Thing]):
    """Something made when first needed and made anew after it failed, a second later at the soonest.

    Several threads may use it at once. One that failed is ended when the last of them has left it: what the others
    have under way comes to an end of its own.
    """

    def __init__(self, make: Callable[[], _Thing], end: Callable[[_Thing], None]) -> None:
        """`make` makes one and may raise LogUnavailable, `end` ends one."""
        self._make = make
        self._end = end
        self._use: _Use[_Thing] | None = None
        self._not_before = 0.0
        self._problem = ""
        self._lock = threading.Lock()

    @contextmanager
    def using(self) -> Iterator[_Thing]:
        """Lend it to the block. It has failed, and is not lent again, if the block raises LogUnavailable.

        Raises LogUnavailable, too, when none can be made.
        """
        use = self._enter()
        try:
            yield use.thing
        except LogUnavailable as error:
            self._retire(use, error)
            raise
        finally:
            self._leave(use)

    def close(self) -> None:
        """Let what there is be ended by its last user, now if it has none."""
        with self._lock:
            use, self._use = self._use, None
            if use is None or use.users:
                return
        self._end(use.thing)

    def _enter(self) -> _Use[_Thing]:
        with self._lock:
            if self._use is None:
                if time.monotonic() < self._not_before:
                    raise LogUnavailable(f"{self._problem} (a moment ago)", RETRY_S)
                try:
                    self._use = _Use(self._make())
                except LogUnavailable as error:
                    self._failed(error)
                    raise
            self._use.users += 1
            return self._use

    def _retire(self, use: _Use[_Thing], error: LogUnavailable) -> None:
        with self._lock:
            if self._use is use:  # else another thread was quicker
                self._use = None
                self._failed(error)

    def _failed(self, error: LogUnavailable) -> None:
        self._problem = str(error)
        self._not_before = time.monotonic() + RETRY_S

    def _leave(self, use: _Use[_Thing]) -> None:
        with self._lock:
            use.users -= 1
            if use.users or self._use is use:
                return
        self._end(use.thing)


@dataclass
class _Use(Generic[_Thing]):
    """A thing, and how many use it now."""

    thing: _Thing
    users: int = 0


@contextmanager
def translated(servers: str) -> Iterator[None]:
    """Turn kafka-python's errors into `LogUnavailable`, with where the brokers are (`servers`) and what to do."""
    try:
        yield
    except KafkaError as error:
        raise unavailable(servers, _cause(error)) from error


def unavailable(servers: str, why: str) -> LogUnavailable:
    """Return the error that says where Kafka was looked for, which is no secret."""
    return LogUnavailable(f"Kafka is unavailable at {servers}: {why}", RETRY_S)


def _quieten() -> None:
    """Keep kafka-python from logging every attempt in several lines; unless somebody has asked to see them."""
    library = logging.getLogger("kafka")
    if library.level == logging.NOTSET:
        library.setLevel(logging.CRITICAL)


def milliseconds(seconds: float) -> int:
    """Return `seconds` in the unit that kafka-python counts in."""
    return round(seconds * 1_000)


def _cause(error: KafkaError) -> str:
    if isinstance(error, UnknownTopicOrPartitionError):
        return "a topic is missing; `thumbwheel topics create` makes it"
    if isinstance(error, AuthorizationError):
        return f"it does not allow kafka.sasl_user to do that ({type(error).__name__})"
    if isinstance(error, MessageSizeTooLargeError):
        return "a topic's max.message.bytes is smaller than kafka.max_record_bytes; `thumbwheel doctor` says which"
    if isinstance(error, InvalidTimestampError):
        return "this machine's clock is far from the cluster's; set it (NTP)"
    # A wrong password looks like a broker that is away: clients try again until their time is up, and say only that.
    return (
        f"{type(error).__name__}; see that the brokers of kafka.bootstrap_servers run and can be reached, and that "
        "kafka.security_protocol, kafka.ca_file, kafka.sasl_user and the password are right"
    )


def _password(settings: Kafka) -> str:
    assert settings.sasl_password_file is not None  # Settings demand it
    try:
        return settings.sasl_password_file.read_text().strip()
    except OSError as error:
        raise InvalidConfig("kafka.sasl_password_file", f"can not be read: {error.strerror}") from error
