{{/* Names are fixed: two operators in one cluster would work against each other, and Helm refuses the second one's ClusterRole. */}}
{{- define "dispatcher.selector" -}}
app.kubernetes.io/name: dispatcher
app.kubernetes.io/component: controller
{{- end }}

{{- define "dispatcher.labels" -}}
app.kubernetes.io/name: dispatcher
app.kubernetes.io/part-of: dispatcher
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}
