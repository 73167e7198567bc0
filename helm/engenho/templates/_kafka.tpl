{{/* How every client reaches Kafka: arguments, and the files they name. */}}

{{- define "engenho.kafka.folder" -}}/etc/engenho/kafka{{- end -}}

{{/* --kafka-config: settings of librdkafka, KEY=VALUE;... in a stable order. */}}
{{- define "engenho.kafka.config" -}}
{{- $kafka := .Values.kafka -}}
{{- $settings := dict -}}
{{- if ne $kafka.securityProtocol "PLAINTEXT" -}}
{{- $_ := set $settings "security.protocol" (lower $kafka.securityProtocol) -}}
{{- end -}}
{{- if hasPrefix "SASL" $kafka.securityProtocol -}}
{{- $_ := set $settings "sasl.mechanism" $kafka.sasl.mechanism -}}
{{- end -}}
{{- if hasSuffix "SSL" $kafka.securityProtocol -}}
{{- $tls := $kafka.tls -}}
{{- if and $tls.existingSecret $tls.caKey -}}
{{- $_ := set $settings "ssl.ca.location" (printf "%s/tls/%s" (include "engenho.kafka.folder" .) $tls.caKey) -}}
{{- end -}}
{{- if and $tls.existingSecret $tls.certKey -}}
{{- $_ := set $settings "ssl.certificate.location" (printf "%s/tls/%s" (include "engenho.kafka.folder" .) $tls.certKey) -}}
{{- $_ := set $settings "ssl.key.location" (printf "%s/tls/%s" (include "engenho.kafka.folder" .) $tls.keyKey) -}}
{{- end -}}
{{- if not $tls.verify -}}
{{- $_ := set $settings "enable.ssl.certificate.verification" "false" -}}
{{- $_ := set $settings "ssl.endpoint.identification.algorithm" "none" -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := $kafka.config -}}
{{- $_ := set $settings $key (toString $value) -}}
{{- end -}}
{{- $pairs := list -}}
{{- range $key := keys $settings | sortAlpha -}}
{{- $pairs = append $pairs (printf "%s=%s" $key (get $settings $key)) -}}
{{- end -}}
{{- join ";" $pairs -}}
{{- end -}}

{{- define "engenho.kafka.args" -}}
- --kafka={{ join "," .Values.kafka.bootstrapServers }}
- --prefix={{ .Values.kafka.prefix }}
{{- with include "engenho.kafka.config" . }}
- {{ printf "--kafka-config=%s" . | quote }}
{{- end }}
{{- if hasPrefix "SASL" .Values.kafka.securityProtocol }}
- --kafka-user-file={{ include "engenho.kafka.folder" . }}/sasl/{{ .Values.kafka.sasl.usernameKey }}
- --kafka-password-file={{ include "engenho.kafka.folder" . }}/sasl/{{ .Values.kafka.sasl.passwordKey }}
{{- end }}
{{- end -}}

{{- define "engenho.kafka.volumes" -}}
{{- if and (hasSuffix "SSL" .Values.kafka.securityProtocol) .Values.kafka.tls.existingSecret }}
- name: kafka-tls
  secret:
    secretName: {{ .Values.kafka.tls.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- if hasPrefix "SASL" .Values.kafka.securityProtocol }}
- name: kafka-sasl
  secret:
    secretName: {{ .Values.kafka.sasl.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "engenho.kafka.mounts" -}}
{{- if and (hasSuffix "SSL" .Values.kafka.securityProtocol) .Values.kafka.tls.existingSecret }}
- name: kafka-tls
  mountPath: {{ include "engenho.kafka.folder" . }}/tls
  readOnly: true
{{- end }}
{{- if hasPrefix "SASL" .Values.kafka.securityProtocol }}
- name: kafka-sasl
  mountPath: {{ include "engenho.kafka.folder" . }}/sasl
  readOnly: true
{{- end }}
{{- end -}}

{{/* Ports of the brokers, as a YAML list: those given, or those of the bootstrap servers. */}}
{{- define "engenho.kafka.ports" -}}
{{- $ports := .Values.networkPolicy.kafkaPorts -}}
{{- if not $ports -}}
{{- $ports = list -}}
{{- range .Values.kafka.bootstrapServers -}}
{{- $ports = append $ports (splitList ":" . | last | int) -}}
{{- end -}}
{{- end -}}
{{- range uniq $ports }}
- port: {{ . }}
  protocol: TCP
{{- end }}
{{- end -}}
