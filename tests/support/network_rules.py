"""Who may reach whom by NetworkPolicies, computed as the API's documentation defines it.

A pod that no policy of a direction selects may do all in it; else what any of these allows. A connection needs its
source's leave to go out and its target's to come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from manifests import Object, matches


@dataclass(frozen=True)
class Pod:
    """A pod as policies see it."""

    labels: Mapping[str, str]
    namespace: str = "thumbwheel"
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outside:
    """An address beyond the cluster."""

    address: str


Peer = Pod | Outside


def may_connect(policies: Sequence[Object], source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Whether `source` may open a connection to `port` of `target`."""
    out = isinstance(source, Outside) or _allowed(policies, "Egress", source, target, port, protocol)
    return out and (isinstance(target, Outside) or _allowed(policies, "Ingress", target, source, port, protocol))


def selecting(policies: Sequence[Object], pod: Pod, direction: str) -> list[Object]:
    """Return the policies that govern a direction of a pod."""
    return [
        one
        for one in policies
        if pod.namespace == one["metadata"]["namespace"]
        and direction in one["spec"]["policyTypes"]
        and matches(one["spec"]["podSelector"], pod.labels)
    ]


def _allowed(policies: Sequence[Object], direction: str, pod: Pod, other: Peer, port: int, protocol: str) -> bool:
    governing = selecting(policies, pod, direction)
    rules = [rule for one in governing for rule in one["spec"].get(direction.lower()) or []]
    key = "from" if direction == "Ingress" else "to"
    return not governing or any(
        _port(rule.get("ports"), port, protocol) and _peer(rule.get(key), other, pod.namespace) for rule in rules
    )


def _port(ports: Sequence[Object] | None, port: int, protocol: str) -> bool:
    return ports is None or any(one["port"] == port and one["protocol"] == protocol for one in ports)


def _peer(peers: Sequence[Object] | None, other: Peer, namespace: str) -> bool:
    return peers is None or any(_is(one, other, namespace) for one in peers)


def _is(peer: Object, other: Peer, namespace: str) -> bool:
    if block := peer.get("ipBlock"):
        return isinstance(other, Outside) and _in(block, other.address)
    if isinstance(other, Outside):
        return False
    if (spaces := peer.get("namespaceSelector")) is None:
        here = other.namespace == namespace
    else:
        here = matches(spaces, {"kubernetes.io/metadata.name": other.namespace, **other.namespace_labels})
    return here and matches(peer.get("podSelector") or {}, other.labels)


def _in(block: Object, address: str) -> bool:
    wanted = ip_address(address)
    return wanted in ip_network(block["cidr"]) and not any(
        wanted in ip_network(one) for one in block.get("except") or []
    )
