"""The Helm chart, rendered by Helm's own engine and judged against Kubernetes' schemas, offline."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from service.configuration import OTHERS, Configuration, refuse_unknown

helm = pytest.importorskip(
    "helm_python", reason="helm-python-sdk is not installed: the chart was NOT checked"
)
kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="kubernetes-validate is not installed: the chart was NOT checked"
)

CHART = Path(__file__).parent.parent.parent / "deploy" / "helm" / "seedbed"
RAY_CLUSTER = json.loads((Path(__file__).parent / "raycluster.schema.json").read_text())
LEAST: dict[str, Any] = {
    "existingSecret": "seedbed",
    "images": {
        "controller": {"repository": "registry.example/seedbed-controller", "tag": "1"},
        "worker": {"repository": "registry.example/seedbed-worker", "tag": "1"},
    },
}
MOST: dict[str, Any] = LEAST | {
    "images": LEAST["images"] | {"pullSecrets": [{"name": "registry"}]},
    "storage": {"url": "s3://bucket/seedbed"},
    "serviceAccount": {"annotations": {"example.org/role": "seedbed"}},
    "extraEnv": [{"name": "AWS_REGION", "value": "eu-central-1"}],
    "redis": False,
    "api": {
        "autoscaling": {"enabled": True},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "host": "seedbed.example.org",
            "tlsSecret": "seedbed-tls",
            "annotations": {"example.org/size": "1m"},
        },
    },
    "dispatcher": {"device": "cuda"},
    "ray": {
        "worker": {
            "resources": {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": 1},
            "nodeSelector": {"example.org/gpu": "a"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        }
    },
    "networkPolicy": {
        "apiFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
    },
}
VALUES = {"least": LEAST, "most": MOST}
each_values = pytest.mark.parametrize("values", VALUES)


@cache
def rendered(values: str) -> tuple[dict[str, Any], ...]:
    """Every object of the chart under these values."""
    with helm.Chart.load(str(CHART)) as chart:
        chart.validate_schema(VALUES[values])
        texts = chart.render(VALUES[values], name="demo", namespace="lab")
    return tuple(
        found
        for name, text in texts.items()
        if name.endswith(".yaml")
        for found in yaml.safe_load_all(text)
        if found
    )


def one(values: str, kind: str, name: str) -> dict[str, Any]:
    """The object of that kind and name."""
    (found,) = [o for o in rendered(values) if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def pods(values: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod template, with what it is called."""
    for found in rendered(values):
        spec = found.get("spec", {})
        if found["kind"] == "RayCluster":
            yield "ray-head", spec["headGroupSpec"]["template"]
            for group in spec["workerGroupSpecs"]:
                yield "ray-worker", group["template"]
        elif "template" in spec:
            yield found["metadata"]["name"], spec["template"]


@each_values
@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_every_object_is_as_kubernetes_and_kuberay_define_it(values: str, version: str) -> None:
    for found in rendered(values):
        if found["kind"] == "RayCluster":
            jsonschema.validate(found, RAY_CLUSTER)
        else:
            kubernetes_validate.validate(found, version, strict=True)
    for name, template in pods(values):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, **template}
        kubernetes_validate.validate(pod, version, strict=True)


@each_values
def test_no_service_of_the_namespace_becomes_an_option_of_seedbed(values: str) -> None:
    """It would set SEEDBED_API_SERVICE_HOST, which ends whatever reads the configuration."""
    with pytest.raises(ValueError, match="no option SEEDBED_API_SERVICE_HOST"):
        refuse_unknown({"SEEDBED_API_SERVICE_HOST": "10.0.0.1"})
    for name, template in pods(values):
        assert template["spec"]["enableServiceLinks"] is False, name


def test_lint_finds_nothing() -> None:
    found = helm.lint(str(CHART), values=LEAST)
    assert not found["errors"], found


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"existingSecret": ""}, "existingSecret"),
        ({"images": {}}, "images"),
        ({"replicas": 3}, "replicas"),
        ({"api": {"ingress": {"enabled": True, "host": "a.example.org"}}}, "tlsSecret"),
        ({"dispatcher": {"device": "tpu"}}, "device"),
        ({"storage": {"url": "/mnt"}}, "storage"),
    ],
)
def test_what_is_missing_or_unknown_is_refused(change: dict[str, Any], word: str) -> None:
    """No secret has a default, TLS is demanded outside, a misspelt value is not passed over."""
    with helm.Chart.load(str(CHART)) as chart, pytest.raises(helm.HelmError, match=word):
        chart.validate_schema(LEAST | change)


def test_a_moving_tag_is_refused() -> None:
    images = {name: LEAST["images"][name] | {"tag": "latest"} for name in LEAST["images"]}
    with helm.Chart.load(str(CHART)) as chart, pytest.raises(helm.HelmError, match="tag"):
        chart.validate_schema(LEAST | {"images": images})


@each_values
def test_secrets_are_only_named(values: str) -> None:
    assert not [found for found in rendered(values) if found["kind"] == "Secret"]
    for _, template in pods(values):
        for container in template["spec"]["containers"]:
            for variable in container["env"]:
                if any(w in variable["name"] for w in ("URL", "TOKEN", "KEY", "PASSWORD")):
                    inside = variable["name"] == "SEEDBED_STORAGE_URL"
                    assert inside or variable["valueFrom"]["secretKeyRef"]["name"] == "seedbed"


@each_values
def test_variables_are_options_that_there_are(values: str) -> None:
    """The service refuses to start under a variable that it does not know."""
    known = {f"SEEDBED_{name.upper()}" for name in Configuration.model_fields} | OTHERS
    for _, template in pods(values):
        names = {v["name"] for c in template["spec"]["containers"] for v in c["env"]}
        assert {name for name in names if name.startswith("SEEDBED_")} <= known


@each_values
def test_a_container_has_no_more_rights_than_it_needs_and_a_limit(values: str) -> None:
    for _, template in pods(values):
        context = template["spec"]["securityContext"]
        assert context["runAsNonRoot"]
        assert context["runAsUser"] == 1000
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in template["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]


@each_values
def test_what_serves_is_probed(values: str) -> None:
    for name, template in pods(values):
        for container in template["spec"]["containers"]:
            assert "livenessProbe" in container or name.endswith("migrate")


@each_values
def test_the_cluster_grows_and_its_head_trains_nothing(values: str) -> None:
    spec = one(values, "RayCluster", "demo-ray")["spec"]
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (group,) = spec["workerGroupSpecs"]
    assert group["minReplicas"] < group["maxReplicas"]
    autoscaler = {v["name"] for v in spec["autoscalerOptions"]["env"]}
    assert {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} <= autoscaler
    for name, template in pods(values):
        env = {v["name"]: v for v in template["spec"]["containers"][0]["env"]}
        joins = name.startswith("ray-") or name.endswith("dispatcher")
        assert ("RAY_AUTH_TOKEN" in env) == joins
        assert (template["metadata"]["labels"].get("seedbed.ray") == "member") == joins


def test_a_gpu_is_asked_for_where_trials_train_on_one() -> None:
    spec = one("most", "RayCluster", "demo-ray")["spec"]
    container = spec["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1


@each_values
def test_only_the_api_is_reached_and_ray_only_by_its_members(values: str) -> None:
    policies = {
        found["metadata"]["name"]: found["spec"]
        for found in rendered(values)
        if found["kind"] == "NetworkPolicy"
    }
    everything = {"app.kubernetes.io/name": "seedbed", "app.kubernetes.io/instance": "demo"}
    closed = policies.pop("demo-closed")
    assert closed["podSelector"]["matchLabels"] == everything
    assert "ingress" not in closed
    for _, template in pods(values):
        assert everything.items() <= template["metadata"]["labels"].items()
    ray = policies.pop("demo-ray")
    members = everything | {"seedbed.ray": "member"}
    assert ray["podSelector"]["matchLabels"] == members
    assert ray["ingress"] == [{"from": [{"podSelector": {"matchLabels": members}}]}]
    api = policies.pop("demo-api")
    assert [rule["ports"] for rule in api["ingress"]] == [[{"port": 8321}]]
    assert policies.keys() == ({"demo-metrics"} if values == "most" else set())
    services = [found for found in rendered(values) if found["kind"] == "Service"]
    assert [found["metadata"]["name"] for found in services] == ["demo-api"]


def test_a_drain_may_take_its_time() -> None:
    template = one("least", "Deployment", "demo-dispatcher")["spec"]["template"]["spec"]
    env = {v["name"]: v.get("value") for v in template["containers"][0]["env"]}
    assert template["terminationGracePeriodSeconds"] > int(env["SEEDBED_DRAIN_S"])


def test_the_schema_comes_first() -> None:
    job = one("least", "Job", "demo-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"


def test_storage_is_a_volume_for_many_or_an_object_store() -> None:
    claim = one("least", "PersistentVolumeClaim", "demo-storage")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert not [found for found in rendered("most") if found["kind"] == "PersistentVolumeClaim"]
    for values, wanted in (("least", "file:///storage"), ("most", "s3://bucket/seedbed")):
        for name, template in pods(values):
            volumes = {volume["name"] for volume in template["spec"]["volumes"]}
            assert ("storage" in volumes) == (values == "least" and "migrate" not in name)
            env = {v["name"]: v.get("value") for v in template["spec"]["containers"][0]["env"]}
            assert env.get("SEEDBED_STORAGE_URL", wanted) == wanted
