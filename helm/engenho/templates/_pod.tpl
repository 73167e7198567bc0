{{/*
What the pods of all three workloads share: restricted security, probes, resources, folders.

engenho.pod takes a dict:
  root       the root
  component  producer, licensor, worker
  agent      of a worker
  options    the part of the values with resources, tmpSize, nodeSelector, ...
  args       YAML list of arguments
  env        YAML list of environment variables, or ""
  ports      YAML list of container ports besides admin, or ""
  mounts     YAML list of mounts, or ""
  volumes    YAML list of volumes, or ""
  grace      terminationGracePeriodSeconds
  preStop    seconds to serve on while endpoints forget the pod; 0: none
*/}}

{{- define "engenho.podSecurity" -}}
runAsNonRoot: true
{{- if not .Values.openshift.enabled }}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "engenho.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "engenho.probe" -}}
httpGet:
  path: {{ .path }}
  port: admin
periodSeconds: {{ .period }}
timeoutSeconds: {{ .timeout }}
failureThreshold: {{ .failures }}
{{- end -}}

{{- define "engenho.podTemplate" -}}
metadata:
  labels:
    {{- include "engenho.labels" . | nindent 4 }}
    {{- with .options.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: {{ .component }}
    {{- with mergeOverwrite dict (deepCopy .root.Values.commonAnnotations) (default dict .annotations) (deepCopy .options.podAnnotations) }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "engenho.component" (dict "root" .root "component" .component) }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with include "engenho.pullSecrets" .root }}
  imagePullSecrets:
    {{- . | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ .grace }}
  securityContext:
    {{- include "engenho.podSecurity" .root | nindent 4 }}
  {{- with .options.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .options.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .options.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .options.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if kindIs "slice" .options.topologySpreadConstraints }}
  {{- with .options.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- else }}
  topologySpreadConstraints:
    {{- $selector := include "engenho.selector" . }}
    {{- $hashed := and (ne (default "" .options.kind) "StatefulSet") (semverCompare ">=1.27.0-0" .root.Capabilities.KubeVersion.Version) }}
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      {{- if $hashed }}
      matchLabelKeys: [pod-template-hash]
      {{- end }}
      labelSelector:
        matchLabels:
          {{- $selector | nindent 10 }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "engenho.image" .root | quote }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [/usr/bin/engenho-{{ .component }}]
      args:
        {{- .args | nindent 8 }}
        - --admin-listen=0.0.0.0:{{ .root.Values.metrics.port }}
        - --log-level={{ .root.Values.logLevel }}
      env:
        - name: POD_NAME
          valueFrom:
            fieldRef: {fieldPath: metadata.name}
        - name: POD_IP
          valueFrom:
            fieldRef: {fieldPath: status.podIP}
        - {name: HOME, value: /tmp}
        {{- with .options.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: admin
          containerPort: {{ .root.Values.metrics.port }}
          protocol: TCP
        {{- with .ports }}
        {{- . | nindent 8 }}
        {{- end }}
      startupProbe:
        {{- include "engenho.probe" (dict "path" "/startupz" "period" 5 "timeout" 3 "failures" 60) | nindent 8 }}
      livenessProbe:
        {{- include "engenho.probe" (dict "path" "/livez" "period" 10 "timeout" 5 "failures" 6) | nindent 8 }}
      readinessProbe:
        {{- include "engenho.probe" (dict "path" "/readyz" "period" 5 "timeout" 3 "failures" 3) | nindent 8 }}
      {{- if and .preStop (semverCompare ">=1.30.0-0" .root.Capabilities.KubeVersion.Version) }}
      lifecycle:
        preStop:
          sleep: {seconds: {{ .preStop }}}
      {{- end }}
      resources:
        {{- toYaml .options.resources | nindent 8 }}
      securityContext:
        {{- include "engenho.containerSecurity" .root | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- with .mounts }}
        {{- . | trim | nindent 8 }}
        {{- end }}
        {{- with .options.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: {{ .options.tmpSize }}}
    {{- with .volumes }}
    {{- . | trim | nindent 4 }}
    {{- end }}
    {{- with .options.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* A ServiceAccount without rights or token: dict "root" "component". */}}
{{- define "engenho.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "engenho.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}

{{/* A PodDisruptionBudget: dict "root" "component" ["agent"]. */}}
{{- define "engenho.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "engenho.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  {{- if semverCompare ">=1.27.0-0" .root.Capabilities.KubeVersion.Version }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  {{- end }}
  selector:
    matchLabels:
      {{- include "engenho.selector" . | nindent 6 }}
{{- end -}}
