"""The Kubernetes manifests as `kubectl kustomize` renders them, and what tests look for in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
VERSION = "1.34.2"
CURE = "no kubectl here; get one with: apt-get install golang && k8s/tests/fetch kubectl (needs Go 1.24 or newer)"
OVERLAYS = sorted(one.name for one in (K8S / "overlays").iterdir())
COMPONENTS = sorted(one.name for one in (K8S / "components").iterdir())

# Besides the overlays and each component alone: what operators put together.
COMBINATIONS: Mapping[str, tuple[str, ...]] = {
    "managed": ("managed-stores", "s3"),
    "managed-ray": ("managed-stores", "s3", "kuberay-serve", "kuberay-train"),
    "operators-ray": (
        "cnpg-postgres",
        "strimzi-kafka",
        "s3",
        "kuberay-serve",
        "kuberay-train",
        "prometheus-operator",
        "keda-autoscaling",
        "gateway-api",
        "cert-manager",
    ),
    "single-node-watched": ("single-node", "prometheus-operator", "gateway-api"),
}

Object = dict[str, Any]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is


@dataclass(frozen=True)
class Pods:
    """Pods that an object makes: what it is, their labels and annotations, and what they are."""

    kind: str
    name: str
    labels: Mapping[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        """All containers, those that come first too."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def own(self) -> list[Object]:
        """The containers of Thumbwheel's image that run `thumbwheel`."""
        ours = [one for one in self.containers if one["image"].rpartition("/")[2].startswith("thumbwheel:")]
        return [one for one in ours if arguments(one) is not None]


def folder() -> Path:
    """Where `k8s/tests/fetch` puts what it builds."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("THUMBWHEEL_KUBERNETES") or cache_home / "thumbwheel" / f"kubernetes-{VERSION}")


def kubectl() -> Path | None:
    """Return the kubectl that was built, else one of the PATH that knows components; None where there is none."""
    built = folder() / "bin" / "kubectl"
    if built.exists():
        return built
    found = shutil.which("kubectl")
    return Path(found) if found and "Kustomize Version: v5" in _said(found, "version", "--client") else None


def overlay(name: str) -> list[Object]:
    """Return the objects of an overlay."""
    return _rendered(K8S / "overlays" / name)


def combined(components: Iterable[str], into: Path, namespace: str = "thumbwheel") -> list[Object]:
    """Return the objects of the base with components, in an overlay that is written into the folder `into`."""
    into.mkdir(parents=True, exist_ok=True)
    names = [os.path.relpath(K8S / "components" / one, into) for one in components]
    content = {"namespace": namespace, "resources": [os.path.relpath(K8S / "base", into)], "components": names}
    (into / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return _rendered(into)


def moved(name: str, into: Path, namespace: str) -> list[Object]:
    """Return the objects of an overlay in another namespace."""
    into.mkdir(parents=True, exist_ok=True)
    content = {"namespace": namespace, "resources": [os.path.relpath(K8S / "overlays" / name, into)]}
    (into / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return _rendered(into)


@cache
def _rendered(where: Path) -> list[Object]:
    program = kubectl()
    assert program is not None, CURE
    return [one for one in yaml.load_all(_said(str(program), "kustomize", str(where)), _LOADER) if one]


def documents(file: Path) -> list[Object]:
    """Return the objects that a file says, before kustomize has changed them."""
    return [one for one in yaml.load_all(file.read_text(), _LOADER) if isinstance(one, dict)]


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """Return the objects of these kinds."""
    return [one for one in objects if one["kind"] in kinds]


def pods_of(objects: Iterable[Object]) -> list[Pods]:
    """Return the pods that the objects make; of custom resources only a RayCluster's are ours to say."""
    return [pods for one in objects for pods in _pods(one)]


def _pods(one: Object) -> Iterator[Pods]:
    kind, name, spec = one["kind"], one["metadata"]["name"], one.get("spec", {})
    if kind in ("Deployment", "StatefulSet", "Job"):
        yield _of_template(kind, name, spec["template"])
    elif kind == "CronJob":
        yield _of_template(kind, name, spec["jobTemplate"]["spec"]["template"])
    elif kind == "RayCluster":
        groups = {"head": spec["headGroupSpec"], **{group["groupName"]: group for group in spec["workerGroupSpecs"]}}
        for group, found in groups.items():
            pods = _of_template(kind, f"{name}-{group}", found["template"])
            yield Pods(kind, pods.name, {**pods.labels, "ray.io/cluster": name}, pods.spec)


def _of_template(kind: str, name: str, template: Object) -> Pods:
    return Pods(kind, name, template["metadata"]["labels"], template["spec"])


def arguments(container: Object) -> list[str] | None:
    """Return what `thumbwheel` is given in a container, None where something else runs.

    The image's entry point is `thumbwheel`; a script of `bash -c` names it in a line.
    """
    command = container.get("command")
    if command is None:
        return list(container["args"]) if "args" in container else None
    lines = [line.strip().removeprefix("exec ").removesuffix(" &") for line in command[-1].splitlines()]
    called = [line.split()[1:] for line in lines if line.startswith("thumbwheel ")]
    return called[0] if called else None


def environment(container: Object, objects: Iterable[Object]) -> dict[str, str]:
    """Return the variables of a container; what it asks of the node counts as 2, what a Secret holds as empty."""
    maps = {one["metadata"]["name"]: one["data"] for one in of_kind(objects, "ConfigMap")}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]
    for one in container.get("env", []):
        asked = one.get("valueFrom", {})
        found[one["name"]] = one.get("value", "2" if "resourceFieldRef" in asked else "")
    return found


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector, of matchLabels and matchExpressions, selects these labels; an empty one selects all."""
    same = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return same and all(_expressed(one, labels) for one in selector.get("matchExpressions") or [])


def _expressed(expression: Object, labels: Mapping[str, str]) -> bool:
    key, operator = expression["key"], expression["operator"]
    if operator in ("Exists", "DoesNotExist"):
        return (key in labels) is (operator == "Exists")
    return (labels.get(key) in list(expression["values"])) is (operator == "In")
