"""Versions on a real S3 gateway, which is killed and stopped, and whose publishers are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from artifact_stores import Kept, kept_remotely, s3_settings
from s3_server import PASSWORD, USER, S3Gateway

from thumbwheel.app.doctor import examine
from thumbwheel.app.storage import open_registry
from thumbwheel.config.settings import Artifacts, Settings
from thumbwheel.errors import DamagedArtifact, InvalidInput, Unavailable
from thumbwheel.records import Channel, Manifest, PolicyKind
from thumbwheel.registry.artifacts.opening import open_store
from thumbwheel.registry.artifacts.remote import RemoteStore, RemoteUpload
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry

NEW = NewVersion("intent", PolicyKind.CLASSIFY, run_id="run-1")
PARTS_BYTES = 20 << 20  # more than one part of an upload
A_DAY_S = 86_400.0


@pytest.fixture
def settings(s3_gateway: S3Gateway, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", artifacts=s3_settings(s3_gateway, timeout_s=2.0))


@pytest.fixture
def kept(settings: Settings, tmp_path: Path) -> Kept:
    return kept_remotely(open_store(settings.artifacts), tmp_path / "other")


@pytest.fixture
def registry(settings: Settings) -> Iterator[SqlRegistry]:
    opened = open_registry(settings)
    yield opened
    opened.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"weights")
    (made / "tokenizer.json").write_text("{}")
    return made


def test_a_version_of_many_parts_goes_there_and_back(registry: SqlRegistry, source: Path) -> None:
    block = bytes(range(256)) * 4096
    (source / "model.safetensors").write_bytes(block * (PARTS_BYTES // len(block)))
    made = registry.publish(NEW, source)
    registry.move("intent", Channel.CHAMPION, made.version, actor="ann", reason="first")
    fetched = registry.fetch("intent", made.version)
    assert (fetched / "model.safetensors").stat().st_size == PARTS_BYTES
    assert sorted(path.name for path in fetched.iterdir()) == [
        "config.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
    ]


PUBLISHER = """
import sys, time
from pathlib import Path
from thumbwheel.app.storage import open_registry
from thumbwheel.config.settings import Settings
from thumbwheel.records import PolicyKind
from thumbwheel.registry.artifacts import remote
from thumbwheel.registry.port import NewVersion

def stand_still(*_):
    print("here", flush=True)
    sys.stdin.read()

point, settings, source = sys.argv[1], Settings.model_validate_json(sys.argv[2]), Path(sys.argv[3])
if point == "in a file":
    whole = remote._chunks
    def chunks(path):
        for number, chunk in enumerate(whole(path)):
            if path.name == "model.safetensors" and number == 17:  # a part was sent
                stand_still()
            yield chunk
    remote._chunks = chunks
elif point == "between files":
    send = remote.RemoteUpload.send
    def sent(upload, path, name):
        if name == "tokenizer.json":
            stand_still()
        send(upload, path, name)
    remote.RemoteUpload.send = sent
elif point == "before the manifest":
    remote.RemoteUpload.seal = stand_still
else:
    seal = remote.RemoteUpload.seal
    def sealed(upload, manifest):
        seal(upload, manifest)
        stand_still()
    remote.RemoteUpload.seal = sealed
open_registry(settings).publish(NewVersion("intent", PolicyKind.CLASSIFY, run_id="run-1"), source)
"""


@pytest.mark.parametrize("point", ["in a file", "between files", "before the manifest", "before the row"])
def test_a_publisher_that_is_killed_shows_nothing_and_the_next_one_publishes(
    registry: SqlRegistry, settings: Settings, kept: Kept, source: Path, point: str
) -> None:
    (source / "model.safetensors").write_bytes(b"w" * PARTS_BYTES)
    command = [sys.executable, "-c", PUBLISHER, point, settings.model_dump_json(), str(source)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "here\n"
        child.kill()
    assert registry.policies() == []
    left = kept.files()
    assert "model.safetensors" not in {name.rpartition("/")[2] for name in left} or point != "in a file"

    made = registry.publish(NEW, source)
    assert (made.version, registry.publish(NEW, source)) == ("v1", made)
    location = kept.location(made)
    registry.move("intent", Channel.CHAMPION, "v1", actor="ann", reason="first")
    kept.clock.ahead_s = A_DAY_S + 600
    kept.artifacts.clear_dead("intent", {location})
    dead = {name for name in kept.files() if not name.startswith(f"{location}/")}
    assert dead == (left if point == "before the row" else set())  # what has a manifest may be another database's
    kept.artifacts.fetch(location, made)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "pause"])
@pytest.mark.parametrize("point", ["send", "seal"])
def test_a_store_that_goes_away_is_unavailable_and_shows_nothing(
    registry: SqlRegistry,
    s3_gateway: S3Gateway,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    point: str,
) -> None:
    whole = getattr(RemoteUpload, point)

    def away(upload: RemoteUpload, *arguments: object) -> object:
        if point == "seal" or "model.safetensors" in arguments:
            s3_gateway.kill() if how == "kill" else s3_gateway.pause()
        return whole(upload, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(RemoteUpload, point, away)
        with pytest.raises(Unavailable, match=r"the artifact store s3://bucket-\w+/some/versions is unavailable"):
            registry.publish(NEW, source)
    assert registry.policies() == []
    s3_gateway.start() if how == "kill" else s3_gateway.resume()
    made = registry.publish(NEW, source)
    assert made.version == "v1"
    registry.fetch("intent", "v1")


def test_what_was_fetched_is_moved_to_without_the_store_and_the_rest_is_not(
    registry: SqlRegistry, s3_gateway: S3Gateway, source: Path
) -> None:
    registry.publish(NEW, source)
    registry.publish(NewVersion("intent", PolicyKind.CLASSIFY), source)
    registry.fetch("intent", "v1")
    s3_gateway.kill()
    registry.move("intent", Channel.CHAMPION, "v1", actor="ann", reason="cached")
    with pytest.raises(Unavailable):
        registry.move("intent", Channel.CHAMPION, "v2", actor="ann", reason="not cached")
    assert registry.channels("intent") == {Channel.CHAMPION: "v1"}


def test_an_object_that_was_altered_is_damage(registry: SqlRegistry, kept: Kept, source: Path) -> None:
    made = registry.publish(NEW, source)
    kept.write(f"{kept.location(made)}/model.safetensors", b"w3ights")
    with pytest.raises(DamagedArtifact, match=r"model\.safetensors was altered"):
        registry.fetch("intent", "v1")


def test_a_file_that_breaks_while_it_is_sent_is_not_completed(
    kept: Kept, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"w" * PARTS_BYTES
        raise InvalidInput("folder", "gone")

    with pytest.raises(InvalidInput):
        kept.raw.write("intent/x/model.safetensors", breaking())
    assert kept.files() == set()


@pytest.mark.parametrize("fault", ["password", "bucket", "nobody"])
def test_who_is_not_let_in_hears_why_but_no_secret(
    s3_gateway: S3Gateway, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    section = s3_settings(s3_gateway, timeout_s=2.0)
    if fault == "password":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    elif fault == "nobody":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    else:
        section = Artifacts(url="s3://no-such-bucket/x", endpoint_url=s3_gateway.endpoint_url)
    said = {
        "password": "refuses us; mend the credentials",
        "nobody": "NoCredentialsError.*credentials",
        "bucket": "is not there; make the bucket",
    }[fault]
    settings = Settings(home=tmp_path / "home", artifacts=section)
    registry = open_registry(settings)
    try:
        with pytest.raises(Unavailable, match=said) as raised:
            registry.publish(NEW, source)
        assert not {"hunter2", USER, PASSWORD} & set(str(raised.value).split())
    finally:
        registry.close()


def test_doctor_tells_whether_the_store_can_be_written_and_read(settings: Settings, s3_gateway: S3Gateway) -> None:
    def finding() -> tuple[bool, str]:
        [one] = [one for one in examine(settings) if one.check == "artifacts"]
        return one.ok, one.found if one.ok else one.cure

    assert finding() == (True, f"{settings.artifacts.url} can be written and read")
    s3_gateway.kill()
    assert finding() == (False, "look whether it runs, and at its credentials and address")


def test_the_store_is_shared_by_homes(registry: SqlRegistry, settings: Settings, source: Path, tmp_path: Path) -> None:
    """Two machines with one database and one store, each with a cache of its own."""
    made: Manifest = registry.publish(NEW, source)
    there = SqlRegistry(
        settings.database_url, kept_remotely(open_store(settings.artifacts), tmp_path / "there").artifacts
    )
    try:
        assert there.manifest("intent", "v1") == made
        assert there.fetch("intent", "v1").is_relative_to(tmp_path / "there")
    finally:
        there.close()


def test_the_store_answers_what_it_is_asked(kept: Kept) -> None:
    """The few things that the adapter rests on, asked of the real thing."""
    assert isinstance(kept.raw, RemoteStore)
    assert (kept.raw.sizes("intent"), kept.raw.folders("intent")) == ({}, [])
    kept.write("intent/v1/a.json", b"12345")
    kept.write("intent/v10/b.json", b"1")
    assert kept.raw.sizes("intent/v1") == {"a.json": 5}
    assert sorted(kept.raw.folders("intent")) == ["v1", "v10"]
    assert abs(kept.raw.modified_s("intent/v1/a.json") - kept.clock()) < 3600
    with pytest.raises(DamagedArtifact, match=r"intent/v1/c\.json is not in s3://"):
        b"".join(kept.raw.read("intent/v1/c.json"))
