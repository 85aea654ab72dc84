from __future__ import annotations

import os
from pathlib import Path

import manifests
import pytest

# How each set of manifests is made: an overlay, a component on the base, or a combination of components.
SETS = {
    **{f"overlay-{one}": ("overlay", (one,)) for one in manifests.OVERLAYS},
    **{f"component-{one}": ("combination", (one,)) for one in manifests.COMPONENTS},
    **{f"combination-{name}": ("combination", names) for name, names in manifests.COMBINATIONS.items()},
}


@pytest.fixture(scope="session", autouse=True)
def kustomize() -> None:
    """Demand something that renders."""
    if manifests.kubectl() is None:
        if "kubernetes" in os.environ.get("THUMBWHEEL_REQUIRE", ""):
            pytest.fail(manifests.CURE)
        pytest.skip(manifests.CURE)


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[manifests.Object]]:
    """Every set of manifests by its name."""
    folder: Path = tmp_path_factory.mktemp("sets")
    return {
        name: manifests.overlay(names[0]) if how == "overlay" else manifests.combined(names, folder / name)
        for name, (how, names) in SETS.items()
    }


@pytest.fixture(params=SETS)
def objects(request: pytest.FixtureRequest, rendered: dict[str, list[manifests.Object]]) -> list[manifests.Object]:
    """The objects of one set."""
    return rendered[request.param]
