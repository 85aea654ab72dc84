"""A real API server takes every set of manifests, and refuses what is misspelt or may do too much."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import manifests
import pytest
from control_plane import ControlPlane
from manifests import COMBINATIONS, COMPONENTS, OVERLAYS, Object, pods_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BUILT_IN = ("v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1")
SETS: dict[str, Callable[[Path, str], list[Object]]] = {
    **{
        f"overlay-{name}": lambda into, space, name=name: manifests.moved(name, into, space)  # type: ignore[misc]
        for name in OVERLAYS
    },
    **{
        f"{kind}-{name}": lambda into, space, parts=parts: manifests.combined(parts, into, space)  # type: ignore[misc]
        for kind, sets in (("component", {one: (one,) for one in COMPONENTS}), ("combination", COMBINATIONS))
        for name, parts in sets.items()
    },
}


@pytest.mark.parametrize("name", SETS)
def test_the_server_takes_it(plane: ControlPlane, tmp_path: Path, name: str) -> None:
    """Applied as the README says, without an error and without a warning."""
    objects = SETS[name](tmp_path / name, name)
    plane.apply([one for one in objects if one["kind"] == "Namespace"])
    done = plane.apply([one for one in objects if one["kind"] != "Namespace"])
    assert "arning" not in done.stderr, done.stderr
    plane.apply(objects)  # and again, as an upgrade that changes nothing


@pytest.mark.parametrize("name", SETS)
def test_its_pods_are_let_in(plane: ControlPlane, tmp_path: Path, name: str) -> None:
    """Each pod as its controller, or KubeRay, would make it, under the enforced restricted standard."""
    objects = SETS[name](tmp_path / name, name)
    space = [one for one in objects if one["kind"] in ("Namespace", "ServiceAccount")]
    plane.apply(space)
    pods = [pod_of(one.name, name, one.spec) for one in pods_of(objects)]
    done = plane.apply(pods, "--dry-run=server")
    assert done.stdout.count("serverside-applied") == len(pods)
    pods[0]["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    refused = plane.apply(pods[:1], "--dry-run=server", check=False)
    assert 'violates PodSecurity "restricted:v1.34"' in refused.stderr


def pod_of(name: str, namespace: str, spec: Object) -> Object:
    """A pod of a template; claims of a StatefulSet are volumes by then."""
    spec = copy.deepcopy(spec)
    known = {one["name"] for one in spec.get("volumes", [])}
    mounted = {
        mount["name"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]
        for mount in container.get("volumeMounts", [])
    }
    claims = [{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in sorted(mounted - known)]
    spec["volumes"] = [*spec.get("volumes", []), *claims]
    for container in spec["containers"]:
        if not container.get("image"):
            container["image"] = "image:1"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def customs() -> list[Object]:
    """One of each custom resource that the components make."""
    found: dict[str, Object] = {}
    for file in sorted(manifests.K8S.glob("components/*/*.yaml")):
        for one in manifests.documents(file):
            if one.get("apiVersion", "") not in BUILT_IN and not one.get("apiVersion", "").startswith("kustomize"):
                found.setdefault(one.get("kind", ""), one)
    return [one for kind, one in found.items() if kind and "spec" in one]


@pytest.mark.parametrize("custom", customs(), ids=lambda one: one["kind"])
def test_a_misspelt_field_is_refused(plane: ControlPlane, custom: Object) -> None:
    """At every place of the resource where the server knows which fields there are: it must name the wrong one."""
    custom = {**custom, "metadata": {**custom["metadata"], "namespace": "default"}}
    assert plane.apply([custom], "--dry-run=server").returncode == 0
    for field in custom["spec"]:
        wrong = copy.deepcopy(custom)
        wrong["spec"][f"{field}x"] = wrong["spec"].pop(field)
        refused = plane.apply([wrong], "--dry-run=server", check=False)
        assert refused.returncode != 0, field
        assert f"{field}x" in refused.stderr, (field, refused.stderr)


def test_a_misspelt_field_of_our_own_is_refused(plane: ControlPlane) -> None:
    [retrain] = manifests.of_kind(manifests.documents(manifests.K8S / "base" / "retrain.yaml"), "CronJob")
    retrain["metadata"]["namespace"] = "default"
    assert plane.apply([retrain], "--dry-run=server").returncode == 0
    retrain["spec"]["concurencyPolicy"] = retrain["spec"].pop("concurrencyPolicy")
    refused = plane.apply([retrain], "--dry-run=server", check=False)
    assert "concurencyPolicy" in refused.stderr
