"""The web pages of a process, before gRPC doors that may be its own or another's."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from thumbwheel.access.guard import Guard
from thumbwheel.app.identity import Identity
from thumbwheel.app.trust import calls_tls, http_tls
from thumbwheel.client import AdminClient, AsyncClient
from thumbwheel.config.settings import Settings
from thumbwheel.feedback.keys import Keys
from thumbwheel.registry.artifacts.reports import open_reports
from thumbwheel.web.app import create_app
from thumbwheel.web.deps import RETRY, Deps, Health, VotesOf, nowhere
from thumbwheel.web.server import serving


@dataclass(frozen=True, slots=True)
class Doors:
    """The gRPC doors' addresses, the API key that the pages bring there, and who asks visitors for theirs, if any."""

    address: str
    admin_address: str
    api_key: str = field(default="", repr=False)
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind the pages: the doors, the store of votes, and how to know that it has them all."""

    doors: Doors
    votes: VotesOf
    health: Callable[[], Health]
    metrics: CollectorRegistry
    settled: Callable[[], Awaitable[bool]]


@asynccontextmanager
async def pages(settings: Settings, keys: Keys, behind: Behind) -> AsyncIterator[str]:
    """Serve the pages while the block runs; yield their address. Raises InvalidConfig when the port can't be had."""
    section, doors = settings.serve, behind.doors
    tls, admin_tls = calls_tls(settings, doors.address), calls_tls(settings, doors.admin_address)
    async with AsyncClient(doors.address, retry=RETRY, tls=tls, api_key=doors.api_key) as client:
        with closing(AdminClient(doors.admin_address, retry=RETRY, tls=admin_tls, api_key=doors.api_key)) as admin:
            app = create_app(_deps(settings, keys, behind, client, admin))
            shown = http_tls(settings)
            async with serving(app, section.host, section.web_port, section.drain_s, tls=shown) as url:
                yield url


def _deps(settings: Settings, keys: Keys, behind: Behind, client: AsyncClient, admin: AdminClient) -> Deps:
    reports = open_reports(settings)
    return Deps(
        client=client,
        admin=admin,
        votes=behind.votes,
        rater_of=Identity.of(keys, settings).raters.user_hash,
        health=behind.health,
        metrics=behind.metrics,
        runs_dir=settings.runs_dir,
        allowed_hosts=tuple(name.strip() for name in settings.serve.web_hosts.split(",")),
        max_classify_chars=settings.classify.max_input_chars,
        max_generate_chars=settings.generate.max_input_chars,
        max_tag_chars=settings.tag.max_input_chars,
        labels_are_drawn=settings.classify.mode == "sample",
        tags_are_drawn=settings.tag.mode == "sample",
        settled=behind.settled,
        guard=behind.doors.guard,
        operate_remotely=behind.doors.guard is not None,  # whoever has a key for it, from wherever
        kept_report=reports.read if reports else nowhere,
        # a key of its own for cookies, so that no key serves two purposes
        secret=hmac.digest(keys.user_key, b"web cookies", hashlib.sha256),
    )
