"""What controllers make of the manifests: rolling keeps enough, a drain waits, and one run is at work at a time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from subprocess import CompletedProcess

import manifests
import pytest
from control_plane import ControlPlane
from manifests import of_kind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SPACE = "behaviour"
NO_SCHEDULE = {"spec": {"nodeSelector": {"nowhere": "true"}}}


@pytest.fixture(scope="module")
def service(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> ControlPlane:
    """The overlay for production, its pods running on nodes that are played."""
    objects = manifests.moved("production", tmp_path_factory.mktemp("sets") / "production", SPACE)
    plane.apply(of_kind(objects, "Namespace"))
    plane.apply([one for one in objects if one["kind"] not in ("Namespace", "ScaledObject")])
    plane.kubectl("--namespace", SPACE, "scale", "deployment/ingest", "--replicas=2")
    for one in ("deployment/web", "deployment/ingest", "statefulset/serve"):
        plane.kubectl("--namespace", SPACE, "rollout", "status", one, "--timeout=100s")
    plane.wait_for(lambda: len(ready(plane, "serve")) == 3, 100)  # what the autoscaler wants at least
    return plane


def ready(plane: ControlPlane, part: str) -> list[str]:
    """The names of a part's pods that are ready and not leaving."""
    found = plane.get("pods", f"--namespace={SPACE}", f"--selector=app.kubernetes.io/component={part}")["items"]
    return [
        one["metadata"]["name"]
        for one in found
        if "deletionTimestamp" not in one["metadata"]
        and any(each["type"] == "Ready" and each["status"] == "True" for each in one["status"].get("conditions", []))
    ]


@pytest.mark.parametrize(
    ("kind", "part", "least"), [("deployment", "web", 2), ("deployment", "ingest", 2), ("statefulset", "serve", 2)]
)
def test_rolling_keeps_the_budget(service: ControlPlane, kind: str, part: str, least: int) -> None:
    before = set(ready(service, part))
    service.kubectl("--namespace", SPACE, "rollout", "restart", f"{kind}/{part}")
    seen: list[tuple[int, int, int]] = []
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        budget = service.get("poddisruptionbudget", part, f"--namespace={SPACE}")["status"]
        seen.append((len(ready(service, part)), budget["currentHealthy"], budget["desiredHealthy"]))
        done = service.kubectl(
            "--namespace", SPACE, "rollout", "status", f"{kind}/{part}", "--watch=false", check=False
        ).stdout
        if "successfully rolled out" in done or "rolling update complete" in done:
            break
    else:
        pytest.fail(f"not rolled out: {seen}")
    assert min(count for count, _, _ in seen) >= least, seen
    assert all(healthy >= desired for _, healthy, desired in seen), seen
    if kind == "deployment":
        assert not before & set(ready(service, part))  # all of them are others


def test_a_drain_takes_one_at_a_time(service: ControlPlane) -> None:
    """With no room for another, the second eviction is refused until there is."""
    nodes = [one["metadata"]["name"] for one in service.get("nodes")["items"]]
    first, second = sorted(ready(service, "web"))
    service.kubectl("cordon", *nodes)
    try:
        assert evict(service, first).returncode == 0
        service.wait_for(lambda: ready(service, "web") == [second], 60)
        refused = evict(service, second)
        assert "would violate the pod's disruption budget" in refused.stderr
        assert ready(service, "web") == [second]
    finally:
        service.kubectl("uncordon", *nodes)
    service.wait_for(lambda: len(ready(service, "web")) == 2, 60)


def evict(plane: ControlPlane, pod: str) -> CompletedProcess[str]:
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": SPACE},
    }
    path = f"/api/v1/namespaces/{SPACE}/pods/{pod}/eviction"
    return plane.kubectl("create", "--raw", path, "--filename=-", said=json.dumps(body), check=False)


def test_a_second_run_is_forbidden_while_one_is_at_work(service: ControlPlane, tmp_path: Path) -> None:
    """Due every minute, and its pod finding no node: the job stays active, and no other is begun beside it."""
    patch = {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": NO_SCHEDULE}}}}
    service.kubectl("--namespace", SPACE, "patch", "cronjob/retrain", "--type=merge", "--patch", json.dumps(patch))
    service.wait_for(lambda: len(runs(service)) == 1, 90, 1.0)
    [begun] = runs(service)
    service.wait_for(lambda: "JobAlreadyActive" in reasons(service), 90, 1.0)
    assert runs(service) == [begun]


def runs(plane: ControlPlane) -> list[str]:
    found = plane.get("jobs", f"--namespace={SPACE}")["items"]
    owned = [one for one in found if one["metadata"].get("ownerReferences", [{}])[0].get("name") == "retrain"]
    return [one["metadata"]["name"] for one in owned if one["status"].get("active")]


def reasons(plane: ControlPlane) -> set[str]:
    events = plane.get("events", f"--namespace={SPACE}", "--field-selector=involvedObject.kind=CronJob")["items"]
    return {one["reason"] for one in events}
