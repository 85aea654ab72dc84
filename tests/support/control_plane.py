"""A real Kubernetes control plane on loopback: API server, controllers, scheduler and etcd.

Nodes are played: a pod that the scheduler has put on one is said to run and to be ready, and one that is to go is gone.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from loopback import free_port
from manifests import Object, folder

CURE = "no Kubernetes control plane here; get it with: k8s/tests/fetch (needs Go 1.24 or newer)"
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
NODES = 4
VOLUMES = 24
_TOKEN = "of-this-test-alone"
_START_S = 120.0
_LOOK_S = 0.2


def binaries() -> Path | None:
    """Return the folder of the built programs, None where one is missing."""
    found = folder() / "bin"
    return found if all((found / part).exists() for part in PARTS) else None


class ControlPlane:
    """A running control plane. Its commands run as its administrator."""

    def __init__(self, programs: Path, home: Path) -> None:
        """Write what the parts read into `home`; nothing runs yet."""
        self._programs = programs
        self._home = home
        self._etcd, self._peers, self._port = (free_port() for _ in range(3))
        self._kubeconfig = home / "kubeconfig.yaml"
        (home / "tokens.csv").write_text(f'{_TOKEN},tester,1,"system:masters"\n')
        key = rsa.generate_private_key(65537, 2048)
        form, plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        (home / "accounts.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
        self._kubeconfig.write_text(yaml.safe_dump(self._access()))

    def _access(self) -> Object:
        cluster = {"server": f"https://127.0.0.1:{self._port}", "insecure-skip-tls-verify": True}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "tester", "user": {"token": _TOKEN}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "tester"}}],
            "current-context": "here",
        }

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        """The parts and their options, in the order in which they are started."""
        etcd, peers = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{self._peers}"
        key = self._home / "accounts.key"
        yield (
            "etcd",
            [
                f"--data-dir={self._home / 'etcd'}",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls={peers}",
                f"--initial-advertise-peer-urls={peers}",
                f"--initial-cluster=default={peers}",
                "--unsafe-no-fsync",
            ],
        )
        yield (
            "kube-apiserver",
            [
                f"--etcd-servers={etcd}",
                "--bind-address=127.0.0.1",
                f"--secure-port={self._port}",
                f"--cert-dir={self._home / 'certificates'}",
                f"--token-auth-file={self._home / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--enable-admission-plugins=PodSecurity",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--endpoint-reconciler-type=none",
            ],
        )
        access = f"--kubeconfig={self._kubeconfig}"
        quiet = ["--leader-elect=false", "--secure-port=0"]
        signing = f"--service-account-private-key-file={key}"
        # no kubelet tells how the nodes are, so nobody is to conclude that they are dead
        all_but = "--controllers=*,-node-lifecycle-controller"
        yield "kube-controller-manager", [access, *quiet, signing, all_but]
        yield "kube-scheduler", [access, *quiet]

    def start(self, stack: ExitStack) -> None:
        """Start every part; they are ended with `stack`."""
        for part, options in self.commands():
            stack.enter_context(self._running(part, options))
            if part == "kube-apiserver":
                self.wait_for(lambda: self.kubectl("get", "--raw=/readyz", check=False).returncode == 0, _START_S)
                self.wait_for(lambda: self._exists("namespace/default"), _START_S)

    @contextmanager
    def _running(self, part: str, options: list[str]) -> Iterator[None]:
        with (self._home / f"{part}.log").open("wb") as log:
            process = subprocess.Popen([str(self._programs / part), *options], stdout=log, stderr=log, cwd=self._home)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kubectl(self, *words: str, said: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl with `said` as its input; with `check` an error fails the test with what it wrote."""
        command = [str(self._programs / "kubectl"), f"--kubeconfig={self._kubeconfig}", *words]
        done = subprocess.run(command, input=said, capture_output=True, text=True, check=False, timeout=120)
        assert not check or done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done

    def apply(self, objects: Iterable[Object], *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Apply objects as the README says: on the server's side, every unknown field an error."""
        text = yaml.safe_dump_all(objects)
        return self.kubectl(
            "apply", "--server-side", "--validate=strict", "--filename=-", *options, said=text, check=check
        )

    def get(self, *words: str) -> Any:
        """Return what `kubectl get` finds."""
        return json.loads(self.kubectl("get", *words, "--output=json").stdout)

    def _exists(self, name: str) -> bool:
        return self.kubectl("get", name, check=False).returncode == 0

    def wait_for(self, holds: Any, timeout_s: float, every_s: float = _LOOK_S) -> None:
        """Return once `holds()` is true; fail after `timeout_s`."""
        ends = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < ends, f"not so after {timeout_s:.0f} s; the parts' logs:\n{self._logs()}"
            time.sleep(every_s)

    def _logs(self) -> str:
        return "\n".join(f"{one.name}: {one.read_text()[-1500:]}" for one in sorted(self._home.glob("*.log")))


@contextmanager
def running(programs: Path) -> Iterator[ControlPlane]:
    """Run a control plane with nodes and volumes, while the block runs."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kubernetes-")))
        plane = ControlPlane(programs, home)
        plane.start(stack)
        plane.apply([*map(_node, range(NODES)), _CLASS, *map(_volume, range(VOLUMES))])
        plane.kubectl("taint", "nodes", "--all", "node.kubernetes.io/not-ready:NoSchedule-")
        stack.enter_context(_played(plane))
        yield plane


@contextmanager
def _played(plane: ControlPlane) -> Iterator[None]:
    """Be the kubelets of all nodes while the block runs."""
    ended = threading.Event()
    kubelets = threading.Thread(target=_play, args=(plane, ended), name="kubelets")
    kubelets.start()
    try:
        yield
    finally:
        ended.set()
        kubelets.join()


def _play(plane: ControlPlane, ended: threading.Event) -> None:
    while not ended.wait(_LOOK_S):
        for pod in plane.get("pods", "--all-namespaces")["items"]:
            where, about = ["--namespace", pod["metadata"]["namespace"]], pod["metadata"]
            if "deletionTimestamp" in about:
                plane.kubectl(
                    "delete", "pod", about["name"], *where, "--force", "--grace-period=0", "--wait=false", check=False
                )
            elif pod["spec"].get("nodeName") and pod["status"].get("phase") == "Pending":
                patch = ["--subresource=status", "--type=merge", f"--patch={json.dumps({'status': _RUNS})}"]
                plane.kubectl("patch", "pod", about["name"], *where, *patch, check=False)


_RUNS: Object = {
    "phase": "Running",
    "conditions": [
        {"type": one, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for one in ("Initialized", "PodScheduled", "ContainersReady", "Ready")
    ],
}


def _node(number: int) -> Object:
    name, room = f"node-{number}", {"cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": f"zone-{number % 3}"},
        },
        "status": {"allocatable": room, "capacity": room},
    }


_CLASS: Object = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "fake", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kubernetes.io/no-provisioner",
}


def _volume(number: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"volume-{number}"},
        "spec": {
            "capacity": {"storage": "200Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fake",
            "hostPath": {"path": "/nowhere"},
        },
    }
