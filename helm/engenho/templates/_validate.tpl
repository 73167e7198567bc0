{{/*
What the schema cannot say. Each message names the key and the fix. Rendered by every install, by NOTES.txt and producer/deployment.yaml.
*/}}

{{- define "engenho.validate" -}}
{{- if gt (len .Release.Name) 40 -}}
{{- fail (printf "release name %q has %d characters: choose one of 40 at most" .Release.Name (len .Release.Name)) -}}
{{- end -}}
{{- if gt (len (include "engenho.fullname" .)) 40 -}}
{{- fail (printf "the name of all objects, %q, has %d characters: set fullnameOverride to one of 40 at most" (include "engenho.fullname" .) (len (include "engenho.fullname" .))) -}}
{{- end -}}
{{- if not .Values.kafka.bootstrapServers -}}
{{- fail "kafka.bootstrapServers is empty: give the address of a broker, as in --set 'kafka.bootstrapServers={kafka:9092}'" -}}
{{- end -}}
{{- $redis := .Values.redis -}}
{{- if and (not $redis.host) (not $redis.sentinel.addresses) -}}
{{- fail "redis.host is empty: give the name of a Redis 7 or Valkey, as in --set redis.host=redis, or redis.sentinel.addresses" -}}
{{- end -}}
{{- if and $redis.host $redis.sentinel.addresses -}}
{{- fail "redis.host and redis.sentinel.addresses are both set: empty redis.host, for the Sentinels say where the master is" -}}
{{- end -}}
{{- if and $redis.sentinel.addresses (not $redis.sentinel.master) -}}
{{- fail "redis.sentinel.master is empty: give the name that the Sentinels know the master by, as in --set redis.sentinel.master=mymaster" -}}
{{- end -}}
{{- if and $redis.sentinel.username (not $redis.sentinel.existingSecret) -}}
{{- fail "redis.sentinel.username is set, but redis.sentinel.existingSecret is empty: name the Secret with the password, or empty the user name" -}}
{{- end -}}
{{- if and $redis.tls.existingSecret (not $redis.tls.enabled) -}}
{{- fail "redis.tls.existingSecret is set, but redis.tls.enabled is false: set it to true, or empty redis.tls.existingSecret" -}}
{{- end -}}
{{- if ne (empty $redis.tls.certKey) (empty $redis.tls.keyKey) -}}
{{- fail "redis.tls.certKey and redis.tls.keyKey belong together: set both or neither" -}}
{{- end -}}
{{- if and $redis.tls.certKey (not $redis.tls.existingSecret) -}}
{{- fail "redis.tls.certKey is set, but redis.tls.existingSecret is empty: name the Secret with the certificate, or empty certKey and keyKey" -}}
{{- end -}}
{{- if and $redis.username (not $redis.existingSecret) -}}
{{- fail "redis.username is set, but redis.existingSecret is empty: name the Secret with the password, or empty the user name" -}}
{{- end -}}
{{- if not .Values.producer.api.existingSecret -}}
{{- fail "producer.api.existingSecret is empty: the API needs a token; make one with `kubectl create secret generic engenho-api --from-literal=token=$(openssl rand -hex 32)` and set producer.api.existingSecret=engenho-api" -}}
{{- end -}}
{{- if and .Values.producer.ingress.enabled (not .Values.producer.ingress.host) -}}
{{- fail "producer.ingress.host is empty: give the host name, or set producer.ingress.enabled=false" -}}
{{- end -}}
{{- if and .Values.producer.httpRoute.enabled (not .Values.producer.httpRoute.parentRefs) -}}
{{- fail "producer.httpRoute.parentRefs is empty: name a gateway, or set producer.httpRoute.enabled=false" -}}
{{- end -}}
{{- if and .Values.kafka.sasl.mechanism (not (hasPrefix "SASL" .Values.kafka.securityProtocol)) -}}
{{- fail (printf "kafka.sasl.mechanism is %s, but kafka.securityProtocol is %s: set it to SASL_SSL or SASL_PLAINTEXT, or empty the mechanism" .Values.kafka.sasl.mechanism .Values.kafka.securityProtocol) -}}
{{- end -}}
{{- if and .Values.kafka.tls.existingSecret (not (hasSuffix "SSL" .Values.kafka.securityProtocol)) -}}
{{- fail (printf "kafka.tls.existingSecret is set, but kafka.securityProtocol is %s: set it to SSL or SASL_SSL, or empty kafka.tls.existingSecret" .Values.kafka.securityProtocol) -}}
{{- end -}}
{{- if ne (empty .Values.kafka.tls.certKey) (empty .Values.kafka.tls.keyKey) -}}
{{- fail "kafka.tls.certKey and kafka.tls.keyKey belong together: set both or neither" -}}
{{- end -}}
{{- range $key, $value := .Values.kafka.config -}}
{{- if contains ";" (toString $value) -}}
{{- fail (printf "kafka.config.%s holds a semicolon, which separates settings: leave it out" $key) -}}
{{- end -}}
{{- if has $key (list "sasl.username" "sasl.password" "ssl.key.pem" "ssl.key.password") -}}
{{- fail (printf "kafka.config.%s would show a secret in the pod: use kafka.sasl.existingSecret or kafka.tls.existingSecret" $key) -}}
{{- end -}}
{{- end -}}
{{- if not .Values.worker.agents -}}
{{- fail "worker.agents is empty: give at least one agent, as in --set-json 'worker.agents={\"default\":{}}'" -}}
{{- end -}}
{{- $pods := 0 -}}
{{- range $agent, $_ := .Values.worker.agents -}}
{{- $options := include "engenho.agent" (dict "root" $ "agent" $agent) | fromYaml -}}
{{- $key := printf "worker.agents.%s" $agent -}}
{{- $name := include "engenho.component" (dict "root" $ "component" "worker" "agent" $agent) -}}
{{- if gt (len $name) 52 -}}
{{- fail (printf "%s: the workload's name %q has %d characters: shorten the agent's name, or fullnameOverride, to come to 52 at most" $key $name (len $name)) -}}
{{- end -}}
{{- $least := add (int $options.drainTimeoutSeconds) 30 -}}
{{- with $options.terminationGracePeriodSeconds -}}
{{- if lt (int .) (int $least) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds is %d, which kills a worker before it has drained: give at least drainTimeoutSeconds + 30 = %d, or leave it out" $key (int .) (int $least)) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $options.kind "StatefulSet") (eq $options.strategy "Recreate") -}}
{{- fail (printf "%s.strategy is Recreate, which a StatefulSet does not have: use kind: Deployment or strategy: RollingUpdate" $key) -}}
{{- end -}}
{{- if eq $options.autoscaling.type "keda" -}}
{{- if gt (int $options.autoscaling.minReplicas) (int $options.autoscaling.maxReplicas) -}}
{{- fail (printf "%s.autoscaling.minReplicas is greater than maxReplicas: lower it to %d or less" $key (int $options.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if gt (int $options.autoscaling.maxReplicas) (int $.Values.kafka.topics.partitions) -}}
{{- fail (printf "%s.autoscaling.maxReplicas is %d, but kafka.topics.partitions is %d: more workers than partitions would idle; lower it" $key (int $options.autoscaling.maxReplicas) (int $.Values.kafka.topics.partitions)) -}}
{{- end -}}
{{- end -}}
{{- $pods = add $pods (include "engenho.mostPods" $options | int) -}}
{{- end -}}
{{- with .Values.worker.licensedKeys -}}
{{- if gt (int $pods) (int .) -}}
{{- fail (printf "worker.agents come to %d pods, but worker.licensedKeys is %d, and each pod takes a product key: lower replicas or autoscaling.maxReplicas" (int $pods) (int .)) -}}
{{- end -}}
{{- end -}}
{{- range .Values.metrics.rules.disabled -}}
{{- if not (has . (include "engenho.alertNames" $ | fromYamlArray)) -}}
{{- fail (printf "metrics.rules.disabled names %q, which is no alert of this chart: see docs/OPERATIONS.md for their names" .) -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.metrics.rules.thresholds -}}
{{- if not (has $name (include "engenho.thresholdNames" $ | fromYamlArray)) -}}
{{- fail (printf "metrics.rules.thresholds.%s: no alert of this chart has this name and a threshold: see docs/OPERATIONS.md" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
