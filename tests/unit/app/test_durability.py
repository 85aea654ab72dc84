"""What OK means for a vote where nobody has said it: by the disk under the outbox."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from thumbwheel.app import storage
from thumbwheel.app.durability import feedback_durability, file_system
from thumbwheel.app.storage import open_storage
from thumbwheel.bus.broker_votes import BrokerVotes
from thumbwheel.cli.main import group
from thumbwheel.config.settings import Settings
from thumbwheel.feedback.keys import load_or_make_keys

AWAY = {"bootstrap_servers": "127.0.0.1:1", "request_timeout_s": 1, "ack_timeout_s": 2}


def settings_of(home: Path, **log: str) -> Settings:
    return Settings.model_validate({"home": home, "log": log, "kafka": AWAY if log.get("kind") == "kafka" else {}})


def on_disk(monkeypatch: pytest.MonkeyPatch, mountpoint: Path, kind: str) -> None:
    mounts = [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint=str(mountpoint), fstype=kind)]
    monkeypatch.setattr("psutil.disk_partitions", lambda all: mounts)


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs", "overlay"])
def test_with_kafka_the_broker_where_the_disk_is_fleeting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    on_disk(monkeypatch, tmp_path, kind)
    held = feedback_durability(settings_of(tmp_path / "home", kind="kafka"))
    assert (held.place, held.disk, held.fleeting) == ("broker", kind, True)
    assert feedback_durability(settings_of(tmp_path / "home")).place == "outbox"
    assert feedback_durability(settings_of(tmp_path / "home", kind="kafka", feedback_durability="outbox")).fleeting


def test_with_kafka_the_outbox_where_the_disk_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_disk(monkeypatch, tmp_path, "xfs")
    held = feedback_durability(settings_of(tmp_path / "home", kind="kafka"))
    assert (held.place, held.disk, held.fleeting) == ("outbox", "xfs", False)
    asked = feedback_durability(settings_of(tmp_path / "home", kind="kafka", feedback_durability="broker"))
    assert (asked.place, asked.why) == ("broker", "log.feedback_durability says so")


def test_of_two_mounts_on_one_place_the_later_is_seen(tmp_path: Path) -> None:
    assert file_system(tmp_path, [("/", "overlay"), (str(tmp_path), "ext4"), (str(tmp_path), "tmpfs")]) == "tmpfs"
    assert file_system(tmp_path, []) == "of unknown kind"


@pytest.mark.parametrize(("kind", "behind_broker"), [("tmpfs", 1), ("ext4", 0)])
def test_votes_go_where_the_disk_says_and_the_process_tells_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    behind_broker: int,
) -> None:
    made: list[BrokerVotes] = []

    class Seen(BrokerVotes):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(storage, "BrokerVotes", Seen)
    on_disk(monkeypatch, tmp_path, kind)
    settings = settings_of(tmp_path / "home", kind="kafka")
    load_or_make_keys(settings.keys_path, 1)
    with open_storage(settings, lambda _: None):
        assert len(made) == behind_broker
    assert f"place={('outbox', 'broker')[behind_broker]}" in capsys.readouterr().out


def test_config_show_tells_what_holds_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(*flags: str) -> str:
        words = ["--home", str(tmp_path / "home"), *flags, "config", "show", "log.feedback_durability"]
        return CliRunner().invoke(group, words, catch_exceptions=False).stdout

    on_disk(monkeypatch, tmp_path, "tmpfs")
    with_kafka = ("--set", "log.kind=kafka", "--set", "kafka.bootstrap_servers=k:9092")
    assert "auto: here broker" in shown(*with_kafka)
    assert "auto: here outbox" in shown()
    assert "auto: here" not in shown(*with_kafka, "--set", "log.feedback_durability=outbox")
