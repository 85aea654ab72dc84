"""How clients reach a service: options of the channel that both clients share."""

from __future__ import annotations

MAX_MESSAGE_BYTES = 64 << 20

# Reconnect within tenths of a second: a service that restarts is back before gRPC's usual pause of a second.
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
)

DEFAULT_TIMEOUT_S = 30.0
DEFAULT_STREAM_TIMEOUT_S = 120.0
