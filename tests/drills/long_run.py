"""A quarter of an hour of load with random faults from a seed: nothing is lost, and memory stays where it is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from statistics import linear_regression

import psutil
from balance_sheet import Sheet
from books import balance
from kafka_server import KafkaBroker
from postgres_server import PostgresServer
from voting import POLICY, Ledger, load
from yard import Service, Yard, kafka_settings

from thumbwheel.client import AdminClient

LASTS_S = 900.0
WARM_UP = 1 / 3
MOST_MIB_AN_HOUR = 60
_LOOK_S = 2.0
_MIB = 2**20


def drill(yard: Yard) -> Sheet:
    broker, server, ledger = yard.broker(), yard.postgres(), Ledger()
    url = yard.database(server)
    service = Service(yard.home(url), yard.flags(kafka_settings(broker), url))
    faults = _faults(yard, service, broker, server)
    done: Counter[str] = Counter()
    with service.running() as process:
        with load(service.target, ledger, pause_s=0.05) as voting:
            voting.wait_for(100)
            seen = _live_through(yard, psutil.Process(process.pid), faults, done)
        service.settle()
    sheet = balance(Sheet("long-run", yard.seed), url, ledger)
    sheet.expect("calls refused", 0, ledger.refused.total())
    slope = _slope_mib_an_hour(seen)
    sheet.expect(f"memory grows by more than {MOST_MIB_AN_HOUR} MiB an hour", 0, int(slope > MOST_MIB_AN_HOUR))
    sheet.facts["faults"] = ", ".join(f"{count} x {name}" for name, count in sorted(done.items()))
    sheet.facts["memory"] = f"{seen[-1][1] / _MIB:,.0f} MiB, {slope:+.1f} MiB an hour after warming up"
    return sheet


def _faults(
    yard: Yard, service: Service, broker: KafkaBroker, server: PostgresServer
) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """What can be done, and how it is undone some seconds later."""

    def swap() -> None:
        with AdminClient(service.admin) as admin:
            champion = next(one.champion for one in admin.status().policies if one.policy == POLICY)
            admin.promote(POLICY, "v1" if champion == "v2" else "v2", reason="drill", actor="drill")

    def nothing() -> None:
        pass

    return {
        "broker killed": (broker.kill, broker.start),
        "broker frozen": (broker.pause, broker.resume),
        "database crashed": (lambda: server.stop("immediate"), server.start),
        "swap": (swap, nothing),
    }


def _live_through(
    yard: Yard,
    service: psutil.Process,
    faults: dict[str, tuple[Callable[[], None], Callable[[], None]]],
    done: Counter[str],
) -> list[tuple[float, int]]:
    """Do one thing after another; return seconds and the service's resident bytes, looked at in between."""
    began, lasts_s, seen = time.monotonic(), LASTS_S * yard.share, list[tuple[float, int]]()

    def look_for(seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            seen.append((time.monotonic() - began, service.memory_info().rss))
            time.sleep(_LOOK_S)

    while time.monotonic() - began < lasts_s:
        name = yard.chance.choice(sorted(faults))
        begin, end = faults[name]
        yard.say(f"{time.monotonic() - began:.0f} of {lasts_s:.0f} s: {name}")
        begin()
        look_for(yard.chance.uniform(3, 15))
        end()
        done[name] += 1
        look_for(yard.chance.uniform(5, 20))
    return seen


def _slope_mib_an_hour(seen: list[tuple[float, int]]) -> float:
    """How fast memory grows after warming up, by least squares."""
    warm = [(at, size) for at, size in seen if at > seen[-1][0] * WARM_UP]
    slope, _ = linear_regression([at for at, _ in warm], [size for _, size in warm])
    return slope * 3_600 / _MIB
