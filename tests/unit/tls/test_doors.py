"""Doors with TLS: real handshakes, certificates renewed under way, clients known by theirs, and what goes wrong."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import uvloop
from certificates import Authority, authority
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from thumbwheel.app.trust import calls_tls, demand_guarded, grpc_tls, http_tls
from thumbwheel.client import AsyncClient, Tls
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.config.settings import Auth, Settings
from thumbwheel.errors import InvalidConfig, InvalidInput, Unreachable
from thumbwheel.hosts.local import PUBLIC, LocalHost, Registration
from thumbwheel.hosts.ray.cluster import demand_closed
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.telemetry.metrics import Metrics
from thumbwheel.web.server import serving

SERVICE = "thumbwheel.inference.v1.InferenceService"


async def describe(_request: pb.DescribePolicyRequest, _context: Any) -> pb.DescribePolicyResponse:
    return pb.DescribePolicyResponse()


def add(server: grpc.aio.Server) -> None:
    """Register a service that tells of no policies."""
    handler = grpc.unary_unary_rpc_method_handler(
        describe,
        request_deserializer=pb.DescribePolicyRequest.FromString,
        response_serializer=pb.DescribePolicyResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"DescribePolicy": handler}),))


@pytest.fixture
def known(tmp_path: Path) -> Authority:
    return authority(tmp_path)


def settings(folder: Path, pair: tuple[Path, Path], **tls: object) -> Settings:
    given = {"certificate_file": pair[0], "key_file": pair[1], **tls}
    return Settings.model_validate(
        {"home": folder / "home", "serve": {"port": 0, "admin_port": 0, "drain_s": 0}, "tls": given}
    )


@asynccontextmanager
async def door(given: Settings) -> AsyncIterator[int]:
    host = LocalHost(given.serve, [Registration(SERVICE, add, PUBLIC)], Metrics().rpc, grpc_tls(given))
    await host.start()
    try:
        yield host.ports[PUBLIC]
    finally:
        await host.drain()


async def ask(port: int, tls: Tls | None, host: str = "127.0.0.1") -> None:
    async with AsyncClient(f"{host}:{port}", tls=tls, retry=RetryPolicy(attempts=3), timeout_s=20) as client:
        await client.describe()


async def test_a_client_that_knows_the_authority_is_answered_and_others_are_told_why_not(
    tmp_path: Path, known: Authority
) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    async with door(settings(tmp_path, known.sign(tmp_path, "127.0.0.1"))) as port:
        await ask(port, Tls(known.file))
        await ask(port, Tls(known.file, server_name="127.0.0.1"), host="localhost")
        with pytest.raises(Unreachable, match=r"is of an authority that is not known here; give .*--tls-ca"):
            await ask(port, Tls(authority(elsewhere).file))
        with pytest.raises(Unreachable, match=r"certificate is for another name than the address; .*tls\.server_name"):
            await ask(port, Tls(known.file), host="localhost")
        with pytest.raises(Unreachable, match=r"takes callers by TLS alone"):
            await ask(port, None)
    async with door(Settings.model_validate({"serve": {"port": 0, "admin_port": 0, "drain_s": 0}})) as port:
        with pytest.raises(Unreachable, match=r"does not speak TLS there"):
            await ask(port, Tls(known.file))


async def test_a_certificate_that_expired_under_way_is_named_by_the_client(
    tmp_path: Path, known: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = known.sign(tmp_path, "127.0.0.1", (-9, -2))
    with monkeypatch.context() as patched:
        patched.setattr("thumbwheel.tls.certificates.demand_valid", lambda *_: None)
        async with door(settings(tmp_path, pair)) as port:
            with pytest.raises(Unreachable, match=r"or the authority that signed it, has expired; have it renewed"):
                await ask(port, Tls(known.file))


async def test_a_renewed_certificate_is_shown_to_who_comes_next_and_nobody_is_cut_off(
    tmp_path: Path, known: Authority
) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    other = authority(elsewhere)
    pair = known.sign(tmp_path, "127.0.0.1")
    async with door(settings(tmp_path, pair)) as port, AsyncClient(f"127.0.0.1:{port}", tls=Tls(known.file)) as early:
        await early.describe()
        for new, old in zip(other.sign(elsewhere, "127.0.0.1"), pair, strict=True):
            new.replace(old)
        await ask(port, Tls(other.file))
        await early.describe()
        with pytest.raises(Unreachable, match="not known here"):
            await ask(port, Tls(known.file))


async def test_a_door_that_asks_clients_takes_those_of_its_authority_alone(tmp_path: Path, known: Authority) -> None:
    folders = [tmp_path / name for name in ("theirs", "strange", "strangers")]
    for folder in folders:
        folder.mkdir()
    theirs, strange = known.sign(folders[0], "ann.example"), authority(folders[1]).sign(folders[2], "eve.example")
    trusted = tmp_path / "clients.pem"
    shutil.copy(known.file, trusted)
    given = settings(tmp_path, known.sign(tmp_path, "127.0.0.1"), client_ca_file=trusted)
    async with door(given) as port:
        await ask(port, Tls(known.file, *theirs))
        for unknown in (Tls(known.file), Tls(known.file, *strange)):
            with pytest.raises(Unreachable, match=r"or with a certificate alone"):
                await ask(port, unknown)
        trusted.write_bytes((folders[1] / "authority.pem").read_bytes())  # the authority is another from now on
        await ask(port, Tls(known.file, *strange))
        with pytest.raises(Unreachable, match=r"or with a certificate alone"):
            await ask(port, Tls(known.file, *theirs))


async def hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def trusting(ca: Path, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    if pair:
        context.load_cert_chain(*pair)
    return context


async def fetch(url: str, context: ssl.SSLContext) -> str:
    async with httpx.AsyncClient(verify=context, timeout=20) as client:
        return (await client.get(url)).text


async def pages_follow_their_files(tmp_path: Path) -> None:
    for name in ("elsewhere", "theirs"):
        (tmp_path / name).mkdir()
    known, other = authority(tmp_path), authority(tmp_path / "elsewhere")
    pair, theirs = known.sign(tmp_path, "127.0.0.1"), known.sign(tmp_path / "theirs", "ann.example")
    given = settings(tmp_path, pair, client_ca_file=known.file)
    app = Starlette(routes=[Route("/", hello)])
    async with serving(app, "127.0.0.1", 0, tls=http_tls(given)) as url:
        assert url.startswith("https://")
        assert await fetch(url, trusting(known.file, theirs)) == "hello"
        with pytest.raises(httpx.TransportError):
            await fetch(url, trusting(known.file))
        with pytest.raises(httpx.TransportError):
            await fetch(url.replace("https", "http"), trusting(known.file))
        for new, old in zip(other.sign(tmp_path / "elsewhere", "127.0.0.1"), pair, strict=True):
            new.replace(old)
        assert await fetch(url, trusting(other.file, theirs)) == "hello"
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch(url, trusting(known.file, theirs))
        shutil.copy(other.file, known.file)  # clients of the first authority are believed no more
        with pytest.raises(httpx.TransportError):
            await fetch(url, trusting(other.file, theirs))


async def test_pages_follow_their_files(tmp_path: Path) -> None:
    await pages_follow_their_files(tmp_path)


def test_pages_follow_their_files_on_the_loop_of_the_service_too(tmp_path: Path) -> None:
    uvloop.run(pages_follow_their_files(tmp_path))


async def test_browsers_and_probes_may_be_let_in_without_a_certificate(tmp_path: Path, known: Authority) -> None:
    pair = known.sign(tmp_path, "127.0.0.1")
    given = settings(tmp_path, pair, client_ca_file=known.file, client_doors="grpc")
    async with serving(Starlette(routes=[Route("/", hello)]), "127.0.0.1", 0, tls=http_tls(given)) as url:
        assert await fetch(url, trusting(known.file)) == "hello"


def test_a_door_beyond_loopback_needs_tls_or_a_plain_word(tmp_path: Path) -> None:
    plain = Settings.model_validate({"home": tmp_path})
    demand_guarded(plain, {"serve.host": "127.0.0.1", "serve.admin_host": "::1", "probes.host": "localhost"})
    for setting, host in (("serve.host", "0.0.0.0"), ("probes.host", "10.1.2.3"), ("serve.admin_host", "here.example")):
        with pytest.raises(InvalidConfig, match=r"is not loopback, and there is no TLS: .*tls\.plain_beyond_loopback"):
            demand_guarded(plain, {setting: host})
        told = Settings.model_validate(
            {"home": tmp_path, "tls": {"plain_beyond_loopback": True}, "auth": {"open_beyond_loopback": True}}
        )
        demand_guarded(told, {setting: host})


def test_a_door_beyond_loopback_asks_for_keys_or_a_plain_word_says_that_it_does_not(
    tmp_path: Path, known: Authority
) -> None:
    encrypted = settings(tmp_path, known.sign(tmp_path, "127.0.0.1"))
    for setting in ("serve.host", "serve.admin_host"):
        with pytest.raises(InvalidConfig, match=r"no API key is asked for: .*auth\.mode=keys .*open_beyond_loopback"):
            demand_guarded(encrypted, {setting: "0.0.0.0"})
        for auth in ({"mode": "keys"}, {"open_beyond_loopback": True}):
            demand_guarded(encrypted.model_copy(update={"auth": Auth.model_validate(auth)}), {setting: "0.0.0.0"})
    demand_guarded(encrypted, {"probes.host": "0.0.0.0"})  # they hold no secret


def test_ray_opens_no_door_that_is_meant_to_be_closed(tmp_path: Path, known: Authority) -> None:
    pair = known.sign(tmp_path, "127.0.0.1")
    trusting = {"ray": {"trusted_network": True}}
    for given, setting in (
        ({"tls": {"certificate_file": pair[0], "key_file": pair[1]}}, "tls.certificate_file"),
        ({"auth": {"mode": "keys"}}, "auth.mode"),
    ):
        for more in ({}, trusting):
            with pytest.raises(InvalidConfig, match="Ray's door") as refused:
                demand_closed(Settings.model_validate({"home": tmp_path, **given, **more}))
            assert refused.value.field == setting


def test_calls_to_a_door_of_this_machine_go_by_the_name_in_its_certificate(tmp_path: Path, known: Authority) -> None:
    given = settings(tmp_path, known.sign(tmp_path, "models.example"), ca_file=known.file)
    by = {address: calls_tls(given, address) for address in ("0.0.0.0:7070", "127.0.0.1:1", "models.example:7070")}
    assert {address: tls.server_name for address, tls in by.items() if tls} == {
        "0.0.0.0:7070": "models.example",
        "127.0.0.1:1": "models.example",
        "models.example:7070": "",
    }
    wild = settings(tmp_path, known.sign(tmp_path, "*.example"))
    assert (tls := calls_tls(wild, "[::1]:7070")) and tls.server_name == "thumbwheel.example"
    assert calls_tls(Settings.model_validate({"home": tmp_path}), "127.0.0.1:1") is None


def test_the_pages_of_a_door_that_asks_for_certificates_need_one(tmp_path: Path, known: Authority) -> None:
    given = settings(tmp_path, known.sign(tmp_path, "127.0.0.1"), client_ca_file=known.file)
    with pytest.raises(
        InvalidConfig, match=r"^tls\.client_certificate_file: the door at 127\.0\.0\.1:7070 takes nobody"
    ):
        calls_tls(given, "127.0.0.1:7070")


def test_files_that_a_client_can_not_use_are_named(tmp_path: Path) -> None:
    (empty := tmp_path / "empty.pem").touch()
    with pytest.raises(InvalidInput, match=r"^tls\.ca_file: .*nowhere can't be read \(No such file"):
        AsyncClient("127.0.0.1:1", tls=Tls(tmp_path / "nowhere"))
    with pytest.raises(InvalidInput, match=r"^tls\.ca_file: .*empty\.pem is not in PEM form"):
        AsyncClient("127.0.0.1:1", tls=Tls(empty))
    with pytest.raises(InvalidInput, match=r"^tls\.certificate_file: goes with key_file"):
        AsyncClient("127.0.0.1:1", tls=Tls(None, empty))


async def test_nobody_is_refused_while_certificates_are_renewed_again_and_again(tmp_path: Path) -> None:
    known = authority(tmp_path)
    pair = known.sign(tmp_path, "127.0.0.1")
    async with door(settings(tmp_path, pair)) as port, AsyncClient(f"127.0.0.1:{port}", tls=Tls(known.file)) as early:
        for number in range(5):
            (folder := tmp_path / f"renewed {number}").mkdir()
            # one file after the other: between them they don't fit each other
            for new, old in zip(known.sign(folder, "127.0.0.1"), pair, strict=True):
                new.replace(old)
                await ask(port, Tls(known.file))  # a connection of its own
                await early.describe()


@asynccontextmanager
async def long_way(port: int) -> AsyncIterator[int]:
    """A port that leads to another, on which everything takes a while."""
    ways: list[asyncio.Task[None]] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                await asyncio.sleep(0.15)
                writer.write(data)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", port)
        ways.extend(asyncio.create_task(carry(*ends)) for ends in ((reader, ours), (theirs, writer)))

    async with await asyncio.start_server(through, "127.0.0.1", 0) as slow:
        yield slow.sockets[0].getsockname()[1]
        await asyncio.gather(*ways)


async def test_a_handshake_may_take_longer_than_the_pause_between_two(tmp_path: Path, known: Authority) -> None:
    """As over a long way, or on a busy machine."""
    async with door(settings(tmp_path, known.sign(tmp_path, "127.0.0.1"))) as port, long_way(port) as slow:
        once = RetryPolicy(attempts=1)
        async with AsyncClient(f"127.0.0.1:{slow}", tls=Tls(known.file), retry=once, timeout_s=20) as client:
            await client.describe()
