"""The chart: what it renders for each set of values, and what it refuses."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.harness.process import BIN, TOP
from tests.integration.chart_tools import (CHART, CI_VALUES, KUBERNETES, MINIMAL, arguments, conform, containers, helm, notes,
                                           one, pods, refusal, render)

PROGRAMS = ("producer", "licensor", "worker")


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("schemas")


def ci(name: str) -> pathlib.Path:
    return CHART / f"ci/{name}-values.yaml"


# What helm and Kubernetes say.


@pytest.mark.parametrize("values", CI_VALUES, ids=lambda file: file.stem)
def test_lint_is_strict_and_clean(values: pathlib.Path) -> None:
    done = helm("lint", "--strict", CHART, "-f", values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("values", CI_VALUES, ids=lambda file: file.stem)
def test_every_object_passes_kubernetes_schema(values: pathlib.Path, kubernetes: str, schemas: pathlib.Path) -> None:
    documents = render(values, kubernetes=kubernetes)
    assert conform(documents, kubernetes, schemas) == ""


def test_the_schema_check_finds_a_misspelt_field(schemas: pathlib.Path) -> None:
    documents = render(ci("keda"))
    for kind, change in (
            ("Deployment", lambda d: d["spec"]["template"]["spec"].update(restartpolicy="Always")),
            ("ScaledObject", lambda d: d["spec"].update(cooldownperiod=300)),
            ("PrometheusRule", lambda d: d["spec"]["groups"][0]["rules"][0].update(fro="5m"))):
        document = json.loads(json.dumps(next(d for d in documents if d["kind"] == kind)))
        assert conform([document], "1.34.0", schemas) == ""
        change(document)
        assert conform([document], "1.34.0", schemas) != ""


def test_kubernetes_older_than_the_chart_needs_is_refused() -> None:
    assert "incompatible with Kubernetes" in refusal(kubernetes="1.24.0")


def test_names_are_unique_and_in_one_namespace() -> None:
    for values in CI_VALUES:
        documents = render(values)
        names = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents]
        assert len(names) == len(set(names)), sorted(names)
        elsewhere = {name[1] for name in names if name[0] != "PodMonitor" and "extra" not in name[2]}
        assert elsewhere == {"engenho"}, values


def test_versions_of_chart_and_programs_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = re.search(r"project\(engenho VERSION (\S+)", (TOP / "CMakeLists.txt").read_text())
    assert project and chart["appVersion"] == project[1]


# Bad values.

BAD = [
    ("an unknown key", {"worker__replicas": 3}, "additional properties 'replicas' not allowed"),
    ("an unknown key of an agent", {"worker__agents": {"default": {"replica": 3}}}, "additional properties 'replica' not allowed"),
    ("a wrong type", {"producer__replicas": "two"}, "at '/producer/replicas'"),
    ("an agent's name in capitals", {"worker__agents": {"Default": {}}}, "'Default'"),
    ("a level that does not exist", {"logLevel": "loud"}, "at '/logLevel'"),
    ("a broker without port", {"kafka__bootstrapServers": ["kafka"]}, "at '/kafka/bootstrapServers/0'"),
    ("a size that is no size", {"worker__defaults__workSize": "2 GB"}, "at '/worker/defaults/workSize'"),
    ("a digest that is none", {"image__digest": "latest"}, "at '/image/digest'"),
    ("a mechanism without a Secret", {"kafka__securityProtocol": "SASL_SSL", "kafka__sasl__mechanism": "PLAIN"},
     "at '/kafka/sasl/existingSecret'"),
    ("a protocol without a mechanism", {"kafka__securityProtocol": "SASL_SSL"}, "at '/kafka/sasl/mechanism'"),
    ("a mechanism without a protocol", {"kafka__sasl": {"mechanism": "PLAIN", "existingSecret": "user"}},
     "kafka.sasl.mechanism is PLAIN, but kafka.securityProtocol is PLAINTEXT: set it to SASL_SSL"),
    ("certificates without TLS", {"kafka__tls__existingSecret": "ca"}, "set it to SSL or SASL_SSL"),
    ("a certificate without its key", {"kafka__securityProtocol": "SSL", "kafka__tls__certKey": "tls.crt"},
     "kafka.tls.certKey and kafka.tls.keyKey belong together: set both or neither"),
    ("a password in the open", {"kafka__config": {"sasl.password": "secret"}},
     "kafka.config.sasl.password would show a secret in the pod: use kafka.sasl.existingSecret"),
    ("a setting that would split in two", {"kafka__config": {"client.rack": "a;b"}}, "kafka.config.client.rack holds a semicolon"),
    ("no broker", {"kafka__bootstrapServers": []}, "kafka.bootstrapServers is empty: give the address of a broker"),
    ("no Redis", {"redis__host": ""}, "redis.host is empty: give the name of a Redis"),
    ("a user without password", {"redis__username": "engenho"}, "redis.username is set, but redis.existingSecret is empty"),
    ("one Redis and Sentinels", {"redis__sentinel": {"addresses": ["s:26379"], "master": "seats"}},
     "redis.host and redis.sentinel.addresses are both set: empty redis.host"),
    ("Sentinels of nothing", {"redis__host": "", "redis__sentinel__addresses": ["s:26379"]}, "redis.sentinel.master is empty"),
    ("a Sentinel without port", {"redis__sentinel__addresses": ["s"]}, "at '/redis/sentinel/addresses/0'"),
    ("a Sentinels' user without password", {"redis__sentinel__username": "watcher"}, "redis.sentinel.existingSecret is empty"),
    ("certificates of Redis without TLS", {"redis__tls__existingSecret": "ca"},
     "redis.tls.existingSecret is set, but redis.tls.enabled is false"),
    ("a certificate for Redis without its key", {"redis__tls": {"enabled": True, "existingSecret": "own", "certKey": "tls.crt"}},
     "redis.tls.certKey and redis.tls.keyKey belong together: set both or neither"),
    ("a certificate for Redis from nowhere", {"redis__tls": {"enabled": True, "certKey": "tls.crt", "keyKey": "tls.key"}},
     "redis.tls.certKey is set, but redis.tls.existingSecret is empty"),
    ("no token", {"producer__api__existingSecret": ""}, "producer.api.existingSecret is empty: the API needs a token"),
    ("no agent", {"worker__agents": {"default": None}}, "worker.agents is empty: give at least one agent"),
    ("an Ingress without host", {"producer__ingress__enabled": True}, "producer.ingress.host is empty"),
    ("a route without gateway", {"producer__httpRoute__enabled": True}, "producer.httpRoute.parentRefs is empty"),
    ("a grace shorter than the drain", {"worker__agents": {"default": {"terminationGracePeriodSeconds": 300}}},
     "worker.agents.default.terminationGracePeriodSeconds is 300, which kills a worker before it has drained: "
     "give at least drainTimeoutSeconds + 30 = 330"),
    ("a StatefulSet recreated", {"worker__agents": {"default": {"kind": "StatefulSet", "strategy": "Recreate"}}},
     "worker.agents.default.strategy is Recreate, which a StatefulSet does not have"),
    ("more pods than partitions", {"worker__agents": {"default": {"autoscaling": {"type": "keda", "maxReplicas": 9}}}},
     "maxReplicas is 9, but kafka.topics.partitions is 8"),
    ("least above most", {"worker__agents": {"default": {"autoscaling": {"type": "keda", "minReplicas": 3, "maxReplicas": 2}}}},
     "minReplicas is greater than maxReplicas"),
    ("more pods than product keys", {"worker__licensedKeys": 4, "worker__agents": {"default": {"replicas": 5}}},
     "worker.agents come to 5 pods, but worker.licensedKeys is 4"),
    ("a long agent's name", {"worker__agents": {"a" * 40: {}}}, "shorten the agent's name"),
    ("a long name", {"fullnameOverride": "a" * 41}, "at '/fullnameOverride'"),
    ("an alert that does not exist", {"metrics__rules__disabled": ["Nothing"]}, 'metrics.rules.disabled names "Nothing", which is no'),
    ("a threshold of nothing", {"metrics__rules__thresholds": {"Nothing": 1}},
     "metrics.rules.thresholds.Nothing: no alert of this chart has this name and a threshold"),
]


@pytest.mark.parametrize(("what", "changes", "sentence"), BAD, ids=[bad[0] for bad in BAD])
def test_bad_values_are_refused_with_a_sentence(what: str, changes: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(MINIMAL, **changes)


def test_a_long_release_name_is_refused() -> None:
    assert "choose one of 40 at most" in refusal(release="a" * 41)


def test_global_takes_any_key_and_a_parent_chart_may_switch_us() -> None:
    render(MINIMAL, **{"global": {"other": {"deep": 1}}, "enabled": True})


# Objects.


@pytest.mark.parametrize("values", CI_VALUES, ids=lambda file: file.stem)
def test_every_container_is_restricted(values: pathlib.Path) -> None:
    """As the Pod Security Standard `restricted` asks, and a root file system that nobody writes to."""
    openshift = "openshift: {enabled: true}" in values.read_text()
    for name, pod in pods(render(values)):
        spec = pod["spec"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert ("runAsUser" in security) != openshift, name
        assert not openshift or not {"runAsGroup", "fsGroup"} & security.keys(), name
        assert openshift or security["runAsUser"] == security["fsGroup"] == 65532, name
        assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        volumes = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        assert volumes <= {"emptyDir", "secret", "configMap", "projected", "persistentVolumeClaim", "csi"}, name
        assert all("sizeLimit" in volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume), name
        for container in containers(pod):
            context = container["securityContext"]
            assert context == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                               "capabilities": {"drop": ["ALL"]}}, name
            assert not any("hostPort" in port for port in container.get("ports", [])), name


@pytest.mark.parametrize("values", CI_VALUES, ids=lambda file: file.stem)
def test_resources_are_set_without_a_limit_of_cpu(values: pathlib.Path) -> None:
    for name, pod in pods(render(values)):
        for container in containers(pod):
            resources = container["resources"]
            assert resources["requests"]["memory"] == resources["limits"]["memory"], name
            assert "cpu" in resources["requests"] and "cpu" not in resources["limits"], name
            assert "ephemeral-storage" in resources["requests"] and "ephemeral-storage" in resources["limits"], name


def test_secrets_are_files_never_environment() -> None:
    for values in CI_VALUES:
        for name, pod in pods(render(values)):
            for container in containers(pod):
                assert "envFrom" not in container, name
                assert not [e for e in container["env"] if "secretKeyRef" in e.get("valueFrom", {})], name


def test_service_accounts_carry_no_token() -> None:
    accounts = [d for d in render() if d["kind"] == "ServiceAccount"]
    assert len(accounts) == 3
    assert all(account["automountServiceAccountToken"] is False for account in accounts)


@pytest.mark.parametrize("values", CI_VALUES, ids=lambda file: file.stem)
def test_no_environment_variable_or_argument_comes_twice(values: pathlib.Path) -> None:
    for name, pod in pods(render(values)):
        for container in containers(pod):
            variables = [variable["name"] for variable in container["env"]]
            assert len(variables) == len(set(variables)), name
            options = [word.split("=")[0] for word in container["args"]]
            assert len(options) == len(set(options)), name


def test_probes_ask_the_admin_port_and_differ() -> None:
    for name, pod in pods([d for d in render() if d["kind"] in ("Deployment", "StatefulSet")]):
        container = pod["spec"]["containers"][0]
        assert {"name": "admin", "containerPort": 9464, "protocol": "TCP"} in container["ports"], name
        assert arguments(pod)["admin-listen"] == "0.0.0.0:9464", name
        probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}
        assert {kind: probe["httpGet"] for kind, probe in probes.items()} == {
            "startup": {"path": "/startupz", "port": "admin"}, "liveness": {"path": "/livez", "port": "admin"},
            "readiness": {"path": "/readyz", "port": "admin"}}, name
        assert [(p["periodSeconds"], p["failureThreshold"]) for p in probes.values()] == [(5, 60), (10, 6), (5, 3)], name


@pytest.mark.parametrize(("drain", "grace"), [(0, 30), (60, 90), (300, 330), (86400, 86430)])
def test_grace_is_the_drain_and_thirty_seconds(drain: int, grace: int) -> None:
    documents = render(MINIMAL, worker__agents={"default": {"drainTimeoutSeconds": drain}})
    pod = one(documents, "Deployment", "-worker-default")["spec"]["template"]
    assert pod["spec"]["terminationGracePeriodSeconds"] == grace
    assert arguments(pod)["drain-timeout"] == f"{drain}s"
    assert "lifecycle" not in pod["spec"]["containers"][0]


def test_a_longer_grace_may_be_given() -> None:
    pod = one(render(ci("full")), "Deployment", "-worker-reports")["spec"]["template"]
    assert pod["spec"]["terminationGracePeriodSeconds"] == 600


def test_pre_stop_sleeps_where_kubernetes_can() -> None:
    for kubernetes, expected in (("1.34.0", {"preStop": {"sleep": {"seconds": 5}}}), ("1.29.0", None)):
        for name in ("-producer", "-licensor"):
            pod = one(render(MINIMAL, kubernetes=kubernetes), "Deployment", name)["spec"]["template"]
            assert pod["spec"]["containers"][0].get("lifecycle") == expected


def test_an_agent_changes_only_what_it_names() -> None:
    documents = render(ci("full"))
    agents = {name: one(documents, "Deployment", f"-worker-{name}") for name in ("default", "critical", "reports")}
    pod = {name: agent["spec"]["template"] for name, agent in agents.items()}
    assert {name: arguments(p)["interpreters"] for name, p in pod.items()} == {"default": "2", "critical": "8", "reports": "2"}
    assert {name: arguments(p)["drain-timeout"] for name, p in pod.items()} == {
        "default": "60s", "critical": "900s", "reports": "60s"}
    assert agents["critical"]["spec"]["strategy"] == {"type": "Recreate"}
    assert agents["default"]["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert "/packages" in [mount["mountPath"] for mount in pod["critical"]["spec"]["containers"][0]["volumeMounts"]]
    assert "library" in json.dumps(pod["critical"]["spec"]["volumes"])
    assert "library" not in json.dumps(pod["default"])
    annotation = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    assert pod["critical"]["metadata"]["annotations"][annotation] == "false"
    assert annotation not in pod["default"]["metadata"]["annotations"]


def test_an_overlay_adds_an_agent_and_leaves_the_others(tmp_path: pathlib.Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("worker: {agents: {extra: {replicas: 5}}}\n")
    workloads = [d["metadata"]["name"] for d in render(ci("full"), overlay, worker__licensedKeys=99) if d["kind"] == "Deployment"]
    assert [name for name in workloads if "-worker-" in name] == [
        f"plant-engenho-worker-{agent}" for agent in ("critical", "default", "extra", "reports")]


def test_replicas_are_left_to_others_when_null_or_scaled() -> None:
    assert "replicas" not in one(render(ci("full")), "Deployment", "-worker-reports")["spec"]
    assert "replicas" not in one(render(ci("keda")), "Deployment", "-worker-default")["spec"]
    assert "replicas" not in one(render(MINIMAL, producer__replicas=None), "Deployment", "-producer")["spec"]
    assert one(render(MINIMAL, worker__agents={"default": {"replicas": 0}}), "Deployment", "-worker-default")["spec"]["replicas"] == 0


def test_static_members_are_a_stateful_set_and_no_other() -> None:
    documents = render(ci("statefulset-static"))
    workload = one(documents, "StatefulSet", "-worker-default")
    assert workload["spec"]["podManagementPolicy"] == "Parallel"
    assert one(documents, "Service", workload["spec"]["serviceName"])["spec"]["clusterIP"] == "None"
    assert arguments(workload["spec"]["template"])["static-membership"] == "true"
    assert arguments(workload["spec"]["template"])["session-timeout"] == "90s"
    assert arguments(one(render(), "Deployment", "-worker-default")["spec"]["template"])["static-membership"] == "false"


def test_budgets_let_one_pod_go_and_never_hang_a_drain() -> None:
    documents = render(ci("statefulset-static"))
    budgets = {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == "PodDisruptionBudget"}
    assert set(budgets) == {"plant-engenho-producer", "plant-engenho-licensor", "plant-engenho-worker-default"}
    assert all(b["maxUnavailable"] == 1 and b["unhealthyPodEvictionPolicy"] == "AlwaysAllow" for b in budgets.values())


def test_pods_spread_over_zones_and_nodes_unless_told_otherwise() -> None:
    for name, pod in pods([d for d in render() if d["kind"] == "Deployment"]):
        keys = [c["topologyKey"] for c in pod["spec"]["topologySpreadConstraints"]]
        assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"], name
        assert all(c["matchLabelKeys"] == ["pod-template-hash"] for c in pod["spec"]["topologySpreadConstraints"])
    assert "topologySpreadConstraints" not in one(render(ci("full")), "Deployment", "-producer")["spec"]["template"]["spec"]


# Labels and selectors.


def selectors(documents: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"{d['kind']} {d['metadata']['name']}": d["spec"]["selector"] for d in documents if "selector" in d.get("spec", {})}


@pytest.mark.parametrize("values", CI_VALUES, ids=lambda file: file.stem)
def test_selectors_hold_nothing_that_an_upgrade_changes(values: pathlib.Path) -> None:
    before = render(values)
    after = render(values, image__tag="9.9.9", commonLabels={"more": "labels"}, worker__defaults__podLabels={"a": "b"})
    assert selectors(before) == selectors(after)
    allowed = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component", "engenho/agent",
               "engenho/scrape"}
    for name, selector in selectors(before).items():
        assert set(selector.get("matchLabels", selector)) <= allowed, name


@pytest.mark.parametrize("values", CI_VALUES, ids=lambda file: file.stem)
def test_every_selector_finds_what_it_is_for(values: pathlib.Path) -> None:
    """Workloads and budgets find exactly their own pods, Services theirs."""
    documents = render(values)
    found: dict[str, set[str]] = {}
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(documents) if not name.startswith("Pod ")}
    for name, selector in selectors(documents).items():
        match = selector.get("matchLabels", selector)
        if name.split()[0] in ("ServiceMonitor",):
            continue
        found[name] = {pod for pod, has in labels.items() if match.items() <= has.items()}
        assert found[name], f"{name} finds no pod"
    for name, pods_ in found.items():
        if name.split()[0] in ("Deployment", "StatefulSet"):
            assert pods_ == {name}, name
    services = [d for d in documents if d["kind"] == "ServiceMonitor"]
    for monitor in services:
        match = monitor["spec"]["selector"]["matchLabels"]
        scraped = {d["metadata"]["name"] for d in documents if d["kind"] == "Service" and match.items() <= d["metadata"]["labels"].items()}
        assert scraped == {"plant-engenho-producer-admin", "plant-engenho-licensor"}


def test_every_object_carries_the_recommended_labels() -> None:
    for document in render(ci("full")):
        if document["metadata"]["name"].endswith("-extra"):
            continue
        labels = document["metadata"]["labels"]
        assert {f"app.kubernetes.io/{key}" for key in ("name", "instance", "component", "part-of", "version", "managed-by")} \
            | {"helm.sh/chart", "team"} <= labels.keys(), document["metadata"]["name"]
        assert all(re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", value) for value in labels.values())


# Image, Kafka, network.


def test_the_digest_wins_over_the_tag_and_the_parent_over_us() -> None:
    image = one(render(ci("full")), "Deployment", "-licensor")["spec"]["template"]["spec"]
    assert re.fullmatch(r"registry\.example\.com/engenho@sha256:[0-9a-f]{64}", image["containers"][0]["image"])
    assert image["imagePullSecrets"] == [{"name": "pull"}]
    plain = one(render(), "Deployment", "-licensor")["spec"]["template"]["spec"]
    assert plain["containers"][0]["image"] == "engenho:" + yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]


def test_kafka_settings_reach_every_client() -> None:
    documents = render(ci("external-tls-sasl"))
    for name in ("-producer", "-worker-default"):
        pod = one(documents, "Deployment", name)["spec"]["template"]
        options = arguments(pod)
        settings = dict(pair.split("=", 1) for pair in options["kafka-config"].split(";"))
        assert options["kafka"] == "b-1.example.com:9096,b-2.example.com:9096"
        assert settings == {
            "enable.ssl.certificate.verification": "false", "sasl.mechanism": "PLAIN", "security.protocol": "sasl_ssl",
            "ssl.ca.location": "/etc/engenho/kafka/tls/ca.crt", "ssl.certificate.location": "/etc/engenho/kafka/tls/tls.crt",
            "ssl.endpoint.identification.algorithm": "none", "ssl.key.location": "/etc/engenho/kafka/tls/tls.key"}
        mounts = {mount["mountPath"]: mount["name"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
        assert mounts["/etc/engenho/kafka/tls"] == "kafka-tls" and mounts["/etc/engenho/kafka/sasl"] == "kafka-sasl"
    licensor = one(documents, "Deployment", "-licensor")["spec"]["template"]
    assert "kafka" not in json.dumps(licensor["spec"]["volumes"])


def test_redis_is_logged_in_to_with_a_file() -> None:
    pod = one(render(ci("full")), "Deployment", "-licensor")["spec"]["template"]
    assert arguments(pod)["redis"] == "redis://engenho:@valkey.store:6380/2"
    assert arguments(pod)["redis-password-file"] == "/etc/engenho/redis/password"
    plain = arguments(one(render(), "Deployment", "-licensor")["spec"]["template"])
    assert plain["redis"] == "redis://redis:6379/0" and "redis-password-file" not in plain


def test_redis_with_tls_is_asked_for_its_certificate_and_shown_ours() -> None:
    tls = {"enabled": True, "existingSecret": "own", "certKey": "tls.crt", "keyKey": "tls.key"}
    options = arguments(one(render(redis__tls=tls), "Deployment", "-licensor")["spec"]["template"])
    assert options["redis"] == "rediss://redis:6379/0"
    assert (options["redis-ca-file"], options["redis-cert-file"], options["redis-key-file"]) == (
        "/etc/engenho/redis-tls/ca.crt", "/etc/engenho/redis-tls/tls.crt", "/etc/engenho/redis-tls/tls.key")
    public = arguments(one(render(redis__tls={"enabled": True}), "Deployment", "-licensor")["spec"]["template"])
    assert public["redis"] == "rediss://redis:6379/0" and not any(name.endswith("-file") for name in public)


def test_sentinels_say_which_redis_is_the_master() -> None:
    documents = render(ci("sentinels"))
    pod = one(documents, "Deployment", "-licensor")["spec"]["template"]
    options = arguments(pod)
    assert options["redis"] == (
        "sentinels://engenho:@sentinel-0.store:26379,sentinel-1.store:26379,sentinel-2.store:26380/seats/0")
    assert options["redis-password-file"] == "/etc/engenho/redis/redis-password"
    assert (options["redis-sentinel-user"], options["redis-sentinel-password-file"]) == (
        "watcher", "/etc/engenho/redis-sentinel/password")
    volumes = {volume["name"]: volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}
    assert volumes == {"licences": "engenho-licences", "redis": "redis-user", "redis-sentinel": "sentinel-user",
                       "redis-tls": "redis-client"}
    policy = one(documents, "NetworkPolicy", "-licensor")["spec"]
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]} - {53}
    assert ports == {6380, 26379, 26380}


def test_every_mount_has_its_volume_and_every_volume_a_mount() -> None:
    for values in CI_VALUES:
        for name, pod in pods(render(values)):
            mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
            assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}, (values.stem, name)


def test_strict_network_policies_name_every_peer() -> None:
    policies = [d for d in render(ci("networkpolicy-strict")) if d["kind"] == "NetworkPolicy"]
    assert {p["metadata"]["name"] for p in policies} == {f"plant-engenho-{name}" for name in PROGRAMS}
    for policy in policies:
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert all(rule.get("from") for rule in policy["spec"]["ingress"]), policy["metadata"]["name"]
        for rule in policy["spec"]["egress"]:
            assert rule.get("to") or {port["port"] for port in rule["ports"]} == {53}, policy["metadata"]["name"]


def test_only_the_licensor_reaches_redis_and_only_our_pods_reach_the_licensor() -> None:
    policies = {d["metadata"]["name"].removeprefix("plant-engenho-"): d["spec"] for d in render(ci("networkpolicy-strict"))
                if d["kind"] == "NetworkPolicy"}
    redis = [name for name, spec in policies.items() for rule in spec["egress"] for port in rule["ports"] if port["port"] == 6379]
    assert redis == ["licensor"]
    rule = next(r for r in policies["licensor"]["ingress"] if r["ports"][0]["port"] == "licensor")
    assert [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in rule["from"]] == ["producer", "worker"]


def test_scripts_may_call_out_unless_the_agent_is_restricted() -> None:
    assert one(render(), "NetworkPolicy", "-worker-default-egress")["spec"]["egress"] == [{}]
    names = [d["metadata"]["name"] for d in render(ci("networkpolicy-strict")) if d["kind"] == "NetworkPolicy"]
    assert not [name for name in names if name.endswith("-egress")]


# Scaling and monitoring.


def test_keda_watches_each_topic_of_the_agent_up_to_its_partitions() -> None:
    documents = render(ci("keda"))
    scaled = one(documents, "ScaledObject", "-worker-default")["spec"]
    assert scaled["scaleTargetRef"] == {"kind": "Deployment", "name": "plant-engenho-worker-default"}
    assert scaled["maxReplicaCount"] == 12
    assert [t["metadata"]["topic"] for t in scaled["triggers"]] == [
        "engenho.events", "engenho.triggers.default", "engenho.simulations.default"]
    for trigger in scaled["triggers"]:
        assert trigger["metadata"]["consumerGroup"] == "engenho.default"
        assert trigger["metadata"]["version"] == "2.8.0" and trigger["metadata"]["allowIdleConsumers"] == "true"
        assert trigger["metadata"]["sasl"] == "scram_sha512" and trigger["metadata"]["tls"] == "enable"
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
        assert one(documents, "TriggerAuthentication", trigger["authenticationRef"]["name"])
    assert not [d for d in render() if d["kind"] in ("ScaledObject", "TriggerAuthentication")]


def test_monitors_appear_where_the_cluster_has_them_or_when_forced() -> None:
    kinds = {"PodMonitor", "ServiceMonitor", "PrometheusRule"}
    assert not kinds & {d["kind"] for d in render()}
    forced = render(ci("full"))
    assert kinds <= {d["kind"] for d in forced}
    assert one(forced, "PodMonitor", "-worker")["metadata"]["namespace"] == "monitoring"
    assert one(forced, "PodMonitor", "-worker")["spec"]["namespaceSelector"] == {"matchNames": ["engenho"]}
    done = helm("template", "plant", CHART, "-f", MINIMAL, "--api-versions", "monitoring.coreos.com/v1")
    assert kinds <= {d["kind"] for d in yaml.safe_load_all(done.stdout) if d}


def test_notes_say_what_runs_and_warn_of_a_demo(tmp_path: pathlib.Path) -> None:
    minimal = notes(tmp_path)
    assert "default: Deployment plant-engenho-worker-default, 1 pods with 4 interpreters each, 300 s to drain" in minimal
    assert "port-forward svc/plant-engenho-producer 8080:8080" in minimal
    assert "WARNING: licensor.existingSecret is empty" in minimal
    assert "WARNING" not in notes(tmp_path, "--set", "licensor.existingSecret=licences")
    assert "surplus idles" in notes(tmp_path, "--set", "worker.agents.default.replicas=9")
    assert "Set worker.licensedKeys" in notes(tmp_path, "--set", "worker.agents.default.replicas=2")
    assert "No PodMonitor was rendered" in minimal


# The chart and the programs.


def help_options(program: str, *command: str) -> set[str]:
    done = subprocess.run([str(BIN / program), *command, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{program} --help: {done.stderr}"
    return set(re.findall(r"--([a-z][a-z-]+)", done.stdout))


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_argument_is_an_option_that_the_program_has(program: str) -> None:
    options = help_options(f"engenho-{program}")
    assert "admin-listen" in options
    seen: set[str] = set()
    for values in CI_VALUES:
        for _, pod in pods(render(values)):
            container = pod["spec"]["containers"][0]
            if container["command"] == [f"/usr/bin/engenho-{program}"]:
                seen |= set(arguments(pod))
    assert seen, f"no pod runs engenho-{program}"
    assert seen <= options, f"engenho-{program} has no --{', --'.join(sorted(seen - options))}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_value_is_one_that_the_option_takes(program: str) -> None:
    """The words of each pod, and after them one that no program has: that one, and nothing before it, is complained about."""
    for values in CI_VALUES:
        for name, pod in pods(render(values)):
            container = pod["spec"]["containers"][0]
            if container["command"] == [f"/usr/bin/engenho-{program}"]:
                words = [word.replace("$(POD_NAME)", "pod-0").replace("$(POD_IP)", "10.0.0.1") for word in container["args"]]
                done = subprocess.run([str(BIN / f"engenho-{program}"), *words, "--no-such-option=1"], capture_output=True,
                                      text=True, timeout=30)
                assert done.returncode == 2, (values.stem, name, done.stderr)
                assert "no-such-option" in done.stderr, (values.stem, name, done.stderr)


@pytest.mark.parametrize("command", ["lag", "seats"])
def test_helm_test_asks_what_the_command_line_can_answer(command: str) -> None:
    pod = one(render(), "Pod", f"-test-{command}")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["spec"]["containers"][0]["command"] == ["/usr/bin/engenho", command]
    assert set(arguments(pod)) <= help_options("engenho", command)


# Documentation.


def leaves(schema: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key, child in schema.get("properties", {}).items():
        at = f"{path}.{key}".lstrip(".")
        found.update(leaves(child, at) if "properties" in child and key != "global" else {at: child})
    return found


def test_every_key_of_values_is_described_by_the_schema_and_the_reverse() -> None:
    root = json.loads((CHART / "values.schema.json").read_text())
    described = leaves(root)
    assert not [path for path, leaf in described.items() if not leaf.get("description")]
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def present(path: str) -> bool:
        at: Any = values
        for key in path.split("."):
            if not isinstance(at, dict) or key not in at:
                return False
            at = at[key]
        return True

    assert [path for path in described if not present(path)] == ["enabled"]
    worker = leaves(root["definitions"]["worker"])
    assert not [path for path, leaf in worker.items() if not leaf.get("description")]
    assert not [path for path in worker if not present(f"worker.defaults.{path}")]


def test_readme_is_in_step_with_the_schema() -> None:
    done = subprocess.run([sys.executable, str(TOP / "helm/readme.py"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
