"""Where n workers keep their checkpoint: in the run's folder, on a shared volume, in a store that has no rename."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest
from artifact_stores import s3_settings
from s3_server import S3Gateway

from thumbwheel.config.settings import Artifacts
from thumbwheel.errors import Unavailable
from thumbwheel.records import Run, RunState, RunStep
from thumbwheel.registry.artifacts.opening import open_store
from thumbwheel.retrain.checkpoint_place import LocalPlace, RemotePlace, checkpoint_place
from thumbwheel.retrain.left_checkpoints import clear_left


def test_without_a_store_it_is_the_runs_own_file(tmp_path: Path) -> None:
    local = tmp_path / "improve" / "checkpoint.safetensors"
    place = checkpoint_place(Artifacts(), "desk-1", local)
    assert place.bring(tmp_path / "scratch") == local


def test_on_a_shared_volume_it_lies_beside_the_versions(tmp_path: Path) -> None:
    place = checkpoint_place(Artifacts(url=f"file://{tmp_path}/a%20b"), "desk-1", Path("checkpoint.safetensors"))
    assert place == LocalPlace(tmp_path / "a b" / ".runs" / "desk-1" / "checkpoint.safetensors")
    place.clear()
    place.path.parent.mkdir(parents=True)
    place.path.write_bytes(b"state")
    place.clear()
    assert not place.path.exists()


def test_in_a_store_the_newest_is_found_by_whoever_comes(s3_gateway: S3Gateway, tmp_path: Path) -> None:
    artifacts, other = s3_settings(s3_gateway), tmp_path / "other"
    other.mkdir()
    place = checkpoint_place(artifacts, "desk-1", Path("checkpoint.safetensors"))
    assert not place.bring(tmp_path).exists()
    place.clear()
    for state in (b"first", b"second"):
        (tmp_path / "saved").write_bytes(state)
        place.put_away(tmp_path / "saved")
    assert place.bring(other).read_bytes() == b"second"
    assert open_store(artifacts).sizes("") == {".runs/desk-1/checkpoint.safetensors": 6}
    place.clear()
    assert open_store(artifacts).sizes("") == {}


def test_a_store_that_is_away_is_said_so(tmp_path: Path) -> None:
    nobody = Artifacts(url="s3://nobody/versions", endpoint_url="http://127.0.0.1:1", timeout_s=0.5)
    place = checkpoint_place(nobody, "desk-1", Path("checkpoint.safetensors"))
    (tmp_path / "saved").write_bytes(b"state")
    with pytest.raises(Unavailable, match="artifact store s3://nobody/versions"):
        place.put_away(tmp_path / "saved")


def run_in(state: RunState) -> Run:
    return Run(
        run_id="r", policy="p", state=state, step=RunStep.IMPROVE, parent_version="v1", started_us=1, watermark=0
    )


def place_of(artifacts: Artifacts, run: str) -> LocalPlace | RemotePlace:
    return checkpoint_place(artifacts, run, Path("checkpoint.safetensors"))


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_what_ended_runs_left_goes_and_what_is_at_work_stays(kind: str, tmp_path: Path) -> None:
    artifacts = Artifacts(url=f"file://{tmp_path}/a%20b" if kind == "file" else f"memory://{uuid.uuid4()}")
    runs = {state.value: run_in(state) for state in RunState}
    names = {*runs, "unknown"}
    for name in names:
        place = place_of(artifacts, name)
        saved = place.bring(tmp_path)
        saved.parent.mkdir(parents=True, exist_ok=True)
        saved.write_bytes(b"state")
        place.put_away(saved)
        if kind == "memory":
            saved.unlink()

    final = sorted(name for name, run in runs.items() if run.state.is_final)
    assert "failed" in final and "running" not in final
    assert clear_left(artifacts, runs.get) == final
    assert left_in(artifacts, names, tmp_path) == names - set(final)
    assert clear_left(artifacts, runs.get) == []
    assert clear_left(artifacts, runs.get, lambda: time.time() + 86_000) == []
    assert clear_left(artifacts, runs.get, lambda: time.time() + 87_000) == ["unknown"]
    assert left_in(artifacts, names, tmp_path) == {"running", "queued"}
    if kind == "file":
        assert {path.name for path in (tmp_path / "a b" / ".runs").iterdir()} == {"running", "queued"}


def left_in(artifacts: Artifacts, names: set[str], folder: Path) -> set[str]:
    """Which runs have a checkpoint to go on from."""
    found = set()
    for name in names:
        (scratch := folder / "looked" / uuid.uuid4().hex).mkdir(parents=True)
        if place_of(artifacts, name).bring(scratch).exists():
            found.add(name)
    return found


def test_nothing_left_and_a_store_that_is_away_are_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    assert clear_left(Artifacts(), lambda _: None) == []
    assert clear_left(Artifacts(url=f"file://{tmp_path}/volume"), lambda _: None) == []
    nobody = Artifacts(url="s3://nobody/versions", endpoint_url="http://127.0.0.1:1", timeout_s=0.5)
    assert clear_left(nobody, lambda _: None) == []
