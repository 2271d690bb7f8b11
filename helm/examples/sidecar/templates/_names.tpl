{{- define "git.selector" -}}
app.kubernetes.io/name: git
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "git.labels" -}}
{{ include "git.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
