"""uvicorn inside a running event loop, which keeps its own signal handlers and its own logging."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from thumbwheel.errors import InvalidConfig

_PAGES = "serve.web_port"


class _Server(uvicorn.Server):
    """A server that leaves signals to the process it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install nothing."""
        yield


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp,
    host: str,
    port: int,
    drain_s: float = 20.0,
    setting: str = _PAGES,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """Serve `app` while the block runs; yield its URL. Port 0 takes a free one. `setting` is where the port came from.
    With `tls` nothing but HTTPS is spoken.

    On leaving, no new connection is taken, requests in flight get `drain_s` seconds, then they are cut off.

    Raises InvalidConfig when the address can not be listened on.
    """
    listener = listen(host, port, setting)
    server = _Server(_config(app, drain_s, tls))
    task = asyncio.create_task(server.serve(sockets=[listener]), name="web")
    try:
        yield url_of(listener, "https" if tls else "http")
    finally:
        server.should_exit = True
        await task


def listen(host: str, port: int, setting: str = _PAGES) -> socket.socket:
    """Return a listening socket. Raises InvalidConfig, naming `setting`, with what is wrong and what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise InvalidConfig(setting, _why(error, host, port)) from error


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """Return the URL under which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _why(error: Exception, host: str, port: int) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; stop what uses it, or choose another (0 takes a free one)"
    if code == errno.EACCES:
        return f"port {port} needs more rights than this process has; choose one above 1023"
    return f"cannot listen on {host} port {port}: {error}"


def _config(app: ASGIApp, drain_s: float, tls: ssl.SSLContext | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        timeout_graceful_shutdown=max(1, round(drain_s)),
    )
