"""The control plane that the tests of this folder share, with the operators' definitions of their resources."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn

import control_plane
import pytest
from control_plane import ControlPlane
from manifests import folder


def _missing(cure: str) -> NoReturn:
    """Skip, saying what to do; fail where the control plane is demanded."""
    if "kubernetes" in os.environ.get("THUMBWHEEL_REQUIRE", ""):
        pytest.fail(cure)
    pytest.skip(cure)


@pytest.fixture(scope="session")
def bare_plane() -> Iterator[ControlPlane]:
    """A control plane without operators' resources."""
    programs = control_plane.binaries()
    if programs is None:
        _missing(control_plane.CURE)
    with control_plane.running(programs) as plane:
        yield plane


@pytest.fixture(scope="session")
def plane(bare_plane: ControlPlane) -> ControlPlane:
    """The control plane with every operator's resources, which no operator works on."""
    crds = folder() / "crds"
    operators = sorted(one for one in crds.glob("*") if any(one.glob("*.yaml")))
    if not operators:
        _missing(control_plane.CURE)
    for one in operators:
        bare_plane.kubectl("apply", "--server-side", f"--filename={one}")
    bare_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    if "kafkas.kafka.strimzi.io" not in bare_plane.kubectl("get", "crd", "--output=name").stdout:
        _missing("no definitions of Strimzi here: k8s/tests/fetch makes them with Maven and Java 21 or newer")
    return bare_plane
