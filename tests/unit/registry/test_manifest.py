"""What is said of a version whose folder is not as its manifest says."""

from __future__ import annotations

from pathlib import Path

import pytest

from thumbwheel.errors import DamagedArtifact
from thumbwheel.records import PolicyKind
from thumbwheel.registry.manifest import build, verify
from thumbwheel.registry.port import NewVersion


def test_a_manifest_that_is_gone_is_told_with_its_policy_and_version(tmp_path: Path) -> None:
    expected = build(NewVersion("desk", PolicyKind.CLASSIFY), "v4", {}, created_us=1)
    with pytest.raises(DamagedArtifact, match=r"^desk v4: manifest\.json can not be read"):
        verify(tmp_path / "v4", expected)
