"""Schemas of the custom resources that the chart renders: the fields that we use, and no others.

Their operators' own schemas are no part of Kubernetes'. These say which fields exist and their types, so that a misplaced
or misspelt one fails. Names as kubeconform looks for them.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
DURATION: Schema = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h))+$"}


def thing(required: str = "", /, **properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required.split()}


def each(item: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": item, "minItems": least}


def resource(version: str, kind: str, spec: Schema) -> Schema:
    metadata = thing("name", name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **thing("apiVersion kind metadata spec", apiVersion={"const": version}, kind={"const": kind}, metadata=metadata,
                spec=spec),
    }


SELECTOR = thing(matchLabels=TEXTS, matchExpressions=each({"type": "object"}))
RELABELING = thing(sourceLabels=each(TEXT), separator=TEXT, targetLabel=TEXT, regex=TEXT, replacement=TEXT, action=TEXT,
                   modulus=COUNT)
ENDPOINT = thing("port", port=TEXT, path=TEXT, interval=DURATION, scrapeTimeout=DURATION, honorLabels=FLAG,
                 relabelings=each(RELABELING), metricRelabelings=each(RELABELING))
NAMESPACES = thing(matchNames=each(TEXT, 1))
RULE = {
    **thing("expr", alert=TEXT, record=TEXT, expr=TEXT, labels=TEXTS, annotations=TEXTS, **{"for": DURATION}),
    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
}
POLICY = thing("type value periodSeconds", type={"enum": ["Pods", "Percent"]}, value=COUNT, periodSeconds=COUNT)
BEHAVIOUR = thing(stabilizationWindowSeconds=COUNT, selectPolicy={"enum": ["Max", "Min", "Disabled"]},
                  policies=each(POLICY, 1))
TRIGGER = thing(
    "type metadata", type=TEXT, name=TEXT, useCachedMetrics=FLAG, metricType={"enum": ["AverageValue", "Value"]},
    authenticationRef=thing("name", name=TEXT),
    # KEDA takes these as strings only: "true", not true.
    metadata=thing(
        "bootstrapServers consumerGroup topic", bootstrapServers=TEXT, consumerGroup=TEXT, topic=TEXT,
        lagThreshold={"type": "string", "pattern": "^[0-9]+$"}, activationLagThreshold={"type": "string", "pattern": "^[0-9]+$"},
        offsetResetPolicy={"enum": ["earliest", "latest"]}, version=TEXT, allowIdleConsumers=TEXT,
        limitToPartitionsWithLag=TEXT, excludePersistentLag=TEXT, scaleToZeroOnInvalidOffset=TEXT,
        sasl={"enum": ["plaintext", "scram_sha256", "scram_sha512"]}, tls={"enum": ["enable", "disable"]}, unsafeSsl=TEXT))

SCHEMAS: dict[str, Schema] = {
    "podmonitor-monitoring-v1": resource("monitoring.coreos.com/v1", "PodMonitor", thing(
        "selector podMetricsEndpoints", namespaceSelector=NAMESPACES, selector=SELECTOR, podMetricsEndpoints=each(ENDPOINT, 1))),
    "servicemonitor-monitoring-v1": resource("monitoring.coreos.com/v1", "ServiceMonitor", thing(
        "selector endpoints", namespaceSelector=NAMESPACES, selector=SELECTOR, endpoints=each(ENDPOINT, 1))),
    "prometheusrule-monitoring-v1": resource("monitoring.coreos.com/v1", "PrometheusRule", thing(
        "groups", groups=each(thing("name rules", name=TEXT, interval=DURATION, rules=each(RULE, 1)), 1))),
    "httproute-gateway-v1": resource("gateway.networking.k8s.io/v1", "HTTPRoute", thing(
        "parentRefs rules",
        parentRefs=each(thing("name", name=TEXT, namespace=TEXT, sectionName=TEXT, group=TEXT, kind=TEXT, port=COUNT), 1),
        hostnames=each(TEXT),
        rules=each(thing(
            matches=each(thing(path=thing("type value", type={"enum": ["PathPrefix", "Exact"]}, value=TEXT))),
            backendRefs=each(thing("name port", name=TEXT, namespace=TEXT, port=COUNT, weight=COUNT))), 1))),
    "scaledobject-keda-v1alpha1": resource("keda.sh/v1alpha1", "ScaledObject", thing(
        "scaleTargetRef triggers", scaleTargetRef=thing("name", apiVersion=TEXT, kind=TEXT, name=TEXT), pollingInterval=COUNT,
        cooldownPeriod=COUNT, initialCooldownPeriod=COUNT, minReplicaCount=COUNT, maxReplicaCount=COUNT,
        fallback=thing("failureThreshold replicas", failureThreshold=COUNT, replicas=COUNT, behavior={
            "enum": ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]}),
        advanced=thing(restoreToOriginalReplicaCount=FLAG, horizontalPodAutoscalerConfig=thing(
            name=TEXT, behavior=thing(scaleUp=BEHAVIOUR, scaleDown=BEHAVIOUR))),
        triggers=each(TRIGGER, 1))),
    "triggerauthentication-keda-v1alpha1": resource("keda.sh/v1alpha1", "TriggerAuthentication", thing(
        "secretTargetRef", secretTargetRef=each(thing("parameter name key", name=TEXT, key=TEXT, parameter={
            "enum": ["username", "password", "ca", "cert", "key", "sasl", "tls"]}), 1))),
}
