{{/* How the licensor reaches Redis: arguments, and the files they name. */}}

{{/* Below it one folder for each Secret, for their keys may bear one name: see engenho.redis.secrets. */}}
{{- define "engenho.redis.folder" -}}/etc/engenho{{- end -}}

{{/* The address: one server, or Sentinels that know the master. Passwords stand in files. */}}
{{- define "engenho.redis.url" -}}
{{- $redis := .Values.redis -}}
{{- $plain := ternary "sentinel" "redis" (not (empty $redis.sentinel.addresses)) -}}
{{- printf "%s%s://" $plain (ternary "s" "" $redis.tls.enabled) -}}
{{- with $redis.username }}{{ . }}:@{{ end -}}
{{- if $redis.sentinel.addresses -}}
{{- join "," $redis.sentinel.addresses }}/{{ $redis.sentinel.master }}
{{- else -}}
{{- $redis.host }}:{{ $redis.port }}
{{- end -}}
/{{ $redis.database }}
{{- end -}}

{{- define "engenho.redis.args" -}}
{{- $redis := .Values.redis }}
{{- $folder := include "engenho.redis.folder" . -}}
- --redis={{ include "engenho.redis.url" . }}
{{- if $redis.existingSecret }}
- --redis-password-file={{ $folder }}/redis/{{ $redis.passwordKey }}
{{- end }}
{{- with $redis.sentinel.username }}
- --redis-sentinel-user={{ . }}
{{- end }}
{{- if $redis.sentinel.existingSecret }}
- --redis-sentinel-password-file={{ $folder }}/redis-sentinel/{{ $redis.sentinel.passwordKey }}
{{- end }}
{{- if $redis.tls.existingSecret }}
{{- with $redis.tls.caKey }}
- --redis-ca-file={{ $folder }}/redis-tls/{{ . }}
{{- end }}
{{- if $redis.tls.certKey }}
- --redis-cert-file={{ $folder }}/redis-tls/{{ $redis.tls.certKey }}
- --redis-key-file={{ $folder }}/redis-tls/{{ $redis.tls.keyKey }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Name of a volume, and of its folder -> its Secret. */}}
{{- define "engenho.redis.secrets" -}}
{{- $redis := .Values.redis -}}
{{- $secrets := dict "redis" $redis.existingSecret "redis-sentinel" $redis.sentinel.existingSecret "redis-tls" $redis.tls.existingSecret -}}
{{- range $name, $secret := $secrets }}
{{- if $secret }}
{{ $name }}: {{ $secret | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "engenho.redis.mounts" -}}
{{- $folder := include "engenho.redis.folder" . -}}
{{- range $name, $_ := include "engenho.redis.secrets" . | fromYaml }}
- name: {{ $name }}
  mountPath: {{ $folder }}/{{ $name }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "engenho.redis.volumes" -}}
{{- range $name, $secret := include "engenho.redis.secrets" . | fromYaml }}
- name: {{ $name }}
  secret:
    secretName: {{ $secret | quote }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* Ports of Redis and its Sentinels, as a YAML list. */}}
{{- define "engenho.redis.ports" -}}
{{- $ports := list (int .Values.redis.port) -}}
{{- range .Values.redis.sentinel.addresses -}}
{{- $ports = append $ports (splitList ":" . | last | int) -}}
{{- end -}}
{{- range uniq $ports }}
- {port: {{ . }}, protocol: TCP}
{{- end }}
{{- end -}}
