"""A publication that dies at any point leaves nothing half-visible, and the next one finishes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.database.transactions import writing
from thumbwheel.errors import Unavailable
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.registry import channels, manifest, sql
from thumbwheel.registry.artifacts import local
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry


class Died(BaseException):
    """Stands for the end of the process: no handler in the code under test may catch it."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    engine = connect(f"sqlite:///{tmp_path / 'store.sqlite'}")
    migrate(engine)
    engine.dispose()
    made = tmp_path / "made"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(os.urandom(4096))
    return tmp_path


def registry_in(home: Path) -> SqlRegistry:
    return SqlRegistry(f"sqlite:///{home / 'store.sqlite'}", LocalArtifacts(home / "versions"))


@pytest.mark.parametrize(
    ("module", "name"),
    [(local, "copy_synced"), (local, "write_manifest"), (local, "sync"), (sql, "_row")],
)
def test_death_before_the_row_shows_nothing_and_is_finished_later(
    home: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    new = NewVersion("intent", PolicyKind.CLASSIFY, run_id="run-1")

    def die(*_: object) -> None:
        raise Died

    registry = registry_in(home)
    with monkeypatch.context() as patched:
        patched.setattr(module, name, die)
        patched.setattr(local, "_remove", lambda _: None)
        with pytest.raises(Died):
            registry.publish(new, home / "made")
    assert registry.policies() == []
    assert registry.publish(new, home / "made").version == "v1"
    registry.fetch("intent", "v1")
    registry.close()


def test_what_died_long_ago_is_cleared(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = home / "versions" / "intent" / ".incoming-old"
    left.mkdir(parents=True)
    young = home / "versions" / "intent" / ".incoming-young"
    young.mkdir()
    os.utime(left, (0, 0))
    registry = registry_in(home)
    registry.publish(NewVersion("intent", PolicyKind.CLASSIFY), home / "made")
    registry.close()
    assert not left.exists() and young.exists()


def test_a_disk_that_refuses_is_named_and_nothing_is_published(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    registry = registry_in(home)
    with monkeypatch.context() as patched:
        patched.setattr(local, "sync", refuse)
        with pytest.raises(Unavailable, match="No space left") as raised:
            registry.publish(NewVersion("intent", PolicyKind.CLASSIFY), home / "made")
    assert raised.value.retry_after_s > 0
    assert registry.policies() == []
    assert list((home / "versions" / "intent").iterdir()) == []
    registry.close()


def test_a_move_that_dies_leaves_pointer_trail_and_generation(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = registry_in(home)
    registry.publish(NewVersion("intent", PolicyKind.CLASSIFY), home / "made")
    generation = registry.generation()

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(channels, "_row", die)
        with pytest.raises(Died):
            registry.move("intent", Channel.CHAMPION, "v1", actor="ann", reason="first")
    assert (registry.channels("intent"), registry.history("intent")) == ({}, [])
    assert registry.generation() == generation
    registry.close()


PUBLISHER = """
import sys
from pathlib import Path
from thumbwheel.records import PolicyKind
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
home = Path(sys.argv[1])
registry = SqlRegistry(f"sqlite:///{home / 'store.sqlite'}", LocalArtifacts(home / "versions"))
for n in range(int(sys.argv[2]), 10_000):
    version = registry.publish(NewVersion("intent", PolicyKind.CLASSIFY, run_id=f"run-{n}"), home / "made").version
    print(n, version, flush=True)
"""


def test_a_killed_publisher_loses_no_version_and_doubles_none(home: Path) -> None:
    said: dict[int, str] = {}
    for kill in range(5):
        start = max(said, default=0)
        child = subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(home), str(start)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for _ in range(3 + kill):
            n, version = child.stdout.readline().split()
            assert said.setdefault(int(n), version) == version
        child.send_signal(signal.SIGKILL)
        for line in child.stdout.read().splitlines(keepends=True):
            if line.endswith("\n"):
                said[int(line.split()[0])] = line.split()[1]
        child.wait()
        child.stdout.close()
    registry = registry_in(home)
    kept = {made.run_id: made.version for made in registry.versions("intent")}
    assert {f"run-{n}": version for n, version in said.items()}.items() <= kept.items()
    assert len(kept) - len(said) <= 1  # the one whose row was written, but not yet said
    for version in kept.values():
        registry.fetch("intent", version)
    registry.close()


def test_a_commit_without_an_answer_leaves_the_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row may be there: what it names must not be removed."""

    @contextmanager
    def unanswered(engine: Engine) -> Iterator[Connection]:
        with writing(engine) as connection:
            yield connection
        raise Unavailable("the server was lost", 1.0)

    new = NewVersion("intent", PolicyKind.CLASSIFY, run_id="run-1")
    registry = registry_in(home)
    with monkeypatch.context() as patched:
        patched.setattr(sql, "writing", unanswered)
        with pytest.raises(Unavailable, match="server was lost"):
            registry.publish(new, home / "made")
    assert registry.publish(new, home / "made").version == "v1"
    registry.fetch("intent", "v1")
    registry.close()


def test_a_database_that_refuses_the_row_leaves_no_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Engine) -> None:
        raise Unavailable("the database is away", 1.0)

    registry = registry_in(home)
    with monkeypatch.context() as patched:
        patched.setattr(sql, "writing", refuse)
        with pytest.raises(Unavailable, match="database is away"):
            registry.publish(NewVersion("intent", PolicyKind.CLASSIFY), home / "made")
    assert list((home / "versions" / "intent").iterdir()) == []
    registry.close()


def test_a_frozen_publisher_that_wakes_overwrites_nothing(home: Path) -> None:
    """Its number, and the place it wanted, were taken meanwhile."""
    artifacts, registry = LocalArtifacts(home / "versions"), registry_in(home)
    names = ["config.json", "model.safetensors"]
    frozen = artifacts.upload("intent", home / "made", names)
    made = registry.publish(NewVersion("intent", PolicyKind.CLASSIFY), home / "made")
    location = frozen.seal(manifest.build(NewVersion("intent", PolicyKind.CLASSIFY), "v1", frozen.digests, 7))
    assert location.startswith("intent/v1-")
    assert registry.fetch("intent", "v1") == home / "versions" / "intent" / made.version
    frozen.discard()
    assert [path.name for path in (home / "versions" / "intent").iterdir()] == ["v1"]
    registry.close()
