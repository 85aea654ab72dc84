"""What every store of versions promises, whatever it is. An adapter joins by a line in `STORES`."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from artifact_stores import Kept, folder_store, kept_in_folder, kept_remotely, s3_settings

from thumbwheel.errors import DamagedArtifact
from thumbwheel.records import Manifest, PolicyKind
from thumbwheel.registry import manifest
from thumbwheel.registry.artifacts.opening import open_store
from thumbwheel.registry.artifacts.port import Upload
from thumbwheel.registry.port import NewVersion

NAMES = ["config.json", "model.safetensors", "tokenizer/vocab ü.txt"]
A_DAY_S = 86_400.0


def local(_request: pytest.FixtureRequest, home: Path) -> Kept:
    return kept_in_folder(home)


def folder(_request: pytest.FixtureRequest, home: Path) -> Kept:
    return kept_remotely(folder_store(home / "store"), home)


def s3(request: pytest.FixtureRequest, home: Path) -> Kept:
    return kept_remotely(open_store(s3_settings(request.getfixturevalue("s3_gateway"))), home)


STORES: dict[str, Callable[[pytest.FixtureRequest, Path], Kept]] = {"local": local, "folder": folder, "s3": s3}


@pytest.fixture(params=STORES)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return STORES[request.param](request, tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "tokenizer").mkdir(parents=True)
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(bytes(range(256)) * 5000)
    (made / "tokenizer" / "vocab ü.txt").write_text("a\nb\n")
    return made


def described(upload: Upload, version: str = "v1", run_id: str = "") -> Manifest:
    return manifest.build(NewVersion("intent", PolicyKind.CLASSIFY, run_id=run_id), version, upload.digests, 1)


def published(kept: Kept, source: Path, version: str = "v1", run_id: str = "") -> tuple[str, Manifest]:
    upload = kept.artifacts.upload("intent", source, NAMES)
    made = described(upload, version, run_id)
    return upload.seal(made), made


def test_what_goes_in_comes_out(kept: Kept, source: Path) -> None:
    upload = kept.artifacts.upload("intent", source, NAMES)
    assert upload.digests == {name: hashlib.sha256((source / name).read_bytes()).hexdigest() for name in NAMES}
    made = described(upload)
    fetched = kept.artifacts.fetch(upload.seal(made), made)
    assert {name: (fetched / name).read_bytes() for name in NAMES} == {
        name: (source / name).read_bytes() for name in NAMES
    }
    assert manifest.read_manifest(fetched) == made
    assert sorted(p.relative_to(fetched).as_posix() for p in fetched.rglob("*") if p.is_file()) == sorted(
        [*NAMES, "manifest.json"]
    )


def test_the_manifest_comes_last(kept: Kept, source: Path) -> None:
    upload = kept.artifacts.upload("intent", source, NAMES)
    assert sorted(name.split("/", 2)[2] for name in kept.files()) == NAMES
    location = upload.seal(described(upload))
    assert kept.files() == {f"{location}/{name}" for name in [*NAMES, "manifest.json"]}


def test_sealing_again_replaces_the_manifest(kept: Kept, source: Path) -> None:
    upload = kept.artifacts.upload("intent", source, NAMES)
    first, second = described(upload, "v1"), described(upload, "v2")
    upload.seal(first)
    location = upload.seal(second)
    assert manifest.read_manifest(kept.artifacts.fetch(location, second)) == second
    kept.forget()
    with pytest.raises(DamagedArtifact, match="manifest"):
        kept.artifacts.fetch(location, first)
    assert len(kept.files()) == 4


def test_two_with_one_number_lie_beside_each_other(kept: Kept, source: Path) -> None:
    one, first = published(kept, source)
    (source / "config.json").write_text("[]")
    other, second = published(kept, source)
    assert one != other
    assert (kept.artifacts.fetch(one, first) / "config.json").read_text() == "{}"
    assert (kept.artifacts.fetch(other, second) / "config.json").read_text() == "[]"


@pytest.mark.parametrize("sealed", [False, True])
def test_what_is_discarded_is_gone(kept: Kept, source: Path, sealed: bool) -> None:
    location, made = published(kept, source)
    upload = kept.artifacts.upload("intent", source, NAMES)
    if sealed:
        upload.seal(described(upload, "v2"))
    upload.discard()
    upload.discard()
    assert kept.files() == {f"{location}/{name}" for name in [*NAMES, "manifest.json"]}
    kept.artifacts.fetch(location, made)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"\0" * 1_280_000),
        ("tokenizer/vocab ü.txt", b""),
        ("config.json", None),
        ("manifest.json", None),
        ("manifest.json", b"{}"),
        ("added.json", b"{}"),
    ],
)
def test_damage_is_told_with_the_files_name(kept: Kept, source: Path, name: str, content: bytes | None) -> None:
    location, made = published(kept, source)
    if content is None:
        kept.remove(f"{location}/{name}")
    else:
        kept.write(f"{location}/{name}", content)
    with pytest.raises(DamagedArtifact, match=name):
        kept.artifacts.fetch(location, made)
    kept.artifacts.fetch(*published(kept, source, "v2"))


def test_what_is_not_there_is_damage(kept: Kept, source: Path) -> None:
    _, made = published(kept, source)
    with pytest.raises(DamagedArtifact):
        kept.artifacts.fetch("intent/elsewhere", made)


def test_only_dead_uploads_are_cleared_and_only_when_old(kept: Kept, source: Path) -> None:
    sealed, made = published(kept, source)
    kept.artifacts.upload("intent", source, NAMES)  # dies here
    kept.artifacts.upload("other", source, NAMES)
    everything = kept.files()
    kept.clock.ahead_s = A_DAY_S - 600
    kept.artifacts.clear_dead("intent", set())
    assert kept.files() == everything
    kept.clock.ahead_s = A_DAY_S + 600
    kept.artifacts.clear_dead("intent", set())
    left = kept.files()
    assert {name for name in left if name.startswith("intent/")} == {
        f"{sealed}/{name}" for name in [*NAMES, "manifest.json"]
    }
    assert {name for name in everything if name.startswith("other/")} <= left
    kept.artifacts.fetch(sealed, made)


def test_what_no_row_came_to_name_is_cleared_a_week_after_once_its_run_has_ended(kept: Kept, source: Path) -> None:
    ended, registered, at_work, foreign, by_hand = (
        published(kept, source, f"v{number}", run)[0]
        for number, run in enumerate(("ended", "ended", "at-work", "another-database's", ""))
    )
    kept.clock.ahead_s = 7 * A_DAY_S - 600
    kept.artifacts.clear_dead("intent", {registered}, {"ended"})
    assert {name.rpartition("/manifest.json")[0] for name in kept.files() if name.endswith("manifest.json")} == {
        ended, registered, at_work, foreign, by_hand
    }  # fmt: skip
    kept.clock.ahead_s = 7 * A_DAY_S + 600
    kept.artifacts.clear_dead("intent", {registered})
    assert any(name.startswith(ended) for name in kept.files())
    kept.artifacts.clear_dead("intent", {registered}, {"ended"})
    left = {name.rpartition("/manifest.json")[0] for name in kept.files() if name.endswith("manifest.json")}
    assert left == {registered, at_work, foreign, by_hand}
    assert not any(name.startswith(f"{ended}/") for name in kept.files())


def test_clearing_a_store_that_was_never_used_is_nothing(kept: Kept) -> None:
    kept.artifacts.clear_dead("intent", set())


def test_the_check_leaves_nothing(kept: Kept) -> None:
    kept.artifacts.check()
    assert kept.files() == set()


def test_many_fetch_the_same_at_once(kept: Kept, source: Path) -> None:
    location, made = published(kept, source)
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(kept.artifacts.fetch(location, made))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 4 and len(set(folders)) == 1
    manifest.verify(folders[0], made)
