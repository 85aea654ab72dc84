"""How clients reach a service: options of the channel, TLS and the API key, which all clients share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from thumbwheel.errors import InvalidInput

MAX_MESSAGE_BYTES = 64 << 20

# Reconnect within tenths of a second: a service that restarts is back before gRPC's usual pause of a second. What gRPC
# calls the least backoff is how long a connection may take to be made, its handshake included, and no pause.
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
)

DEFAULT_TIMEOUT_S = 30.0
DEFAULT_STREAM_TIMEOUT_S = 120.0

Options = tuple[tuple[str, int | str], ...]


@dataclass(frozen=True, slots=True)
class Tls:
    """By what certificates a client knows the service, and the service the client. Files are PEM.

    `ca_file`: authorities that are believed; without it those that gRPC brings. `certificate_file` and `key_file`: what
    is shown to a service that asks clients for one. `server_name`: the name that the service's certificate is for,
    where that is not the host of the address.
    """

    ca_file: str | Path | None = None
    certificate_file: str | Path | None = None
    key_file: str | Path | None = None
    server_name: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files. Raises InvalidInput, naming the field, when one can't be read, or is missing of a pair."""
        if (self.certificate_file is None) != (self.key_file is None):
            raise InvalidInput("tls.certificate_file", "goes with key_file; give both, or neither")
        return grpc.ssl_channel_credentials(
            _read("tls.ca_file", self.ca_file),
            _read("tls.key_file", self.key_file),
            _read("tls.certificate_file", self.certificate_file),
        )

    def options(self) -> Options:
        """Return the options that a channel needs besides."""
        return (("grpc.ssl_target_name_override", self.server_name),) if self.server_name else ()


def open_channel(
    module: Any, target: str, credentials: grpc.ChannelCredentials | None, tls: Tls | None, api_key: str
) -> Any:
    """Open a channel of `grpc` or `grpc.aio`, whichever `module` is; with neither credentials nor TLS it is plain.

    Raises InvalidInput when a file can't be read, or the key is no text that a header can carry.
    """
    options: Options = OPTIONS
    if tls is not None:
        credentials, options = credentials or tls.credentials(), OPTIONS + tls.options()
    secure = partial(module.secure_channel, target, credentials)
    channel = secure(options) if credentials is not None else module.insecure_channel(target, options)
    return _Keyed(channel, api_key) if api_key else channel


class _Keyed:
    """A channel whose every call carries the API key."""

    def __init__(self, channel: Any, api_key: str) -> None:
        if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
            raise InvalidInput("api_key", "is no API key; give it as `thumbwheel keys create` showed it")
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {api_key}"),)
        self.close = channel.close

    def unary_unary(self, *args: Any, **named: Any) -> Callable[..., Any]:
        """Return the method that is answered once."""
        return partial(self._channel.unary_unary(*args, **named), metadata=self._metadata)

    def unary_stream(self, *args: Any, **named: Any) -> Callable[..., Any]:
        """Return the method that is answered by messages."""
        return partial(self._channel.unary_stream(*args, **named), metadata=self._metadata)


def _read(field: str, file: str | Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise InvalidInput(field, f"{file} can't be read ({error.strerror}); mend its path or its rights") from error
    if b"-----BEGIN " not in content:
        raise InvalidInput(field, f"{file} is not in PEM form; name the file that begins with -----BEGIN")
    return content
