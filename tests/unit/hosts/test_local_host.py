"""The embedded host: doors, health, reflection, ports that are taken."""

from __future__ import annotations

import socket
from typing import Any

import grpc
import grpc.aio
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from thumbwheel.config.settings import Serve
from thumbwheel.errors import InvalidConfig
from thumbwheel.hosts.local import ADMIN, PUBLIC, LocalHost, Registration
from thumbwheel.hosts.loopback import is_loopback
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub
from thumbwheel.telemetry.metrics import Metrics

INFERENCE = "thumbwheel.inference.v1.InferenceService"
FEEDBACK = "thumbwheel.feedback.v1.FeedbackService"
ADMINISTRATION = "thumbwheel.admin.v1.AdminService"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def offer(service: str, door: str = PUBLIC) -> Registration:
    """A service without methods."""
    handler = grpc.method_handlers_generic_handler(service, {})
    return Registration(service, lambda server: server.add_generic_rpc_handlers((handler,)), door)


def host(**settings: Any) -> LocalHost:
    serve = Serve.model_validate({"port": 0, "admin_port": 0, "drain_s": 0.1, **settings})
    return LocalHost(serve, [offer(INFERENCE), offer(FEEDBACK), offer(ADMINISTRATION, ADMIN)], Metrics().rpc)


async def check(channel: grpc.aio.Channel, service: str) -> int:
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    return int(answer.status)


async def test_health_is_kept_for_each_service_and_each_door() -> None:
    local = host()
    await local.start()
    try:
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{local.ports['public']}") as public,
            grpc.aio.insecure_channel(f"127.0.0.1:{local.ports['admin']}") as admin,
        ):
            assert await check(public, INFERENCE) == NOT_SERVING
            assert await check(public, "") == NOT_SERVING
            await local.set_serving(FEEDBACK, True)
            await local.set_serving(ADMINISTRATION, True)
            assert [await check(public, name) for name in (FEEDBACK, INFERENCE, "")] == [
                SERVING,
                NOT_SERVING,
                NOT_SERVING,
            ]
            assert [await check(admin, name) for name in (ADMINISTRATION, "")] == [SERVING, SERVING]
            await local.set_serving(INFERENCE, True)
            assert await check(public, "") == SERVING
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await check(public, ADMINISTRATION)
            assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    finally:
        await local.drain()


async def test_reflection_lists_what_stands_behind_the_door() -> None:
    local = host()
    await local.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{local.ports['public']}") as channel:
            call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                iter([reflection_pb2.ServerReflectionRequest(list_services="")])
            )
            [answer] = [message async for message in call]
    finally:
        await local.drain()
    assert {one.name for one in answer.list_services_response.service} == {
        INFERENCE,
        FEEDBACK,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@pytest.mark.parametrize("setting", ["port", "admin_port"])
async def test_a_port_in_use_is_named_with_its_setting(setting: str, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidConfig, match=f"serve.{setting}: 127.0.0.1:{port} is in use") as refused:
            await host(**{setting: port}).start()
    assert refused.value.field == f"serve.{setting}"
    assert "bind" not in capfd.readouterr().err  # what gRPC's core writes, beside every logger


@pytest.mark.parametrize("name", ["256.1.1.1", "", "192.0.2.1", "a..b", "no such name"])
async def test_a_host_that_is_not_this_machine_is_no_fault_of_the_port(name: str) -> None:
    with pytest.raises(InvalidConfig, match="is no address of this machine .*: use 127.0.0.1") as refused:
        await host(host=name).start()
    assert refused.value.field == "serve.host"


async def test_the_door_for_operators_does_not_follow_the_one_for_clients() -> None:
    local = host(host="0.0.0.0")
    await local.start()
    try:
        listens = {one.laddr.port: one.laddr.ip for one in psutil.Process().net_connections("tcp") if not one.raddr}
    finally:
        await local.drain()
    assert [is_loopback(listens[local.ports[door]]) for door in (PUBLIC, ADMIN)] == [False, True]
    assert local.addresses == {PUBLIC: f"0.0.0.0:{local.ports[PUBLIC]}", ADMIN: f"127.0.0.1:{local.ports[ADMIN]}"}


async def test_the_host_of_operators_is_named_where_it_is_none_of_this_machine() -> None:
    with pytest.raises(InvalidConfig, match="is no address of this machine") as refused:
        await host(admin_host="192.0.2.1").start()
    assert refused.value.field == "serve.admin_host"


async def test_two_hosts_never_share_a_port() -> None:
    first = host()
    await first.start()
    try:
        with pytest.raises(InvalidConfig, match="is in use"):
            await host(port=first.ports["public"]).start()
    finally:
        await first.drain()


async def test_an_unknown_method_is_unimplemented() -> None:
    local = host()
    await local.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{local.ports['public']}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await InferenceServiceStub(channel).Tag(pb.TagRequest())
    finally:
        await local.drain()
    assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED
