"""What every set of manifests makes of pods: they run what the product takes, and may do no more than they need."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from manifests import K8S, Object, Pods, arguments, environment, of_kind, pods_of
from service_names import ADMIN_SERVICE, FEEDBACK_SERVICE, INFERENCE_SERVICE

from thumbwheel.cli.main import group
from thumbwheel.config.load import Loaded, load_settings

LOADED: dict[tuple[object, ...], Loaded] = {}
SHIPPING_S = 10  # after requests in flight have ended
PORTS = {
    "serve": {"grpc": "serve.port", "admin": "serve.admin_port", "probes": "probes.serve_port"},
    "ingest": {"probes": "probes.ingest_port"},
    "web": {"http": "serve.web_port", "probes": "probes.web_port"},
}


def own(objects: list[Object]) -> list[tuple[Pods, Object]]:
    return [(pods, container) for pods in pods_of(objects) for container in pods.own]


def configured(objects: list[Object], container: Object, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Load the configuration as the container does, once for each that differs."""
    [toml] = [one["data"]["service.toml"] for one in of_kind(objects, "ConfigMap") if "service.toml" in one["data"]]
    variables = environment(container, objects)
    assert variables["THUMBWHEEL_CONFIG"] == "/etc/thumbwheel/service.toml"
    key = (toml, *sorted(variables.items()))
    if key not in LOADED:
        (folder / "service.toml").write_text(toml)
        with monkeypatch.context() as patched:
            for name, said in variables.items():
                patched.setenv(name, said)
            patched.setenv("THUMBWHEEL_CONFIG", str(folder / "service.toml"))
            LOADED[key] = load_settings(None, {})
    return LOADED[key]


def value(loaded: Loaded, name: str) -> object:
    section, _, field = name.partition(".")
    return getattr(getattr(loaded.settings, section), field)


def parse(words: list[str]) -> None:
    """Parse as the program does, down to the last command, without running it."""
    name, context, rest = "thumbwheel", None, list(words)
    command: click.Command | None = group
    while command is not None:
        context = command.make_context(name, rest, parent=context)
        if not isinstance(command, click.Group):
            return
        found, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        name = found or ""


def test_every_part_runs_a_command_of_the_product(objects: list[Object]) -> None:
    called = [arguments(container) or [] for _, container in own(objects)]
    for words in called:
        parse(words)
    assert {words[0] for words in called} == {"serve", "ingest", "web", "retrain", "database", "topics"}


def test_what_the_readme_runs_in_pods_exists() -> None:
    called = re.findall(r"(?:-- |^    )thumbwheel ([^\n`]+)", (K8S / "README.md").read_text(), re.MULTILINE)
    assert len(called) >= 4
    for line in called:
        parse(line.replace("/tmp/tickets.jsonl", __file__).split())


def test_the_configuration_is_one_that_the_product_takes(
    objects: list[Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pods, container in own(objects):
        settings = configured(objects, container, tmp_path, monkeypatch).settings
        assert settings.log.kind == "kafka"
        assert settings.log.feedback_durability == "broker"
        home = str(settings.home)
        mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
        assert any(home.startswith(f"{path}/") and not one.get("readOnly") for path, one in mounts.items()), pods.name
        needed = [settings.database.password_file, settings.kafka.sasl_password_file, settings.kafka.ca_file]
        if (arguments(container) or [])[0] in ("serve", "ingest", "web"):
            needed.append(settings.feedback.keys_file)
        for file in filter(None, needed):
            assert str(file.parent) in mounts, f"{pods.name} does not mount {file}"


def test_secrets_are_never_values(objects: list[Object]) -> None:
    assert of_kind(objects, "Secret") == []
    for pods in pods_of(objects):
        for container in pods.containers:
            variables = environment(container, objects)
            told = {name for name, said in variables.items() if said and ("PASSWORD" in name or "TOKEN" in name)}
            assert all(name.endswith("_FILE") for name in told), (pods.name, told)


def test_ports_are_those_of_the_settings(
    objects: list[Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _, container in own(objects):
        wanted = PORTS.get((arguments(container) or [])[0], {})
        loaded = configured(objects, container, tmp_path, monkeypatch)
        ports = {one["name"]: one["containerPort"] for one in container.get("ports", [])}
        assert {name: ports[name] for name in wanted} == {name: value(loaded, one) for name, one in wanted.items()}
        assert value(loaded, "serve.host") == value(loaded, "probes.host") == "0.0.0.0"


def test_probes_ask_what_is_there(objects: list[Object]) -> None:
    for pods in pods_of(objects):
        for container in pods.spec["containers"]:
            probes = [container[one] for one in ("startupProbe", "readinessProbe", "livenessProbe") if one in container]
            assert pods.kind in ("Job", "CronJob") or len(probes) >= 2, pods.name
            named = {one["name"]: one["containerPort"] for one in container.get("ports", [])}
            for probe in probes:
                if asked := probe.get("grpc"):
                    assert asked["port"] in named.values()
                    assert asked.get("service", "") in ("", FEEDBACK_SERVICE, ADMIN_SERVICE, INFERENCE_SERVICE)
                for how in ("httpGet", "tcpSocket"):
                    if how in probe:
                        assert probe[how]["port"] in named


def test_a_service_without_a_policy_is_not_restarted(objects: list[Object]) -> None:
    """The door as a whole serves only with a policy; what restarts it must ask for something that does before."""
    for _, container in own(objects):
        for name in ("startupProbe", "livenessProbe"):
            if "grpc" in container.get(name, {}):
                assert container[name]["grpc"]["service"] in (FEEDBACK_SERVICE, ADMIN_SERVICE)


def test_a_pod_has_the_time_to_end(objects: list[Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for pods, container in own(objects):
        if pods.kind in ("Job",):
            continue
        loaded = configured(objects, container, tmp_path, monkeypatch)
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drain = value(loaded, "serve.drain_s")
        assert isinstance(drain, float)
        grace = pods.spec["terminationGracePeriodSeconds"]
        assert grace >= max(90, before + drain + SHIPPING_S), pods.name
        if (arguments(container) or [])[0] in ("serve", "web"):
            assert before >= 5, pods.name


def test_pods_are_restricted(objects: list[Object]) -> None:
    """The restricted Pod Security Standard, and beyond it: a root that can't be written, no token, bounded memory."""
    for pods in pods_of(objects):
        spec = pods.spec
        assert spec["automountServiceAccountToken"] is False, pods.name
        assert spec["enableServiceLinks"] is False, pods.name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pods.containers:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            resources = container["resources"]
            for bound in ("requests", "limits"):
                assert {"cpu", "memory"} <= resources[bound].keys(), (pods.name, container["name"])
        allowed = {"configMap", "secret", "projected", "emptyDir", "persistentVolumeClaim", "name"}
        for volume in spec.get("volumes", []):
            assert volume.keys() <= allowed
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], (pods.name, volume)


def test_accounts_have_no_rights(objects: list[Object]) -> None:
    assert of_kind(objects, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding") == []
    accounts = {one["metadata"]["name"]: one for one in of_kind(objects, "ServiceAccount")}
    assert all(one["automountServiceAccountToken"] is False for one in accounts.values())
    for pods in pods_of(objects):
        assert pods.spec["serviceAccountName"] in accounts


def test_images_are_pinned_and_ours_is_this_release(objects: list[Object]) -> None:
    images = {container["image"] for pods in pods_of(objects) for container in pods.containers}
    assert all(":" in image and not image.endswith(":latest") for image in images)
    ours = {image.rpartition(":")[2] for image in images if "thumbwheel" in image}
    assert ours == {version("thumbwheel")}


def test_rays_version_is_the_one_that_is_pinned(objects: list[Object]) -> None:
    for cluster in of_kind(objects, "RayCluster"):
        assert cluster["spec"]["rayVersion"] == version("ray")


def test_nothing_is_mounted_that_is_not_there(objects: list[Object]) -> None:
    maps = {one["metadata"]["name"] for one in of_kind(objects, "ConfigMap")}
    claims = {one["metadata"]["name"] for one in of_kind(objects, "PersistentVolumeClaim")}
    templates = {
        (one["metadata"]["name"], claim["metadata"]["name"])
        for one in of_kind(objects, "StatefulSet")
        for claim in one["spec"].get("volumeClaimTemplates", [])
    }
    for pods in pods_of(objects):
        volumes = {one["name"]: one for one in pods.spec.get("volumes", [])}
        for volume in volumes.values():
            assert "configMap" not in volume or volume["configMap"]["name"] in maps
            claim = volume.get("persistentVolumeClaim")
            assert claim is None or claim["claimName"] in claims
        for container in pods.containers:
            for mount in container.get("volumeMounts", []):
                assert mount["name"] in volumes or (pods.name, mount["name"]) in templates, (pods.name, mount)


def test_the_outbox_outlives_the_pod_or_votes_are_at_the_broker(objects: list[Object]) -> None:
    [toml] = [one["data"]["service.toml"] for one in of_kind(objects, "ConfigMap") if "service.toml" in one["data"]]
    assert tomllib.loads(toml)["log"]["feedback_durability"] == "broker"
    for one in of_kind(objects, "StatefulSet"):
        if one["metadata"]["name"] == "serve":
            [claim] = one["spec"]["volumeClaimTemplates"]
            assert claim["metadata"]["name"] == "home"
            assert one["spec"]["persistentVolumeClaimRetentionPolicy"] == {
                "whenDeleted": "Retain",
                "whenScaled": "Retain",
            }


def test_one_run_at_a_time(objects: list[Object]) -> None:
    [retrain] = of_kind(objects, "CronJob")
    assert retrain["spec"]["concurrencyPolicy"] == "Forbid"
