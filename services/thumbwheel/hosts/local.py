"""The embedded host: every gRPC door of one process on `grpc.aio` servers, with health, reflection and draining."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from thumbwheel.access.guard import Guard
from thumbwheel.config.settings import Serve
from thumbwheel.errors import InvalidConfig
from thumbwheel.hosts.calls import Entry
from thumbwheel.hosts.interceptors import CallInterceptor
from thumbwheel.records import Scope
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import RpcMetrics

PUBLIC = "public"
ADMIN = "admin"

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Registration:
    """A service to offer: its full name, what adds its servicer to a server, and behind which door it stands.

    `scope` is what a caller's API key has to be good for, where keys are asked for.
    """

    service: str
    add: Callable[[grpc.aio.Server], None]
    door: str = PUBLIC
    scope: Scope = Scope.ADMIN


class _Door:
    """One port and what stands behind it."""

    def __init__(self, name: str, prefix: str, host: str, port: int, services: Sequence[Registration]) -> None:
        self.name = name
        self.host_setting = f"{prefix}host"
        self.port_setting = f"{prefix}port"
        self.host = host
        self.port = port
        self.services = services
        self.health = health_aio.HealthServicer()
        self.server: grpc.aio.Server | None = None


class LocalHost:
    """Serves registrations until it is drained. A service starts as NOT_SERVING; see `set_serving`."""

    def __init__(
        self,
        settings: Serve,
        registrations: Sequence[Registration],
        metrics: RpcMetrics,
        tls: Callable[[], grpc.ServerCredentials] | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Offer `registrations` on the addresses of `settings`; without `tls`, which makes
        credentials for a port, in plain text.

        Without `guard` whoever reaches a door is answered.
        """
        self._settings = settings
        self._tls = tls
        self._guard = guard
        self._metrics = metrics
        places = {
            PUBLIC: ("serve.", settings.host, settings.port),
            ADMIN: ("serve.admin_", settings.admin_host, settings.admin_port),
        }
        self._doors = [
            _Door(name, *place, [one for one in registrations if one.door == name]) for name, place in places.items()
        ]
        self._doors = [door for door in self._doors if door.services]
        self._serving = {one.service: False for one in registrations}
        self._draining = False

    @property
    def ports(self) -> dict[str, int]:
        """The port of each door, as bound."""
        return {door.name: door.port for door in self._doors}

    @property
    def addresses(self) -> dict[str, str]:
        """Where each door is, `host:port`."""
        return {door.name: f"{door.host}:{door.port}" for door in self._doors}

    @property
    def draining(self) -> bool:
        """Whether the doors are closing, or closed."""
        return self._draining

    async def start(self) -> None:
        """Open the doors.

        Raises InvalidConfig, naming the setting, when a host is none of this machine's addresses, or a port is in
        use or may not be used.
        """
        for door in self._doors:
            _demand_own(door.host_setting, door.host)
        try:
            for door in self._doors:
                await self._open(door)
        except BaseException:
            await self._stop_servers(grace_s=0)
            raise
        logger.info("listening", **self.addresses)

    async def set_serving(self, service: str, serving: bool) -> None:
        """Tell health checks whether a service can answer; a door as a whole ("") can when all behind it can."""
        self._serving[service] = serving
        for door in self._doors:
            names = [one.service for one in door.services]
            if service in names:
                await door.health.set(service, serving_status(serving))
                await door.health.set("", serving_status(all(self._serving[name] for name in names)))

    async def drain(self) -> None:
        """Say NOT_SERVING, take no new calls, give those in flight `drain_s` seconds, then cut them off."""
        if self._draining:
            return
        self._draining = True
        for door in self._doors:
            await door.health.enter_graceful_shutdown()
        logger.info("draining", drain_s=self._settings.drain_s)
        await self._stop_servers(self._settings.drain_s)

    async def wait(self) -> None:
        """Return once the doors are closed."""
        await asyncio.gather(*(door.server.wait_for_termination() for door in self._doors if door.server))

    async def _open(self, door: _Door) -> None:
        names = [one.service for one in door.services]
        entries = {one.service: Entry(self._guard, one.scope) if self._guard else None for one in door.services}
        server = grpc.aio.server(
            interceptors=[CallInterceptor(entries, self._metrics)],
            options=_options(self._settings),
        )
        for one in door.services:
            one.add(server)
            await door.health.set(one.service, _NOT_SERVING)
        await door.health.set("", _NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(door.health, server)
        health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        reflection.enable_server_reflection([*names, health_name, reflection.SERVICE_NAME], server)
        door.port = self._bind(server, door)
        door.server = server
        await server.start()

    def _bind(self, server: grpc.aio.Server, door: _Door) -> int:
        address = f"{door.host}:{door.port}"
        try:
            _try_port(door.host, door.port)
            port = server.add_secure_port(address, self._tls()) if self._tls else server.add_insecure_port(address)
        except (OSError, RuntimeError) as error:
            raise _unusable(door.port_setting, address) from error
        if port == 0:
            raise _unusable(door.port_setting, address)
        return port

    async def _stop_servers(self, grace_s: float) -> None:
        await asyncio.gather(*(door.server.stop(grace_s) for door in self._doors if door.server))


def demand_ports(setting: str, host: str, ports: Mapping[str, int]) -> None:
    """Raise InvalidConfig unless each of `ports`, by its setting, can be had now at `host`, which is from `setting`.

    Opening the doors finds out too; this is for whoever wants to know before anything that takes long.
    """
    _demand_own(setting, host)
    for port_setting, port in ports.items():
        try:
            _try_port(host, port)
        except OSError as error:
            raise _unusable(port_setting, f"{host}:{port}") from error


def _demand_own(setting: str, host: str) -> None:
    """Raise InvalidConfig unless some port can be had at `host`: then a port that can't is the port's fault."""
    try:
        _try_port(host, 0)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a name"
        raise InvalidConfig(
            setting,
            f"{host!r} is no address of this machine ({reason}): use 127.0.0.1 for this machine only, 0.0.0.0 for all",
        ) from error


def _try_port(host: str, port: int) -> None:
    """Raise OSError if a port can't be had: gRPC would find out too, but print a line of its own about it."""
    [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def _options(settings: Serve) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        # Else a second process would share the port, and half of the calls would go to it.
        ("grpc.so_reuseport", 0),
    ]


def _unusable(setting: str, address: str) -> InvalidConfig:
    return InvalidConfig(
        setting,
        f"{address} is in use or may not be used: stop the other process, or choose another port (0 takes a free one)",
    )


def serving_status(serving: bool) -> health_pb2.HealthCheckResponse.ServingStatus:
    """Return how gRPC's health service says it."""
    return _SERVING if serving else _NOT_SERVING
