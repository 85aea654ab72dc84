"""Ray itself: begun on this machine's loopback or joined, the deployment on it, and its end.

Ray reads much of how it behaves from the environment, before it is imported and in each process it starts: what it
needs is set here, and travels to the nodes of a cluster that is joined.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from thumbwheel.config.settings import Settings
from thumbwheel.errors import InvalidConfig, Unavailable
from thumbwheel.hosts.loopback import is_loopback
from thumbwheel.hosts.ray import replica_ports, services
from thumbwheel.hosts.ray.node import Node
from thumbwheel.hosts.ray.open_ports import open_ports
from thumbwheel.hosts.ray.replica_ports import held_ports
from thumbwheel.hosts.ray.workers import DOOR_HOST, HOOK
from thumbwheel.telemetry.logging import get_logger

APPLICATION = "thumbwheel"

_DEREGISTER_S = 2  # how long a replica that ends is still reachable, until HAProxy has heard of it
_DOOR_S = 120.0
_EVERY = ("0.0.0.0", "::", "[::]")
_LOOK_S = 0.2
_ORPHANS_S = 120.0  # what a killed service had of Ray was seen to live for 71 s more
_REPORT_CHARS = 160
_CLOSE_S = 15.0  # for a replica to ship its outbox and free its models
_COUNT_S = 1.0  # how often replicas say how many requests they have in hand
_STORE_BYTES = 100 << 20  # nothing of ours goes through Ray's object store; this is its least size

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running Ray.

    `metrics` is where its nodes' metrics are, `logs` their logs, `node` its only node; empty of a joined cluster.
    """

    door: str
    metrics: str = ""
    logs: str = ""
    node: Node = field(default_factory=lambda: Node([]))

    def exposed(self, settings: Settings, own: Collection[int] = ()) -> list[str]:
        """Return what listens beyond loopback though it should not; of a cluster that was joined nothing is known.

        `own` are doors of this process, which Ray did not open: where they listen was said in their settings.
        """
        if settings.ray.address:
            return []
        allowed = [] if is_loopback(settings.serve.host) else [int(self.door.rpartition(":")[2])]
        return open_ports(allowed, own)


def demand_closed(settings: Settings) -> None:
    """Refuse what would be open to others, unless it is said plainly that it may. Raises InvalidConfig.

    Also what Ray can't close: whoever sets a certificate believes that nothing passes in plain text.
    """
    if settings.tls.certificate_file:
        raise InvalidConfig(
            "tls.certificate_file",
            "Ray's door has no TLS, and would be open in plain text where all is meant to be encrypted; run "
            "`thumbwheel serve`, or leave it out here and let a proxy before the door encrypt",
        )
    if settings.auth.mode == "keys":
        raise InvalidConfig(
            "auth.mode",
            "Ray's door asks for no key, and would be open where keys are meant to be asked for; run "
            "`thumbwheel serve`, or set auth.mode=off here and let a proxy before the door ask",
        )
    if settings.ray.trusted_network:
        return
    cure = "close the network before it to others and set ray.trusted_network=true"
    if settings.ray.address:
        raise InvalidConfig(
            "ray.address", f"whoever reaches a Ray cluster's ports runs code there, without TLS or a key; {cure}"
        )
    if not is_loopback(settings.serve.host):
        raise InvalidConfig(
            "serve.host",
            f"{settings.serve.host!r} is not loopback, and Ray's door has no TLS and asks for no key; use 127.0.0.1, "
            f"or {cure}",
        )


@contextmanager
def cluster(settings: Settings) -> Iterator[Cluster]:
    """Begin or join Ray while the block runs; its logs go to its own files. Blocks for some seconds.

    Raises:
        InvalidConfig: it would be open to others, or the cluster is not as it must be.
        Unavailable: the cluster does not answer.
    """
    demand_closed(settings)
    with ExitStack() as stack:
        port = settings.serve.port or _free_ports(1)[0]
        door = f"{settings.serve.host}:{port}"
        if settings.ray.address:
            stack.enter_context(_joined(settings))
            running = Cluster(door)
        else:
            ports = stack.enter_context(held_ports(settings.ray.max_replicas))
            running = stack.enter_context(_begun(settings, door, ports))
        stack.enter_context(_serve(settings, port, running.node))
        yield running


def deploy(settings: Settings, door: str, ingress: type[Any], *arguments: Any) -> None:
    """Run replicas of `ingress`; return when the first ones answer at `door`. Blocks.

    Raises:
        InvalidConfig: another Ray Serve has the cluster, with another door.
        Unavailable: the replicas do not come up; it is said why.
    """
    from ray import serve
    from ray.exceptions import RayError

    ray = settings.ray
    deployment = serve.deployment(
        name="replicas",
        autoscaling_config={
            "min_replicas": ray.min_replicas,
            "max_replicas": ray.max_replicas,
            "target_ongoing_requests": ray.target_ongoing,
            "upscale_delay_s": ray.upscale_delay_s,
            "downscale_delay_s": ray.downscale_delay_s,
            "metrics_interval_s": _COUNT_S,
            "look_back_period_s": max(2 * _COUNT_S, ray.upscale_delay_s),
        },
        ray_actor_options={"num_cpus": ray.cpus},
        # The engines' queues refuse, with a hint when to try again; Ray's own limit would know none.
        max_ongoing_requests=1_000_000,
        graceful_shutdown_timeout_s=_DEREGISTER_S + settings.serve.drain_s + _CLOSE_S,
        graceful_shutdown_wait_loop_s=0.2,
        health_check_period_s=2.0,
        # A line for each call costs a good part of the call; ours tells of those that fail.
        logging_config={"log_level": "WARNING", "enable_access_log": False},
    )(ingress)
    try:
        # Of a route Ray's door has no need, but without one HAProxy is given no replicas.
        serve.run(deployment.bind(*arguments), name=APPLICATION, route_prefix="/")
    except (RuntimeError, TimeoutError, RayError) as error:
        raise Unavailable(f"the replicas do not come up: {_why(error)}", 5.0) from error
    _demand_door(settings, door)


def _demand_door(settings: Settings, door: str) -> None:
    """Ask until the door answers: HAProxy hears of the replicas a little after they are up."""
    ends = monotonic() + _DOOR_S
    host, _, port = door.rpartition(":")
    while not _answers(f"{'127.0.0.1' if host in _EVERY else host}:{port}"):
        if monotonic() > ends:
            raise _silent(settings, door)
        sleep(_LOOK_S)


def _answers(target: str) -> bool:
    # A channel for each try. A channel guesses the size of a call by those before it; after some that failed, gRPC
    # 1.85 was seen to guess gigabytes for the next one, and to abort the process.
    with grpc.insecure_channel(target) as channel:
        try:
            HealthStub(channel).Check(HealthCheckRequest(), timeout=_DOOR_S / 4)
        except grpc.RpcError:
            return False
    return True


def _silent(settings: Settings, door: str) -> Exception:
    if not settings.ray.address:
        return Unavailable(f"the replicas run, but nothing answers at {door}: see Ray's logs", 5.0)
    return InvalidConfig(
        "ray.address",
        f"the replicas run, but nothing answers at {door}: another application may have started Ray Serve on this "
        "cluster, with a door of its own; end it with `serve shutdown`",
    )


def _why(error: Exception) -> str:
    from ray import serve

    status = serve.status().applications.get(APPLICATION)
    messages = [one.message for one in status.deployments.values()] if status else []
    told = next(filter(None, messages), str(error))
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


@contextmanager
def _begun(settings: Settings, door: str, ports: range) -> Iterator[Cluster]:
    """Begin a Ray on loopback, which knows its own by a token; remove its folder, but for one that ended badly."""
    metrics_port = free_metrics_port(settings)
    folder = Path(tempfile.mkdtemp(prefix="thumbwheel-"))  # short: sockets below it have names of 107 bytes at most
    os.environ.update(_own_environment(settings, folder, ports))
    import ray

    replicas = settings.ray.max_replicas
    hook = {"worker_process_setup_hook": HOOK, "env_vars": {DOOR_HOST: settings.serve.host}}
    _quieten()
    try:
        ray.init(
            address="local",
            num_cpus=max(os.cpu_count() or 1, math.ceil(replicas * settings.ray.cpus)),
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=_STORE_BYTES,
            runtime_env=hook,
            _temp_dir=str(folder),
            _metrics_export_port=metrics_port,
        )
    except Exception as error:
        # Of no class of its own, where Ray's processes do not come up.
        raise Unavailable(f"Ray does not come up: {error}; its logs are in {folder}", 5.0) from error
    try:
        logs = str(folder / "session_latest" / "logs")
        yield Cluster(door, f"http://127.0.0.1:{metrics_port}/metrics", logs, Node.begun_here())
    finally:
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def free_metrics_port(settings: Settings) -> int:
    """Return where Ray is to have its metrics, once nobody listens there: else it would not come up, nor say why.

    What a service that was killed had begun goes by itself, when it sees after a while that nobody is there. Blocks.

    Raises InvalidConfig: the port is somebody else's.
    """
    port, ends = settings.ray.metrics_port, monotonic() + _ORPHANS_S
    if not port:
        return _free_ports(1)[0]
    if not _is_free(port):
        logger.warning("waiting for a port, which the Ray of a killed service holds for a minute", metrics_port=port)
    while not _is_free(port):
        if monotonic() > ends:
            said = f"port {port} on 127.0.0.1 is in use; end what listens there, or choose another port, or 0 for any"
            raise InvalidConfig("ray.metrics_port", said)
        sleep(_LOOK_S)
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended are nobody's
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def _joined(settings: Settings) -> Iterator[None]:
    variables = _shared_environment(settings)
    os.environ.update(variables)
    import ray

    _quieten()
    try:
        ray.init(
            address=settings.ray.address,
            log_to_driver=False,
            configure_logging=False,
            runtime_env={"worker_process_setup_hook": HOOK, "env_vars": variables},
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise Unavailable(f"ray.address: no Ray cluster answers at {settings.ray.address}: {error}", 5.0) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _serve(settings: Settings, port: int, node: Node) -> Iterator[None]:
    """Start Ray Serve with our door; in the end the deployment drains, and Serve ends unless it is others' too.

    With `node` dead there is nothing to drain, and nobody who would answer.
    """
    from ray import serve
    from ray.exceptions import RayError

    _quieten()
    shared = _serve_runs()
    host = "127.0.0.1" if not settings.ray.address else settings.serve.host
    [http_port] = _free_ports(1)
    try:
        serve.start(
            http_options={"host": host, "port": http_port},
            grpc_options={"port": port, "grpc_servicer_functions": services.import_paths()},
        )
    except (RayError, TimeoutError) as error:
        raise Unavailable(f"Ray Serve does not come up: {str(error).splitlines()[0]}; see Ray's logs", 5.0) from error
    try:
        yield
    finally:
        if not node.dead():
            _end_serve(and_serve_itself=bool(settings.ray.address) and not shared)


def _end_serve(and_serve_itself: bool) -> None:
    from ray import serve

    with suppress(Exception):  # whatever Ray says of its end, there is nobody left to tell
        serve.delete(APPLICATION)
        if and_serve_itself and not serve.status().applications:
            serve.shutdown()  # a Ray that was begun here ends with all that is in it


def _serve_runs() -> bool:
    import ray

    try:
        ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve")
    except ValueError:
        return False
    return True


def _shared_environment(settings: Settings) -> dict[str, str]:
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # a SIGTERM is no failure, and drains
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_SERVE_LOG_TO_STDERR": "0",
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",  # on a busy machine HAProxy takes longer than Ray has patience
        "RAY_SERVE_GRPC_MAX_MESSAGE_SIZE": str(settings.serve.max_message_bytes),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(_DEREGISTER_S),
    }


def _own_environment(settings: Settings, folder: Path, ports: range) -> dict[str, str]:
    """What makes a Ray this machine's alone, several of them at once included."""
    stats, metrics, fallback_http, fallback_grpc = map(str, _free_ports(4))
    proxy = folder / "haproxy"
    return {
        **_shared_environment(settings),
        **replica_ports.environment(ports),
        # Ray's own processes listen on loopback only where a cluster can't be: on machines of these kinds.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_SERVE_HAPROXY_STATS_PORT": stats,
        "RAY_SERVE_HAPROXY_METRICS_PORT": metrics,
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": fallback_http,
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": fallback_grpc,
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(proxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(proxy / "admin"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(proxy / "seen"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(proxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(proxy / "state"),
    }


def _quieten() -> None:
    """Lead Ray's words through our own logs, errors only: what it does as asked, and the rest is in its own files."""
    from ray._private import worker

    for name in ("ray", "ray.serve"):
        found = logging.getLogger(name)
        found.handlers.clear()
        found.propagate = True
        found.setLevel(logging.ERROR)
    worker.print_to_stdstream = _reported


def _reported(data: Mapping[str, Any], **_: bool) -> None:
    """Take what Ray would print: that a process of its own died, and at length of what it may have been."""
    for line in data["lines"]:
        logger.warning("Ray reports", report=line[:_REPORT_CHARS])


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now: Ray is told its ports before it takes them."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
