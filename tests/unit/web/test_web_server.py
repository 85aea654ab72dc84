"""Serving inside of a running event loop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from thumbwheel.errors import InvalidConfig
from thumbwheel.web.deps import Deps, Health, HealthState
from thumbwheel.web.server import serving


def app_of(*routes: Route) -> Starlette:
    return Starlette(routes=list(routes))


async def hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def test_it_serves_while_the_block_runs_and_no_longer() -> None:
    async with serving(app_of(Route("/", hello)), "127.0.0.1", 0) as url, httpx.AsyncClient() as client:
        assert (await client.get(url)).text == "hello"
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


async def test_signal_handlers_stay_as_they_were() -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with serving(app_of(), "127.0.0.1", 0):
        assert signal.getsignal(signal.SIGTERM) is before


async def test_a_request_in_flight_is_answered_before_the_end() -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> PlainTextResponse:
        arrived.set()
        await release.wait()
        return PlainTextResponse("done")

    async with httpx.AsyncClient(timeout=20) as client:
        async with serving(app_of(Route("/", slow)), "127.0.0.1", 0) as url:
            asked = asyncio.create_task(client.get(url))
            await arrived.wait()
            asyncio.get_running_loop().call_later(0.3, release.set)
        assert (await asked).text == "done"


async def test_what_does_not_end_is_cut_off() -> None:
    async def forever() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()

    async def endless(_: Request) -> StreamingResponse:
        return StreamingResponse(forever())

    async with httpx.AsyncClient(timeout=20) as client:
        async with serving(app_of(Route("/", endless)), "127.0.0.1", 0, drain_s=1) as url:
            response = await client.send(client.build_request("GET", url), stream=True)
        with pytest.raises(httpx.RemoteProtocolError):
            await response.aread()


async def test_a_port_in_use_is_said_with_its_cure() -> None:
    async with serving(app_of(), "127.0.0.1", 0) as url:
        port = urlsplit(url).port or 0
        with pytest.raises(InvalidConfig, match=f"serve.web_port: port {port} on 127.0.0.1 is in use; .*0 takes"):
            async with serving(app_of(), "127.0.0.1", port):
                pass


async def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(InvalidConfig, match=r"cannot listen on 192\.0\.2\.1 port 0"):
        async with serving(app_of(), "192.0.2.1", 0):
            pass


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback address (::1)")
async def test_an_ipv6_address_is_written_in_brackets() -> None:
    async with serving(app_of(Route("/", hello)), "::1", 0) as url, httpx.AsyncClient() as client:
        assert url.startswith("http://[::1]:")
        assert (await client.get(url)).text == "hello"


def test_a_short_secret_is_refused() -> None:
    anything: Any = None
    with pytest.raises(ValueError, match="at least 32 bytes, got 5"):
        Deps(
            client=anything,
            admin=anything,
            votes=anything,
            rater_of=str,
            health=lambda: Health(HealthState.SERVING),
            metrics=CollectorRegistry(),
            runs_dir=Path(),
            secret=b"short",
        )
