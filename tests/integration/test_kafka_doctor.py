"""What `doctor` finds of a real cluster, each fault with its cure."""

from __future__ import annotations

import gc
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from kafka_server import KafkaBroker

from thumbwheel.app.clock_check import judge_clock
from thumbwheel.app.doctor import examine
from thumbwheel.app.finding import Finding
from thumbwheel.app.kafka_check import _topic, examine_kafka
from thumbwheel.bus.kafka_client import administrator
from thumbwheel.bus.kafka_cluster import IN_STEP_DEMANDED, clock_ahead_s
from thumbwheel.bus.kafka_topics import TopicState, create_topics
from thumbwheel.bus.port import FEEDBACK, REQUESTS, USER_KEYS
from thumbwheel.config.settings import Kafka, Log, Settings

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")


@pytest.fixture
def settings(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Settings]:
    kafka = {
        "bootstrap_servers": kafka_broker.bootstrap,
        "topic_prefix": f"{uuid.uuid4()}.",
        "partitions": 3,
        "replication": 1,
        "request_timeout_s": 2.0,
    }
    log = {"kind": "kafka", "feedback_durability": "outbox"}
    yield Settings.model_validate({"home": tmp_path, "log": log, "kafka": kafka})
    gc.collect()


def found(settings: Settings, **kafka: object) -> dict[str, Finding]:
    """The findings by name; topics without the test's prefix."""
    changed = settings.model_copy(update={"kafka": settings.kafka.model_copy(update=kafka)})
    return {one.check.replace(settings.kafka.topic_prefix, ""): one for one in examine_kafka(changed)}


def test_all_is_well_with_the_topics_that_were_made(settings: Settings) -> None:
    create_topics(settings.kafka)
    findings = found(settings)
    assert all(one.ok and not one.cure for one in findings.values()), findings
    assert findings[f"topic {REQUESTS}"].found == "3 partitions, 1 copies"
    assert {"kafka", "kafka clock", "votes", "ingest", f"topic {FEEDBACK}"} <= findings.keys()


def test_each_fault_of_a_topic_has_its_cure(settings: Settings) -> None:
    none = found(settings)
    assert "0 of 4 are there; 4 missing: " in none["topics"].found and not none["topics"].ok
    missing = none[f"topic {REQUESTS}"]
    assert (missing.ok, missing.found) == (False, "is missing: 3 partitions are expected, 1 copies of each")
    assert missing.cure == "make it: thumbwheel --config FILE topics create (`thumbwheel move` makes it, too)"
    create_topics(settings.kafka)
    for change, cure in (
        ({"partitions": 8}, "set kafka.partitions to 3"),
        ({"replication": 3}, "kafka-reassign-partitions"),
        ({"retention_days": 400}, f"set the topic's retention.ms to {400 * 86_400_000}"),
        ({"retention_days": 0}, "set the topic's retention.ms to -1"),
        ({"max_record_bytes": 8 << 20}, f"set the topic's max.message.bytes to {(8 << 20) + 1024}"),
    ):
        finding = found(settings, **change)[f"topic {FEEDBACK}"]
        assert not finding.ok
        assert cure in finding.cure
    assert found(settings, retention_days=30)[f"topic {FEEDBACK}"].ok


def test_with_votes_at_the_broker_one_copy_is_too_few(settings: Settings) -> None:
    create_topics(settings.kafka)
    assert found(settings)[f"topic {FEEDBACK}"].ok
    at_broker = settings.model_copy(update={"log": Log(kind="kafka", feedback_durability="broker")})
    finding = found(at_broker)[f"topic {FEEDBACK}"]
    assert (finding.ok, "1 of 1 copies" in finding.found, "kafka.replication 3" in finding.cure) == (False, True, True)


@pytest.mark.parametrize(
    ("copies", "in_step", "demanded", "at_broker", "problem"),
    [
        (3, 3, 2, True, ""),
        (3, 2, 2, True, ""),
        (3, 3, 1, True, "1 of 3 copies in step"),
        (1, 1, 1, True, "1 of 1 copies in step"),
        (3, 3, 1, False, ""),
        (3, 1, 2, False, "has 1 copies in step, min.insync.replicas demands 2"),
    ],
)
def test_what_an_acknowledgement_is_worth(
    copies: int, in_step: int, demanded: int, at_broker: bool, problem: str
) -> None:
    state = TopicState("t", 3, copies, in_step, 3)
    finding = _topic(state, Kafka(replication=1), {IN_STEP_DEMANDED: str(demanded)}, at_broker)
    assert finding.ok == (not problem)
    assert problem in finding.found and bool(finding.cure) == bool(problem)


def test_a_topic_of_keys_that_loses_them_is_told(settings: Settings) -> None:
    create_topics(settings.kafka)
    name = settings.kafka.topic_prefix + USER_KEYS
    with administrator(settings.kafka) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": "delete"})])
    finding = found(settings)[f"topic {USER_KEYS}"]
    assert (finding.ok, "loses keys" in finding.found, finding.cure) == (
        False,
        True,
        "set the topic's cleanup.policy to compact",
    )


def test_a_broker_that_is_away_is_one_finding(settings: Settings, kafka_broker: KafkaBroker) -> None:
    kafka_broker.kill()
    findings = found(settings)
    assert findings.keys() == {"votes", "kafka"}
    assert "Kafka is unavailable" in findings["kafka"].found
    assert "kafka.bootstrap_servers" in findings["kafka"].cure
    checks = {one.check for one in examine(settings)}
    assert {"kafka", "crc32c", "home"} <= checks
    assert "kafka" not in {one.check for one in examine(Settings(home=settings.home))}


def test_the_cluster_tells_its_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead_s = clock_ahead_s(settings.kafka)
    assert ahead_s is not None and abs(ahead_s) < 2.0
    monkeypatch.setattr("thumbwheel.bus.kafka_cluster.time", SimpleNamespace(time=lambda: time.time() + 3_600))
    ahead_s = clock_ahead_s(settings.kafka)
    assert ahead_s is not None and abs(ahead_s - 3_600) < 2.0
    finding = judge_clock("kafka clock", ahead_s)
    assert (finding.ok, "ahead" in finding.found, "NTP" in finding.cure) == (False, True, True)


def test_a_clock_that_can_not_be_seen_is_no_fault() -> None:
    assert judge_clock("kafka clock", None).ok
    assert not judge_clock("kafka clock", -60.0).ok
    assert judge_clock("kafka clock", -4.0).found == "this machine's clock is 4.0 s behind"


@pytest.mark.parametrize(("kind", "ok"), [("ext4", True), ("tmpfs", False), ("overlay", False)])
def test_votes_on_a_disk_that_goes_with_the_machine_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, ok: bool
) -> None:
    mounts = [
        SimpleNamespace(mountpoint=point, fstype=of)
        for point, of in (("/", "other"), (str(tmp_path), kind), (f"{tmp_path}/elsewhere", "other"))
    ]
    monkeypatch.setattr("psutil.disk_partitions", lambda all: mounts)
    away = {"bootstrap_servers": "127.0.0.1:1", "request_timeout_s": 1.0}
    home = tmp_path / "deep" / "home"
    settings = Settings.model_validate(
        {"home": home, "log": {"kind": "kafka", "feedback_durability": "outbox"}, "kafka": away}
    )
    finding = next(iter(examine_kafka(settings)))
    assert (finding.check, finding.ok) == ("votes", ok)
    assert ok or "log.feedback_durability" in finding.cure
    default = settings.model_copy(update={"log": Log(kind="kafka")})
    told = next(iter(examine_kafka(default)))
    assert (told.ok, "once the broker has them" in told.found) == (True, not ok)
