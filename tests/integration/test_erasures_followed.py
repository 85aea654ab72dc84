"""A user that is erased elsewhere leaves the runs of every home that trains."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk import first_desk
from training_world import World, end

from thumbwheel.app.following import following_erasures
from thumbwheel.dataset.snapshot import Snapshot
from thumbwheel.errors import DamagedArtifact
from thumbwheel.records import AuditAction, AuditEntry
from thumbwheel.retrain.erase import follow_erasures
from thumbwheel.retrain.run_folder import RunFolder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def first_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return first_desk(tmp_path_factory.mktemp("policy") / "v1")


def users(folder: RunFolder) -> set[str]:
    return {row.response.user_hash for row in Snapshot(folder.snapshot).rows()}


def users_while_rewritten(folder: RunFolder) -> set[str]:
    try:
        return users(folder)
    except DamagedArtifact:  # the manifest that was read named rows that are no more
        return users_while_rewritten(folder)


def test_snapshot_and_report_lose_who_the_store_has_lost(tmp_path: Path, first_policy: Path) -> None:
    world = World(tmp_path / "home", first_policy)
    folder = world.plan()
    end(world.worker(folder))
    runs, before = world.settings.runs_dir, users(folder)
    assert follow_erasures(runs, world.store) == []
    assert users(folder) == before

    world.store.erase_user("u3")
    assert follow_erasures(runs, world.store) == [folder.path.name]
    assert users(folder) == before - {"u3"}
    assert "was erased since" in folder.report.read_text()
    assert follow_erasures(runs, world.store) == []

    with following_erasures(world.settings, world.store):
        world.store.erase_user("u5")
        world.store.audit(AuditEntry(1, AuditAction.USER_ERASED, "ann", "asked for"))
        while "u5" in users_while_rewritten(folder):
            pass
    assert users(folder) == before - {"u3", "u5"}
    world.close()
