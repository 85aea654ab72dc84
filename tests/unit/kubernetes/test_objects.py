"""What objects name of each other, and of the product: selectors, ports, routes, metrics."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from manifests import K8S, Object, matches, of_kind, pods_of
from prometheus_client import generate_latest
from service_names import ADMIN_SERVICE, FEEDBACK_SERVICE, INFERENCE_SERVICE

from thumbwheel.telemetry.metrics import Metrics

OPERATED = re.compile(r'Route\(f?"(/[^"{]*)')
METRIC = re.compile(r"\bthumbwheel_[a-z_]+")


def selected(objects: list[Object], labels: Object) -> list[str]:
    return [one.name for one in pods_of(objects) if matches({"matchLabels": labels}, one.labels)]


def test_services_lead_somewhere(objects: list[Object]) -> None:
    for service in of_kind(objects, "Service"):
        spec = service["spec"]
        behind = [one for one in pods_of(objects) if matches({"matchLabels": spec["selector"]}, one.labels)]
        assert behind, service["metadata"]["name"]
        for port in spec["ports"]:
            for one in behind:
                named = [each["name"] for container in one.containers for each in container.get("ports", [])]
                assert port["targetPort"] in named, (service["metadata"]["name"], one.name)


def test_budgets_let_a_node_be_drained_and_keep_one(objects: list[Object]) -> None:
    for budget in of_kind(objects, "PodDisruptionBudget"):
        spec = budget["spec"]
        assert [one for one in pods_of(objects) if matches(spec["selector"], one.labels)], budget["metadata"]["name"]
        assert spec.get("maxUnavailable") == 1 or spec.get("minAvailable") == 1


def test_what_is_scaled_names_no_number_itself(objects: list[Object]) -> None:
    known = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    targets = []
    for scaler in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]
        targets.append((target["kind"], target["name"]))
        assert "replicas" not in known[targets[-1]]["spec"]
    assert len(set(targets)) == len(targets)
    for kind in ("Deployment", "StatefulSet"):
        for one in of_kind(objects, kind):
            assert "replicas" in one["spec"] or (kind, one["metadata"]["name"]) in targets


def test_no_more_ingest_than_partitions(objects: list[Object]) -> None:
    [toml] = [one["data"]["service.toml"] for one in of_kind(objects, "ConfigMap") if "service.toml" in one["data"]]
    partitions = tomllib.loads(toml)["kafka"]["partitions"]
    for one in of_kind(objects, "ScaledObject"):
        assert one["spec"]["maxReplicaCount"] == partitions
    for one in of_kind(objects, "HorizontalPodAutoscaler"):
        if one["spec"]["scaleTargetRef"]["name"] == "ingest":
            assert one["spec"]["maxReplicas"] <= partitions


def test_rolling_keeps_what_the_budget_keeps(objects: list[Object]) -> None:
    """Budgets stop evictions, not updates: those must keep as many by themselves."""
    for one in of_kind(objects, "Deployment"):
        assert one["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_all_is_in_one_namespace_that_is_restricted(objects: list[Object]) -> None:
    [namespace] = of_kind(objects, "Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    others = {one["metadata"].get("namespace") for one in objects if one is not namespace}
    assert others == {namespace["metadata"]["name"]} == {"thumbwheel"}


def test_routes_lead_to_the_public_services_and_to_users_pages(objects: list[Object]) -> None:
    services = {one["metadata"]["name"]: one for one in of_kind(objects, "Service")}
    for route in of_kind(objects, "GRPCRoute", "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                ports = [port["port"] for port in services[backend["name"]]["spec"]["ports"]]
                assert backend["port"] in ports
    for route in of_kind(objects, "GRPCRoute"):
        named = {one["method"]["service"] for rule in route["spec"]["rules"] for one in rule["matches"]}
        assert named == {INFERENCE_SERVICE, FEEDBACK_SERVICE, "grpc.health.v1.Health"}
        assert ADMIN_SERVICE not in named
    for route in of_kind(objects, "HTTPRoute"):
        paths = [one["path"] for rule in route["spec"]["rules"] for one in rule["matches"]]
        for page in pages():
            assert passes(paths, page) == (not page.startswith(("/operate", "/metrics", "/healthz"))), page


def pages() -> list[str]:
    folder = K8S.parent / "services" / "thumbwheel" / "web"
    found = {page for file in folder.glob("*.py") for page in OPERATED.findall(file.read_text())}
    assert {"/", "/votes", "/operate"} <= found
    return sorted(found)


def passes(paths: list[Object], page: str) -> bool:
    def leads(one: Object) -> bool:
        prefix = one["value"].rstrip("/")
        below = one["type"] == "PathPrefix" and page.startswith(f"{prefix}/")
        return bool(page == one["value"] or below)

    return any(map(leads, paths))


def test_the_gateway_has_its_certificate_and_the_pages_its_name(rendered: dict[str, list[Object]]) -> None:
    objects = rendered["overlay-production"]
    [gateway] = of_kind(objects, "Gateway")
    hosts = {one["hostname"] for one in gateway["spec"]["listeners"]}
    asked = {ref["name"] for one in gateway["spec"]["listeners"] for ref in one["tls"]["certificateRefs"]}
    [leaf] = [one for one in of_kind(objects, "Certificate") if not one["spec"].get("isCA")]
    assert {leaf["spec"]["secretName"]} == asked
    assert set(leaf["spec"]["dnsNames"]) == hosts
    routed = {host for route in of_kind(objects, "GRPCRoute", "HTTPRoute") for host in route["spec"]["hostnames"]}
    assert routed == hosts
    [settings] = [one["data"] for one in of_kind(objects, "ConfigMap") if "service.toml" not in one["data"]]
    assert settings["THUMBWHEEL_SERVE__WEB_HOSTS"] in hosts


def test_metrics_that_are_asked_for_exist(objects: list[Object]) -> None:
    exist = set(METRIC.findall(generate_latest(Metrics().registry).decode()))
    queries = [
        rule["expr"]
        for one in of_kind(objects, "PrometheusRule")
        for group in one["spec"]["groups"]
        for rule in group["rules"]
    ]
    queries += [
        trigger["metadata"]["query"] for one in of_kind(objects, "ScaledObject") for trigger in one["spec"]["triggers"]
    ]
    for query in queries:
        assert set(METRIC.findall(query)) <= exist, query


def test_monitors_find_the_parts(objects: list[Object]) -> None:
    for monitor in of_kind(objects, "PodMonitor"):
        found = [one for one in pods_of(objects) if matches(monitor["spec"]["selector"], one.labels)]
        parts = {one.labels["app.kubernetes.io/component"] for one in found}
        assert parts == {"serve", "ingest", "web"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here: apt-get install prometheus")
def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    rules = yaml.safe_load((K8S / "components" / "prometheus-operator" / "rules.yaml").read_text())["spec"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    done = subprocess.run(["promtool", "check", "rules", str(tmp_path / "rules.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_names_what_there_is() -> None:
    text = (K8S / "README.md").read_text()
    for path in re.findall(r"k8s/(?:overlays|components|base)[a-z0-9/.-]*[a-z0-9]", text):
        assert (K8S.parent / path).exists(), path
    for one in (K8S / "components").iterdir():
        assert f"`{one.name}`" in text, f"{one.name} is not told of"
    wanted = set(re.findall(r"secretName: (thumbwheel-[a-z0-9]+)", "".join(map(str, map(Path.read_text, yamls())))))
    made = {"thumbwheel-tls", "thumbwheel-authority"}  # by cert-manager
    for secret in wanted - made:
        assert secret in text, f"{secret} is not told of"


def yamls() -> list[Path]:
    return sorted(K8S.glob("base/*.yaml")) + sorted(K8S.glob("components/*/*.yaml"))
