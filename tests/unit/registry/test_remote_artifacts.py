"""A store without rename: its cache, what dies in it, and what it says when something is wrong."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from artifact_stores import Kept, folder_store, kept_remotely

from thumbwheel.errors import DamagedArtifact, InvalidInput, Unavailable
from thumbwheel.records import Manifest, PolicyKind, Run, RunState, RunStep
from thumbwheel.registry import manifest
from thumbwheel.registry.artifacts.faults import translated
from thumbwheel.registry.artifacts.remote import RemoteStore
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.store.sql import open_store

A_MINUTE_S = 60.0
AN_HOUR_S = 3_600.0
SIZE_BYTES = 10_000
NAMES = ["config.json", "model.safetensors"]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Its cache has room for two versions and their manifests, not for three."""
    return kept_remotely(folder_store(tmp_path / "store"), tmp_path, cache_bytes=2 * SIZE_BYTES + 4_000)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"w" * SIZE_BYTES)
    return made


def published(kept: Kept, source: Path, version: str = "v1", run_id: str = "") -> tuple[str, Manifest]:
    upload = kept.artifacts.upload("intent", source, NAMES)
    made = manifest.build(NewVersion("intent", PolicyKind.CLASSIFY, run_id=run_id), version, upload.digests, 1)
    return upload.seal(made), made


def cached(kept: Kept) -> set[str]:
    assert kept.cache is not None
    return {path.parent.name.partition("-")[0] for path in kept.cache.glob("*/*/manifest.json")}


def test_what_was_fetched_is_had_without_the_store(kept: Kept, source: Path) -> None:
    location, made = published(kept, source)
    folder = kept.artifacts.fetch(location, made)
    kept.raw.remove([f"{location}/{name}" for name in [*NAMES, "manifest.json"]])
    assert kept.artifacts.fetch(location, made) == folder
    kept.forget()
    with pytest.raises(DamagedArtifact):
        kept.artifacts.fetch(location, made)


@pytest.mark.parametrize("damage", ["flip", "remove", "add", "manifest"])
def test_a_damaged_cached_file_is_fetched_anew(kept: Kept, source: Path, damage: str) -> None:
    location, made = published(kept, source)
    folder = kept.artifacts.fetch(location, made)
    if damage == "flip":
        (folder / "model.safetensors").write_bytes(b"x" * SIZE_BYTES)
    elif damage == "remove":
        (folder / "config.json").unlink()
    elif damage == "add":
        (folder / "added.json").write_text("{}")
    else:
        (folder / "manifest.json").write_text("{}")
    assert kept.artifacts.fetch(location, made) == folder
    manifest.verify(folder, made)
    assert sorted(path.name for path in folder.iterdir()) == [*NAMES[:1], "manifest.json", *NAMES[1:]]


def test_the_least_recently_fetched_goes_first(kept: Kept, source: Path) -> None:
    versions = [published(kept, source, f"v{n}") for n in range(1, 4)]
    kept.artifacts.fetch(*versions[0])
    kept.clock.ahead_s = AN_HOUR_S
    kept.artifacts.fetch(*versions[1])
    kept.clock.ahead_s = 2 * AN_HOUR_S
    kept.artifacts.fetch(*versions[0])
    kept.clock.ahead_s = 3 * AN_HOUR_S
    kept.artifacts.fetch(*versions[2])
    assert cached(kept) == {"v1", "v3"}


def test_what_was_fetched_minutes_ago_stays_though_it_is_too_much(kept: Kept, source: Path) -> None:
    versions = [published(kept, source, f"v{n}") for n in range(1, 5)]
    kept.artifacts.fetch(*versions[0])
    kept.clock.ahead_s = 14 * A_MINUTE_S
    kept.artifacts.fetch(*versions[1])
    kept.artifacts.fetch(*versions[2])
    assert cached(kept) == {"v1", "v2", "v3"}
    kept.clock.ahead_s = 16 * A_MINUTE_S
    kept.artifacts.fetch(*versions[3])
    assert cached(kept) == {"v2", "v3", "v4"}


def test_a_version_larger_than_the_cache_is_served_all_the_same(tmp_path: Path, source: Path) -> None:
    kept = kept_remotely(folder_store(tmp_path / "store"), tmp_path, cache_bytes=0)
    kept.artifacts.fetch(*published(kept, source))
    kept.clock.ahead_s = AN_HOUR_S
    kept.artifacts.fetch(*published(kept, source, "v2"))
    assert cached(kept) == {"v2"}


def test_dead_downloads_go_after_a_day_and_those_under_way_stay(kept: Kept, source: Path) -> None:
    assert kept.cache is not None
    dead, alive = kept.cache / ".incoming-dead", kept.cache / ".incoming-alive"
    for folder in (dead, alive):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"w" * 3 * SIZE_BYTES)
    os.utime(dead, (0, 0))
    an_hour_ago = kept.clock() - AN_HOUR_S
    os.utime(alive, (an_hour_ago, an_hour_ago))
    kept.artifacts.fetch(*published(kept, source))
    assert (dead.exists(), alive.exists()) == (False, True)


def test_a_download_that_fails_leaves_nothing(kept: Kept, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location, made = published(kept, source)
    whole = RemoteStore.read

    def breaks(store: RemoteStore, name: str) -> Iterator[bytes]:
        if name.endswith("safetensors"):
            yield b"half"
            raise Unavailable("gone", 1.0)
        yield from whole(store, name)

    with monkeypatch.context() as patched:
        patched.setattr(RemoteStore, "read", breaks)
        with pytest.raises(Unavailable, match="gone"):
            kept.artifacts.fetch(location, made)
    assert kept.cache is not None and list(kept.cache.iterdir()) == []
    kept.artifacts.fetch(location, made)


def test_a_full_disk_is_told_as_the_caches(kept: Kept, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location, made = published(kept, source)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", full)
        with pytest.raises(Unavailable, match=r"the cache .*\(No space left") as raised:
            kept.artifacts.fetch(location, made)
    assert raised.value.retry_after_s > 0


def test_a_publication_gives_up_before_its_files_could_be_cleared(kept: Kept, source: Path) -> None:
    upload = kept.artifacts.upload("intent", source, NAMES)
    kept.clock.ahead_s = 13 * AN_HOUR_S
    made = manifest.build(NewVersion("intent", PolicyKind.CLASSIFY), "v1", upload.digests, 1)
    with pytest.raises(Unavailable, match="too long"):
        upload.seal(made)
    assert not any(name.endswith("manifest.json") for name in kept.files())


@pytest.mark.parametrize("content", [None, b"short"])
def test_a_store_that_lost_something_is_noticed(kept: Kept, source: Path, content: bytes | None) -> None:
    upload = kept.artifacts.upload("intent", source, NAMES)
    weights = next(name for name in kept.files() if name.endswith("safetensors"))
    if content is None:
        kept.remove(weights)
    else:
        kept.write(weights, content)
    made = manifest.build(NewVersion("intent", PolicyKind.CLASSIFY), "v1", upload.digests, 1)
    with pytest.raises(Unavailable, match="does not have all"):
        upload.seal(made)


def test_what_a_row_names_is_never_cleared(kept: Kept, source: Path) -> None:
    location, _ = published(kept, source)
    kept.remove(f"{location}/manifest.json")
    kept.clock.ahead_s = 100 * AN_HOUR_S
    kept.artifacts.clear_dead("intent", {location})
    assert len(kept.files()) == 2
    kept.artifacts.clear_dead("intent", set())
    assert kept.files() == set()


def test_what_a_publisher_that_died_before_the_row_has_left_goes_once_its_run_has_ended(
    kept: Kept, source: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    with closing(open_store(url)) as store, closing(SqlRegistry(url, kept.artifacts)) as registry:

        def run_is(state: RunState) -> None:
            lease = store.acquire_lease("intent", "dead", 60.0)
            store.save_run(Run("dead", "intent", state, RunStep.PUBLISH, "v1", started_us=1), lease)

        def publish(run_id: str) -> Manifest:
            return registry.publish(NewVersion("intent", PolicyKind.CLASSIFY, run_id=run_id), source)

        first, left = publish(""), published(kept, source, run_id="dead")[0]
        kept.clock.ahead_s = 24 * 7 * AN_HOUR_S + A_MINUTE_S
        run_is(RunState.RUNNING)
        publish("second")
        assert any(name.startswith(left) for name in kept.files())
        run_is(RunState.FAILED)
        third = publish("third")
        assert not any(name.startswith(left) for name in kept.files())
        for made in (first, third):
            registry.fetch("intent", made.version)
        assert len(kept.files()) == 3 * 3


def test_a_store_that_lets_nobody_delete_is_no_hindrance(
    kept: Kept, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.artifacts.upload("intent", source, NAMES)
    kept.clock.ahead_s = 100 * AN_HOUR_S

    def refuse(*_: object) -> None:
        raise Unavailable("refuses us", 1.0)

    monkeypatch.setattr(RemoteStore, "remove", refuse)
    kept.artifacts.clear_dead("intent", set())


def test_a_file_that_can_not_be_read_is_the_callers(kept: Kept, source: Path) -> None:
    (source / "model.safetensors").unlink()
    with pytest.raises(InvalidInput, match=r"model\.safetensors can not be read"):
        kept.artifacts.upload("intent", source, NAMES)


class OddError(Exception):
    """Of a backend that nobody knows."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError("hunter2"), "s3://bucket is not there; make the bucket"),
        (PermissionError("hunter2"), "s3://bucket refuses us; mend the credentials"),
        (OddError("hunter2"), r"s3://bucket is unavailable \(OddError\)"),
        (TimeoutError("hunter2"), r"s3://bucket is unavailable \(TimeoutError\)"),
    ],
)
def test_errors_of_backends_are_told_by_kind_without_their_texts(error: Exception, said: str) -> None:
    with pytest.raises(Unavailable, match=said) as raised, translated("s3://bucket"):
        raise error
    assert "hunter2" not in str(raised.value)
    assert raised.value.retry_after_s > 0


def test_our_own_errors_pass() -> None:
    damaged = DamagedArtifact("as it is")
    with pytest.raises(DamagedArtifact, match="as it is"), translated("s3://bucket"):
        raise damaged


def test_an_object_whose_writing_fails_is_not_completed(tmp_path: Path) -> None:
    """Closing a buffered file, or losing it, would send what it has."""
    from fsspec.spec import AbstractBufferedFile

    sent: list[bytes] = []

    class File(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
        def _upload_chunk(self, final: bool = False) -> bool:
            sent.append(self.buffer.getvalue())
            return True

        def _initiate_upload(self) -> None: ...

    class Store:
        def open(self, path: str, mode: str, block_size: int) -> Any:
            return File(None, path, mode, block_size)

    def breaking() -> Iterator[bytes]:
        yield b"half"
        raise InvalidInput("folder", "gone")

    store = RemoteStore(Store(), "bucket", "s3://bucket")
    with pytest.raises(InvalidInput):
        store.write("model.safetensors", breaking())
    assert sent == []
    store.write("model.safetensors", iter([b"whole"]))
    assert sent == [b"whole"]
