"""A whole service behind certificates and keys: every door refuses who has none, its own pages work."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from certificates import Authority, authority

from thumbwheel.access.api_keys import new_key
from thumbwheel.app.admission import open_api_keys
from thumbwheel.app.home import Addresses
from thumbwheel.app.processes import up
from thumbwheel.app.storage import open_registry
from thumbwheel.client import AdminClient, AsyncClient, Tls
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.config.settings import Settings
from thumbwheel.errors import KeyRefused, NotFound, Overloaded, ScopeMissing, ThumbwheelError, Unreachable
from thumbwheel.records import ApiKey, Channel, PolicyKind, Scope
from thumbwheel.registry.port import NewVersion
from thumbwheel.store.api_keys import SqlApiKeys

pytestmark = pytest.mark.usefixtures("mask_kept")

T = TypeVar("T")
ONCE = RetryPolicy(attempts=1)


@dataclass
class Guarded:
    """A running service, and what a caller of it has."""

    home: Path
    addresses: Addresses
    tls: Tls
    context: ssl.SSLContext

    async def key(self, name: str, *scopes: Scope) -> str:
        """Make a key, as `thumbwheel keys create` does."""
        shown, key_id, verifier = new_key()
        made = ApiKey(key_id, name, scopes, verifier, time.time_ns() // 1_000, "test")
        await asyncio.to_thread(self._in_table, lambda table: table.add(made, "test"))
        return shown

    async def revoke(self, name: str) -> None:
        await asyncio.to_thread(self._in_table, lambda table: table.revoke(name, 1, "test", "lost"))

    def _in_table(self, work: Callable[[SqlApiKeys], object]) -> None:
        with closing(open_api_keys(Settings(home=self.home))) as table:
            work(table)

    def client(self, key: str, tls: Tls | None = None) -> AsyncClient:
        return AsyncClient(self.addresses.grpc, tls=tls or self.tls, api_key=key, retry=ONCE, timeout_s=20)

    async def ask(self, key: str = "", tls: Tls | None = None) -> None:
        async with self.client(key, tls) as client:
            await client.describe()

    async def vote(self, key: str) -> None:
        async with self.client(key) as client:
            await client.ballot("r1", "token").thumbs_up()

    async def operate(self, key: str, order: Callable[[AdminClient], T]) -> T:
        def ordered() -> T:
            with AdminClient(self.addresses.admin, tls=self.tls, api_key=key, retry=ONCE, timeout_s=20) as admin:
                return order(admin)

        return await asyncio.to_thread(ordered)

    async def page(self, path: str, key: str = "", **headers: str) -> httpx.Response:
        headers |= {"Authorization": f"Bearer {key}"} if key else {}
        async with httpx.AsyncClient(verify=self.context, timeout=20) as client:
            return await client.get(f"{self.addresses.web}{path}", headers=headers)


def publish(home: Path) -> None:
    folder = home / "made"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    with closing(open_registry(Settings(home=home))) as registry:
        for number in range(2):
            (folder / "model.safetensors").write_text(f"w{number}")
            made = registry.publish(NewVersion("desk", PolicyKind.CLASSIFY, verdict="promote"), folder)
        registry.move("desk", Channel.CHAMPION, made.version, actor="test", reason="first")


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Guarded]:
    stop = asyncio.Event()
    monkeypatch.setattr(up, "on_signals", lambda: stop)
    known, home = authority(tmp_path), tmp_path / "home"
    tls = certificates(tmp_path, known)
    publish(home)
    settings = Settings.model_validate(
        {
            "home": home,
            "serve": {"port": 0, "admin_port": 0, "web_port": 0, "drain_s": 0},
            "tls": {**tls, "ca_file": known.file, "client_ca_file": known.file},
            "auth": {"mode": "keys", "calls_per_key_per_minute": 120},
        }
    )
    started: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(up.run(settings, started.set_result))
    both: set[asyncio.Future[Any]] = {running, started}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    pair = tls["client_certificate_file"], tls["client_key_file"]
    context = ssl.create_default_context(cafile=str(known.file))
    context.load_cert_chain(*pair)
    yield Guarded(home, started.result(), Tls(known.file, *pair), context)
    stop.set()
    await running


def certificates(folder: Path, known: Authority) -> dict[str, Path]:
    """A certificate for the doors and one for their callers."""
    for name in ("doors", "callers"):
        (folder / name).mkdir()
    doors, callers = known.sign(folder / "doors", "127.0.0.1"), known.sign(folder / "callers", "ann.example")
    return {
        "certificate_file": doors[0],
        "key_file": doors[1],
        "client_certificate_file": callers[0],
        "client_key_file": callers[1],
    }


async def refused(kind: type[ThumbwheelError], call: object) -> str:
    with pytest.raises(kind) as caught:
        await call  # type: ignore[misc]
    return str(caught.value)


async def test_a_service_behind_certificates_and_keys(service: Guarded) -> None:
    # without a key, or with none that is good, nobody is answered, at any door
    stranger = f"tw_{'0' * 12}_{'A' * 43}"
    assert "came without an API key; send it" in await refused(KeyRefused, service.ask())
    for key in (stranger, "nonsense"):
        assert "the API key is not good" in await refused(KeyRefused, service.ask(key))
    assert "without an API key" in await refused(KeyRefused, service.operate("", lambda admin: admin.status()))
    for path in ("/", "/operate", "/votes", "/metrics", "/nowhere"):
        page = await service.page(path)
        assert (page.status_code, page.headers["WWW-Authenticate"][:5]) == (401, "Basic"), path
        assert "helpdesk" not in page.text and "desk" not in page.text
    assert (await service.page("/healthz")).status_code in (200, 503)
    await refused(Unreachable, service.ask(tls=Tls(service.tls.ca_file)))  # nor without a certificate

    # a key is good for its scopes, and for nothing else
    shop, voter = await service.key("shop", Scope.INFER), await service.key("voter", Scope.FEEDBACK)
    ops, user = await service.key("ops", Scope.ADMIN), await service.key("user", Scope.INFER, Scope.FEEDBACK)
    await service.ask(shop)
    assert "takes the scope feedback" in await refused(ScopeMissing, service.vote(shop))
    assert "takes the scope infer" in await refused(ScopeMissing, service.ask(voter))
    for key in (shop, voter, user):
        said = await refused(ScopeMissing, service.operate(key, lambda admin: admin.status()))
        assert "takes the scope admin" in said and key not in said
    assert "feedback_token" in await refused(ThumbwheelError, service.vote(voter))  # it came as far as the token

    # the pages ask for the same keys, of programs and of browsers, and reach the doors by a key of their own
    assert (await service.page("/", user)).status_code == 200
    basic = base64.b64encode(f"whoever:{user}".encode()).decode()
    assert (await service.page("/", Authorization=f"Basic {basic}")).status_code == 200
    assert [(await service.page("/operate", key)).status_code for key in (user, ops)] == [403, 200]
    assert [(await service.page("/metrics", key)).status_code for key in (user, ops)] == [403, 200]

    # who did it stands in the audit trail, whatever name was given
    await service.operate(ops, lambda admin: admin.promote("desk", "v1", reason="try", actor="mallory"))
    await order_by_page(service, ops)
    entries = await service.operate(ops, lambda admin: admin.history("desk", 3))
    assert [entry.actor for entry in entries][:2] == ["key ops: bob", "key ops: mallory"]

    # a revoked key is refused within a second, an expired one at once
    await service.revoke("shop")
    revoked = time.monotonic()
    while (taken := time.monotonic() - revoked) < 20:
        try:
            await service.ask(shop)
        except KeyRefused:
            break
        await asyncio.sleep(0.02)
    assert taken < 5.0  # it is looked every half second; the rest is for a busy machine
    await service.ask(user)

    # who calls too often is told when to try again
    async def often() -> None:
        for _ in range(200):
            await service.page("/votes", voter)
            await service.ask(user)

    assert "more than 120 calls a minute by this API key" in await refused(Overloaded, often())

    for file in service.home.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(key.rpartition("_")[2].encode() in content for key in (shop, voter, ops, user)), file


async def order_by_page(service: Guarded, key: str) -> None:
    """Promote by the operator's page."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(verify=service.context, timeout=20, headers=headers) as client:
        page = await client.get(f"{service.addresses.web}/operate", headers={"Accept": "text/html"})
        csrf = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
        assert csrf, page.text
        body = {"policy": "desk", "version": "v2", "reason": "again", "actor": "bob"}
        sent = {"X-CSRF-Token": csrf[1]}
        done = await client.post(f"{service.addresses.web}/operate/promote", json=body, headers=sent)
        assert done.status_code == 200, done.text


async def test_an_unknown_policy_is_still_unknown_to_who_may_ask(service: Guarded) -> None:
    key = await service.key("shop", Scope.INFER)
    async with service.client(key) as client:
        with pytest.raises(NotFound):
            await client.describe("nowhere")
