"""Who reaches whom, by the NetworkPolicies of each set; and that every policy selects a pod that there is."""

from __future__ import annotations

import pytest
from manifests import OVERLAYS, Object, of_kind, pods_of
from network_rules import Outside, Peer, Pod, may_connect, selecting

DNS = Pod({"k8s-app": "kube-dns"}, "kube-system")
CLIENT = Pod({"app": "shop"}, "shop", {"thumbwheel-clients": "true"})
STRANGER = Pod({"app": "shop"}, "elsewhere")
NEIGHBOUR = Pod({"app": "shell"})  # in the service's own namespace
PROMETHEUS = Pod({"app": "prometheus"}, "monitoring", {"thumbwheel-monitoring": "true"})
GATEWAY = Pod({"app": "envoy"}, "gateways", {"thumbwheel-gateway": "true"})
BUCKET, METADATA = Outside("52.216.1.1"), Outside("169.254.169.254")

# Pods that operators make, by the labels that they give them.
OPERATORS = {
    "cnpg-postgres": {"database": Pod({"cnpg.io/cluster": "database", "cnpg.io/podRole": "instance"})},
    "strimzi-kafka": {
        "kafka": Pod({"strimzi.io/cluster": "kafka", "strimzi.io/component-type": "kafka", "strimzi.io/kind": "Kafka"}),
        "users": Pod({"strimzi.io/cluster": "kafka", "strimzi.io/component-type": "entity-operator"}),
    },
}
OWN = ("serve", "ingest", "web", "retrain", "migrate")


def pods(objects: list[Object]) -> dict[str, Pod]:
    found = {one.name: Pod(one.labels) for one in pods_of(objects)}
    kinds = {one["kind"] for one in objects}
    if "Kafka" in kinds:
        found |= OPERATORS["strimzi-kafka"]
    if "Cluster" in kinds:
        found |= OPERATORS["cnpg-postgres"]
    return found


def ways(objects: list[Object], source: str, target: str, *ports: int) -> list[int]:
    """The ports of `target` that `source` reaches."""
    policies, known = of_kind(objects, "NetworkPolicy"), pods(objects)
    return [port for port in ports if may_connect(policies, known[source], known[target], port)]


def test_every_policy_selects_a_pod_that_there_is(objects: list[Object]) -> None:
    known = pods(objects)
    for policy in of_kind(objects, "NetworkPolicy"):
        direction = policy["spec"]["policyTypes"][0]
        assert any(selecting([policy], one, direction) for one in known.values()), policy["metadata"]["name"]


def test_nothing_is_open_that_no_policy_opens(objects: list[Object]) -> None:
    policies, known = of_kind(objects, "NetworkPolicy"), pods(objects)
    for name, one in known.items():
        assert selecting(policies, one, "Ingress"), name
        assert selecting(policies, one, "Egress"), name
        for port in (22, 80, 443, 5432, 6379, 7070, 7071, 7072, 7073, 8265, 9092, 9093, 10001):
            assert not may_connect(policies, STRANGER, one, port), (name, port)
            assert not may_connect(policies, NEIGHBOUR, one, port), (name, port)
            assert not may_connect(policies, one, METADATA, port), (name, port)
        assert may_connect(policies, one, DNS, 53, "UDP")
        assert not may_connect(policies, one, DNS, 443)


@pytest.mark.parametrize("name", [*(f"overlay-{one}" for one in OVERLAYS), "combination-operators-ray"])
def test_who_reaches_whom(rendered: dict[str, list[Object]], name: str) -> None:
    """A table: the parts that reach another part, or its store, and nobody else."""
    objects = rendered[name]
    known = pods(objects)
    serving = [one for one in known if one == "serve" or one.startswith("serve-")]
    databases, brokers = ["database"], ["kafka"]
    kafka_port = 9092 if name == "overlay-laptop" else 9093
    reaches = {
        "ingest": {*databases, *brokers},
        "web": {*databases, *brokers, *serving},
        "migrate": {*databases, *brokers},
        "retrain": {*databases, *(one for one in known if one.startswith("train-"))},
        **{one: {*databases, *brokers, *serving} - ({one} if one == "serve" else set()) for one in serving},
    }
    ports = {"database": [5432], "kafka": [kafka_port]}
    for source, targets in reaches.items():
        found = {
            target
            for target in known
            if target != source and ways(objects, source, target, *ports.get(target, [7070, 7071, 7072, 6379]))
        }
        assert found == targets - {source}, source


def test_operators_orders_come_from_the_pages_alone(objects: list[Object]) -> None:
    policies, known = of_kind(objects, "NetworkPolicy"), pods(objects)
    for name, target in known.items():
        if target.labels.get("app.kubernetes.io/component") != "serve":
            continue
        allowed: dict[str, Peer] = {**known, "client": CLIENT, "gateway": GATEWAY, "prometheus": PROMETHEUS}
        reach = {one for one, source in allowed.items() if one != name and may_connect(policies, source, target, 7071)}
        assert {one for one in reach if not one.startswith("serve-")} == {"web"}


def test_clients_and_prometheus_get_what_is_theirs(objects: list[Object]) -> None:
    policies, known = of_kind(objects, "NetworkPolicy"), pods(objects)
    for name, one in known.items():
        part = one.labels.get("app.kubernetes.io/component")
        assert may_connect(policies, CLIENT, one, 7070) == (part == "serve"), name
        assert not may_connect(policies, CLIENT, one, 7073)
        probes = {"serve": 7073, "ingest": 7074, "web": 7076}
        assert part not in probes or may_connect(policies, PROMETHEUS, one, probes[part])
        assert not may_connect(policies, PROMETHEUS, one, 7071)


def test_the_gateway_reaches_the_doors_for_users(rendered: dict[str, list[Object]]) -> None:
    for name in ("overlay-staging", "overlay-production"):
        policies, known = of_kind(rendered[name], "NetworkPolicy"), pods(rendered[name])
        assert may_connect(policies, GATEWAY, known["serve"], 7070)
        assert may_connect(policies, GATEWAY, known["web"], 7072)
    policies, known = of_kind(rendered["overlay-laptop"], "NetworkPolicy"), pods(rendered["overlay-laptop"])
    assert not may_connect(policies, GATEWAY, known["serve"], 7070)


def test_only_who_handles_versions_reaches_the_bucket(rendered: dict[str, list[Object]]) -> None:
    objects = rendered["overlay-production"]
    policies, known = of_kind(objects, "NetworkPolicy"), pods(objects)
    assert {one for one in OWN if may_connect(policies, known[one], BUCKET, 443)} == {"serve", "retrain"}
    assert not may_connect(policies, known["serve"], BUCKET, 80)
    assert not may_connect(policies, known["serve"], Outside("10.1.2.3"), 443)
