"""Serving on Ray: replicas killed in bursts of votes, their node with them, all of it; and swaps under load."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
from balance_sheet import Sheet
from books import balance, orphaned, waiting_in_error
from chat_swaps import replayed, swap_under_load
from loopback import free_port
from scaled_service import CURE as RAY_CURE
from scaled_service import ingest_all, logged_chats, make_home, ray_can_serve, replica_pids, serving, settings_of
from service_ledger import wait_until_serving
from voting import Ledger, load
from yard import Missing, Yard, kafka_settings

from thumbwheel.app.outboxes import unshipped
from thumbwheel.simulate.service import ServiceProcess

KILLS = 20
NODE_EVERY = 5  # every so many, the kill is of the node process, or of everything
SWAPS = 20
REPLICAS = 2
_LOOK_S = 0.1
_PATIENCE_S = 240.0


def killed(yard: Yard) -> Sheet:
    """A replica is killed in the middle of a burst; now and then the node process, or all there is."""
    return _killed("ray-killed", yard, disk_too=False)


def killed_with_its_disk(yard: Yard) -> Sheet:
    """Votes durable at the broker: the outboxes go with what is killed."""
    return _killed("ray-and-disk-lost", yard, disk_too=True)


def killed_with_answers_at_broker(yard: Yard) -> Sheet:
    """Answers durable at the broker, too: whatever disk goes, no acknowledged vote is without its answer."""
    return _killed("ray-and-disk-lost-answers-at-broker", yard, disk_too=True, answers="broker")


def _killed(name: str, yard: Yard, disk_too: bool, answers: str = "outbox") -> Sheet:
    _demand_ray()
    kafka, url, ledger = kafka_settings(yard.broker()), yard.database(yard.postgres()), Ledger()
    port, durability = free_port(), "broker" if disk_too else "outbox"
    own = settings_of(kafka, serve__port=port, log__answer_durability=answers)
    settings = {**own, **yard.flags(kafka, url, feedback_durability=durability)}
    home, kills, done = yard.home(url), yard.times(KILLS, NODE_EVERY), Counter[str]()
    while done.total() < kills:
        with serving(home, settings, "ray") as service:
            while done.total() < kills and psutil.pid_exists(service.pid):
                _wait_for_replicas(service)
                what = _what(done.total() + 1)
                below = psutil.Process(service.pid).children(recursive=True)
                with load(f"127.0.0.1:{port}", ledger) as burst:
                    burst.wait_for(yard.chance.randint(30, 200))
                    held = _kill(yard, what, service)
                    if disk_too and what == "replica":
                        _lose(held)
                done[what] += 1
                yard.say(f"kill {done.total()} of {kills}, {what}: {len(ledger.votes):,} votes acknowledged")
                if what != "replica":
                    _until(lambda: _over(service))
                    psutil.wait_procs(below, _PATIENCE_S)
                    if disk_too:
                        _lose((home / "replicas").glob("*/log.sqlite"))
                    break
    with serving(home, settings, "ray") as service:
        _wait_for_replicas(service)
        _wait_until_shipped(home)
    ingest_all(home, settings)
    sheet = Sheet(name, yard.seed)
    if disk_too:
        _without_their_answers(sheet, url, ledger, answers)
    balance(sheet, url, ledger, orphaned=len(orphaned(url)) if disk_too else 0)
    sheet.facts["killed"] = ", ".join(f"{what} {count} times" for what, count in done.items())
    return sheet


def _without_their_answers(sheet: Sheet, url: str, ledger: Ledger, answers: str) -> None:
    """Say of votes in the log whose answer went with a disk: they wait in the store in vain.

    A replica that is killed with its outbox alone stands for another machine that is lost. The answers in that outbox
    are lost before they are voted on, which whoever takes the vote can not know, unless answers are at the broker, too.
    """
    sheet.expect("votes that wait for an answer that is stored", 0, waiting_in_error(url))
    ledger.answers.clear()
    in_vain, what = ledger.votes & orphaned(url), "acknowledged votes whose answer went with another replica's disk"
    if answers == "broker":
        sheet.expect(what, 0, len(in_vain))
        return
    ledger.votes -= in_vain
    sheet.facts[what] = f"{len(in_vain):,}"


def swapped(yard: Yard) -> Sheet:
    """The champion moves among three versions while clients generate and stream; every answer is replayed."""
    _demand_ray()
    home, settings = yard.folder / "home", settings_of(kafka_settings(yard.broker()))
    make_home(home)
    with serving(home, settings, "ray") as service:
        _wait_for_replicas(service)
        seen = asyncio.run(swap_under_load(service, swaps := yard.times(SWAPS, 3)))
        _wait_until_shipped(home)
    logged = logged_chats(home, settings)
    replays = replayed(home, logged)
    sheet = Sheet("ray-swaps", yard.seed)
    sheet.expect("calls refused", 0, len(seen.errors))
    sheet.expect("answers that name more than one version", 0, seen.mixed)
    sheet.expect("answers given, that are in Kafka", seen.answers, len({one.response_id for one in logged}))
    sheet.expect("answers that replay on the version they name, and on no other", len(logged), sum(replays.values()))
    sheet.facts["answers by version"] = ", ".join(f"{version} {count:,}" for version, count in replays.items())
    sheet.facts["swaps"] = f"{swaps}, on {REPLICAS} replicas"
    return sheet


def _demand_ray() -> None:
    if not ray_can_serve():
        raise Missing(RAY_CURE)


def _what(kill: int) -> str:
    if kill % NODE_EVERY:
        return "replica"
    return "node process" if kill // NODE_EVERY % 2 else "everything"


def _kill(yard: Yard, what: str, service: ServiceProcess) -> list[Path]:
    """Kill it; return the outbox of a replica that was."""
    if what == "everything":
        service.kill()
    elif what == "node process":
        [raylet] = [
            one for one in psutil.Process(service.pid).children(recursive=True) if one.name().startswith("raylet")
        ]
        raylet.kill()
    else:
        replica = psutil.Process(yard.chance.choice(replica_pids(service)))
        held = [Path(one.path) for one in replica.open_files()]
        replica.kill()
        psutil.wait_procs([replica], _PATIENCE_S)
        return [path for path in held if path.name == "log.sqlite"]
    return []


def _lose(outboxes: Iterable[Path]) -> None:
    for outbox in list(outboxes):
        for file in outbox.parent.glob("log.sqlite*"):
            file.unlink(missing_ok=True)


def _over(service: ServiceProcess) -> bool:
    """Whether the service ended by itself: without Ray it has nothing to serve with, and its supervisor is we."""
    return service.status is not None


def _wait_for_replicas(service: ServiceProcess) -> None:
    _until(lambda: len(replica_pids(service)) == REPLICAS)
    asyncio.run(wait_until_serving(service.addresses["grpc"]))


def _wait_until_shipped(home: Path) -> None:
    _until(lambda: unshipped(home / "replicas") == 0)


def _until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > ends:
            raise RuntimeError("waited too long")
        time.sleep(_LOOK_S)
