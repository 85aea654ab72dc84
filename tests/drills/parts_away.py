"""Parts are away when the service starts, and for minutes under load."""

from __future__ import annotations

import time
from statistics import quantiles

from balance_sheet import Sheet
from books import balance
from voting import Ledger, load
from yard import Service, Yard, kafka_settings

AWAY_S = 120.0


def broker(yard: Yard) -> Sheet:
    """No broker at the start; then it is killed, and later it hangs, while users vote on."""
    server, url = yard.broker(), yard.database(yard.postgres())
    ledger = Ledger()
    service = Service(yard.home(url), yard.flags(kafka_settings(server), url))
    away_s = AWAY_S * yard.share
    server.kill()
    with service.running():
        yard.say("serving without a broker")
        with load(service.target, ledger) as voting:
            voting.wait_for(100)
            server.start()
            voting.wait_for(100)
            there = _latency(ledger)
            server.kill()
            yard.say(f"the broker is away for {away_s:.0f} s")
            time.sleep(away_s)
            away = _latency(ledger)
            server.start()
            voting.wait_for(100)
            server.pause()
            yard.say(f"the broker hangs for {away_s / 2:.0f} s")
            time.sleep(away_s / 2)
            server.resume()
            voting.wait_for(100)
        service.settle()
    sheet = balance(Sheet("broker-away", yard.seed), url, ledger)
    sheet.expect("calls refused", 0, ledger.refused.total())
    sheet.expect("answers that were not logged", 0, ledger.not_logged)
    sheet.facts["p99 of a vote, broker there / away"] = f"{there * 1e3:.1f} / {away * 1e3:.1f} ms"
    return sheet


def database(yard: Yard) -> Sheet:
    """The database is away for minutes while users vote on, crashes while everything is caught up with, and hangs."""
    server = yard.postgres()
    kafka, url, ledger = kafka_settings(yard.broker()), yard.database(server), Ledger()
    service = Service(yard.home(url), yard.flags(kafka, url))
    away_s = AWAY_S * yard.share
    with service.running():
        with load(service.target, ledger) as voting:
            voting.wait_for(100)
            server.stop("immediate")
            yard.say(f"the database is away for {away_s:.0f} s")
            time.sleep(away_s)
            voting.wait_for(100)
            server.start()
            time.sleep(yard.chance.uniform(0.5, 2.0))
            server.stop("immediate")
            server.start()
            voting.wait_for(100)
            with server.paused():
                yard.say(f"the database hangs for {away_s / 2:.0f} s")
                voting.wait_for(100)
                time.sleep(away_s / 2)
                voting.wait_for(100)
            voting.wait_for(100)
        service.settle()
    sheet = balance(Sheet("database-away", yard.seed), url, ledger)
    sheet.expect("calls refused", 0, ledger.refused.total())
    sheet.expect("answers that were not logged", 0, ledger.not_logged)
    return sheet


def _latency(ledger: Ledger) -> float:
    """The 99th percentile of the votes since it was asked for last, in seconds."""
    latency_s, ledger.latency_s = ledger.latency_s, []
    return quantiles(latency_s, n=100)[-1]
