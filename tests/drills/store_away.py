"""The store of versions is killed or frozen while a version is sent there, and while the service is to swap to it."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer

from balance_sheet import Sheet
from books import balance
from service_ledger import wait_until_serving
from voting import POLICY, Ledger, load
from yard import Service, Yard

from thumbwheel.app.storage import open_registry
from thumbwheel.client import AsyncClient
from thumbwheel.config.settings import Artifacts
from thumbwheel.errors import Unavailable
from thumbwheel.records import Channel, Manifest, PolicyKind
from thumbwheel.registry.files import MANIFEST_NAME
from thumbwheel.registry.port import NewVersion, Registry

ROUNDS = 8
AWAY_S = 8.0
QUESTION = "who answers?"
_TIMEOUT_S = 2.0
_LOOK_S = 0.05
_PATIENCE_S = 120.0


def drill(yard: Yard) -> Sheet:
    """Every round sends a version while the store goes away, promotes it, and takes the store away at once again."""
    gateway, url, ledger = yard.s3(), yard.database(yard.postgres()), Ledger(asked={QUESTION})
    store = Artifacts(
        url=f"s3://{gateway.new_bucket()}/versions", endpoint_url=gateway.endpoint_url, timeout_s=_TIMEOUT_S
    )
    service = Service(yard.home(url, store), yard.flags(url=url, artifacts=store))
    publisher = yard.folder / "publisher"  # another machine: what it has, the service has to fetch
    registry = open_registry(yard.settings(publisher, url, store))
    source = yard.folder / "source"
    shutil.copytree(registry.fetch(POLICY, "v1"), source)
    (source / MANIFEST_NAME).unlink(missing_ok=True)
    rounds, refused, published = yard.times(ROUNDS, 2), 0, list[Manifest]()
    with service.running():
        with load(service.target, ledger, pause_s=0.01) as voting:
            for number in range(rounds):
                frozen = number % 2 == 1
                begin, end = (gateway.pause, gateway.resume) if frozen else (gateway.kill, gateway.start)
                made, refusals = _publish(yard, registry, source, begin, end)
                published.append(made)
                refused += refusals
                _swap(yard, service, registry, made.version, begin, end)
                voting.wait_for(20)
                yard.say(f"round {number + 1} of {rounds}: {made.version} is served")
        service.settle()
    sheet = balance(Sheet("store-away", yard.seed), url, ledger)
    sheet.expect("calls refused", 0, ledger.refused.total())
    sheet.expect("answers that were not logged", 0, ledger.not_logged)
    sheet.expect("versions listed", 2 + len(published), len(registry.versions(POLICY)))
    sheet.expect("versions published, that are whole", len(published), _whole(registry, publisher, published))
    sheet.facts["refused while the store was away"] = f"{refused} of {rounds + refused} publications"
    registry.close()
    return sheet


def _publish(
    yard: Yard, registry: Registry, source: Path, begin: Callable[[], None], end: Callable[[], None]
) -> tuple[Manifest, int]:
    """Publish, the store going away meanwhile, until it is done; return what was, and how often it was refused."""
    new = NewVersion(POLICY, PolicyKind.CLASSIFY, run_id=f"run-{len(registry.versions(POLICY))}")
    away = Timer(yard.chance.uniform(0.0, 0.15), begin)
    away.start()
    try:
        return registry.publish(new, source), 0
    except Unavailable:
        away.join()
        end()
        return registry.publish(new, source), 1
    finally:
        away.join()
        end()


def _swap(
    yard: Yard,
    service: Service,
    registry: Registry,
    version: str,
    begin: Callable[[], None],
    end: Callable[[], None],
) -> None:
    """Promote, with the store away from a moment later on; bring it back, and return once the service swapped."""
    registry.move(POLICY, Channel.CHAMPION, version, actor="drill", reason="store away")
    time.sleep(yard.chance.uniform(0.0, 0.3))
    begin()
    time.sleep(max(1.0, AWAY_S * yard.share))
    end()
    asyncio.run(_served(service.target, version))


async def _served(target: str, version: str) -> None:
    ends = time.monotonic() + _PATIENCE_S
    await wait_until_serving(target)
    async with AsyncClient(target) as client:
        while (serves := (await client.classify(QUESTION, POLICY)).receipt.version) != version:
            if time.monotonic() > ends:
                raise RuntimeError(f"{version} is not served after the store came back; {serves} is")
            await asyncio.sleep(_LOOK_S)


def _whole(registry: Registry, publisher: Path, published: list[Manifest]) -> int:
    """How many of them can be fetched anew, with their digests."""
    shutil.rmtree(publisher / "cache")
    return sum(registry.fetch(POLICY, one.version).is_dir() for one in published)
