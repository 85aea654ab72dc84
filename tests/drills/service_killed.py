"""The service is killed by SIGKILL in the middle of bursts of votes, the broker now and then with it."""

from __future__ import annotations

from balance_sheet import Sheet
from books import balance
from voting import Ledger, load
from yard import Service, Yard, kafka_settings

KILLS = 20


def with_outbox(yard: Yard) -> Sheet:
    """Votes durable in the outbox: its disk outlives the service. Every third burst has no broker."""
    return _drill("service-killed", yard, disk_too=False)


def with_its_disk(yard: Yard) -> Sheet:
    """Votes durable at the broker: the outbox goes with every kill."""
    return _drill("service-and-disk-lost", yard, disk_too=True)


def _drill(name: str, yard: Yard, disk_too: bool) -> Sheet:
    broker, url = yard.broker(), yard.database(yard.postgres())
    kafka, ledger = kafka_settings(broker), Ledger()
    durability = "broker" if disk_too else "outbox"
    service = Service(yard.home(url), yard.flags(kafka, url, feedback_durability=durability))
    kills = yard.times(KILLS, 3)
    for kill in range(kills):
        broker_too = not disk_too and kill % 3 == 2
        with service.running() as process, load(service.target, ledger) as burst:
            if broker_too:
                broker.kill()
            burst.wait_for(yard.chance.randint(30, 200))
            process.kill()
        if disk_too:
            for file in service.home.glob("log.sqlite*"):
                file.unlink()
        broker.start()
        yard.say(f"kill {kill + 1} of {kills}: {len(ledger.votes):,} votes acknowledged")
    with service.running():
        service.settle()
    if disk_too:
        # an answer is durable in the outbox only, and may be gone with it; a vote takes its answer along
        ledger.answers.clear()
    sheet = balance(Sheet(name, yard.seed), url, ledger)
    sheet.facts["service killed"] = f"{kills} times"
    return sheet
