"""The web pages of a process, before gRPC doors that may be its own or another's."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from thumbwheel.app.identity import Identity
from thumbwheel.client import AdminClient, AsyncClient
from thumbwheel.config.settings import Settings
from thumbwheel.feedback.keys import Keys
from thumbwheel.registry.artifacts.reports import open_reports
from thumbwheel.web.app import create_app
from thumbwheel.web.deps import RETRY, Deps, Health, VotesOf, nowhere
from thumbwheel.web.server import serving


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind the pages: the doors' addresses, the store of votes, and how to know that it has them all."""

    address: str
    admin_address: str
    votes: VotesOf
    health: Callable[[], Health]
    metrics: CollectorRegistry
    settled: Callable[[], Awaitable[bool]]


@asynccontextmanager
async def pages(settings: Settings, keys: Keys, behind: Behind) -> AsyncIterator[str]:
    """Serve the pages while the block runs; yield their address. Raises InvalidConfig when the port can't be had."""
    section = settings.serve
    async with AsyncClient(behind.address, retry=RETRY) as client:
        with closing(AdminClient(behind.admin_address, retry=RETRY)) as admin:
            app = create_app(_deps(settings, keys, behind, client, admin))
            async with serving(app, section.host, section.web_port, section.drain_s) as url:
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
        kept_report=reports.read if reports else nowhere,
        # a key of its own for cookies, so that no key serves two purposes
        secret=hmac.digest(keys.user_key, b"web cookies", hashlib.sha256),
    )
