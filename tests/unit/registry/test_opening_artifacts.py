"""Which store the settings choose."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from thumbwheel.config.settings import Artifacts, Settings
from thumbwheel.errors import InvalidConfig, Unavailable
from thumbwheel.records import PolicyKind
from thumbwheel.registry import manifest
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.artifacts.opening import open_artifacts, open_store
from thumbwheel.registry.artifacts.remote import RemoteArtifacts
from thumbwheel.registry.port import NewVersion


def test_without_a_url_it_is_a_folder_of_the_home_made_when_needed(tmp_path: Path) -> None:
    open_artifacts(Settings(home=tmp_path)).check()
    assert list(tmp_path.iterdir()) == [tmp_path / "versions"]


def test_a_shared_volume_is_used_where_it_is_and_never_made(tmp_path: Path) -> None:
    shared = tmp_path / "shared volume"
    artifacts = open_artifacts(Settings(home=tmp_path / "home", artifacts=Artifacts(url=shared.as_uri())))
    assert isinstance(artifacts, LocalArtifacts)
    made = manifest.build(NewVersion("intent", PolicyKind.CLASSIFY), "v1", {}, 1)
    for attempt in (
        artifacts.check,
        lambda: artifacts.upload("intent", tmp_path, []),
        lambda: artifacts.fetch("intent/v1", made),
    ):
        with pytest.raises(Unavailable, match="shared volume is not there; mount the volume"):
            attempt()
    assert list(tmp_path.iterdir()) == []
    shared.mkdir()
    artifacts.check()
    assert list(tmp_path.iterdir()) == [shared] and list(shared.iterdir()) == []


def test_another_scheme_is_a_store_without_rename(tmp_path: Path) -> None:
    section = Artifacts(url="memory://somewhere/versions")
    artifacts = open_artifacts(Settings(home=tmp_path, artifacts=section))
    assert isinstance(artifacts, RemoteArtifacts)
    artifacts.check()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"artifacts\.url: no store is known"):
        open_store(Artifacts(url="nosuch://bucket"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules, "thumbwheel.registry.artifacts.s3", raising=False)
    with pytest.raises(InvalidConfig, match=r"s3fs.*thumbwheel\[s3\]"):
        open_store(Artifacts(url="s3://bucket"))
