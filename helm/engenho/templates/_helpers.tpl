{{/* Names, labels, image. Every helper that needs more than the root takes a dict with "root". */}}

{{- define "engenho.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "engenho.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains (include "engenho.name" .) .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "engenho.name" .) -}}
{{- end -}}
{{- end -}}

{{- define "engenho.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* Name of a component's objects: dict "root" "component" ["agent"]. */}}
{{- define "engenho.component" -}}
{{- $name := printf "%s-%s" (include "engenho.fullname" .root) .component -}}
{{- if .agent -}}{{- printf "%s-%s" $name .agent -}}{{- else -}}{{- $name -}}{{- end -}}
{{- end -}}

{{/* What a selector may hold, for ever: nothing that changes with a version. */}}
{{- define "engenho.selector" -}}
app.kubernetes.io/name: {{ include "engenho.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- with .agent }}
engenho/agent: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "engenho.labels" -}}
{{ include "engenho.selector" . }}
app.kubernetes.io/part-of: engenho
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | trimSuffix "_" | trimSuffix "." }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object: dict "root" "component" ["agent"] ["name"] ["namespace"] ["labels"] ["annotations"]. */}}
{{- define "engenho.metadata" -}}
name: {{ default (include "engenho.component" .) .name }}
namespace: {{ default (include "engenho.namespace" .root) .namespace }}
labels:
  {{- include "engenho.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := mergeOverwrite dict (deepCopy .root.Values.commonAnnotations) (default dict .annotations) }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "engenho.image" -}}
{{- $image := .Values.image -}}
{{- $name := $image.repository -}}
{{- with default $image.registry .Values.global.imageRegistry -}}{{- $name = printf "%s/%s" . $name -}}{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "engenho.pullSecrets" -}}
{{- range default .Values.image.pullSecrets .Values.global.imagePullSecrets }}
- name: {{ if kindIs "string" . }}{{ . }}{{ else }}{{ .name }}{{ end }}
{{- end }}
{{- end -}}

{{- define "engenho.licensorAddress" -}}
{{ include "engenho.component" (dict "root" . "component" "licensor") }}:{{ .Values.licensor.port }}
{{- end -}}

{{/* An agent's settings: the defaults, and over them its own. Yields YAML. */}}
{{- define "engenho.agent" -}}
{{- mergeOverwrite (deepCopy .root.Values.worker.defaults) (deepCopy (default dict (get .root.Values.worker.agents .agent))) | toYaml -}}
{{- end -}}

{{/* The most pods that an agent's settings (.) can lead to. */}}
{{- define "engenho.mostPods" -}}
{{- if eq .autoscaling.type "keda" -}}{{- .autoscaling.maxReplicas -}}{{- else -}}{{- default 0 .replicas -}}{{- end -}}
{{- end -}}

{{/* "true" when an optional object of monitoring.coreos.com is to be rendered: dict "root" "enabled". */}}
{{- define "engenho.monitored" -}}
{{- if eq (toString .enabled) "true" -}}true
{{- else if and (eq (toString .enabled) "auto") (.root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}true
{{- end -}}
{{- end -}}
