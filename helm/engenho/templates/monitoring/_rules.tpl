{{/* The alert rules: files/rules/*.yaml are plain Prometheus rule files, so that promtool tests the very text; here values change them. */}}

{{- define "engenho.alertNames" -}}
{{- $names := list -}}
{{- range $path, $_ := .Files.Glob "files/rules/*.yaml" -}}
{{- range ($.Files.Get $path | fromYaml).groups -}}
{{- range .rules -}}{{- with .alert -}}{{- $names = append $names . -}}{{- end -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- uniq $names | toYaml -}}
{{- end -}}

{{/* Alerts with a threshold that values may change: those that carry the annotation. */}}
{{- define "engenho.thresholdNames" -}}
{{- $names := list -}}
{{- range $path, $_ := .Files.Glob "files/rules/*.yaml" -}}
{{- range ($.Files.Get $path | fromYaml).groups -}}
{{- range .rules -}}{{- if and .alert (hasKey (default dict .annotations) "threshold") -}}{{- $names = append $names .alert -}}{{- end -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- uniq $names | toYaml -}}
{{- end -}}

{{/* One rule, or "" when it is disabled: dict "root" "rule". */}}
{{- define "engenho.rule" -}}
{{- $values := .root.Values.metrics.rules -}}
{{- $rule := deepCopy .rule -}}
{{- if $rule.alert -}}
{{- if not (has $rule.alert $values.disabled) -}}
{{- $annotations := $rule.annotations -}}
{{- if hasKey $values.thresholds $rule.alert -}}
{{- $new := get $values.thresholds $rule.alert | toString -}}
{{- $old := printf "([<>]=?) %s\\b" (replace "." "\\." $annotations.threshold) -}}
{{- $_ := set $rule "expr" (regexReplaceAll $old $rule.expr (printf "${1} %s" $new)) -}}
{{- $_ := set $annotations "threshold" $new -}}
{{- end -}}
{{- $_ := set $annotations "runbook_url" (printf "%s#%s" $values.runbookBase (lower $rule.alert)) -}}
{{- $_ := set $rule "labels" (mergeOverwrite (default dict $rule.labels) (deepCopy $values.additionalLabels)) -}}
{{- toYaml $rule -}}
{{- end -}}
{{- else -}}
{{- toYaml $rule -}}
{{- end -}}
{{- end -}}
