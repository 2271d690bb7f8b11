{{/* Names and labels, and the context of the library's templates. */}}

{{- define "narthex.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "narthex.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "narthex.labels" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end -}}
{{ include "narthex.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "narthex.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "narthex.name" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "narthex.several" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) -}}true{{- end -}}
{{- end -}}

{{/* The host of upstream.url, as far as it is known; empty for a socket. */}}
{{- define "narthex.upstreamHost" -}}
{{- $url := dig "upstream" "url" "" (.Values.config | default (.Values.configToml | fromToml)) | lower -}}
{{- if regexMatch "^(https?|h2c)://" $url -}}
{{- regexReplaceAll "^[a-z0-9]+://([^/@]*@)?([^/:?#]*).*$" $url "${2}" | trimSuffix "." -}}
{{- end -}}
{{- end -}}

{{- define "narthex.upstreamPort" -}}
{{- $url := dig "upstream" "url" "" (.Values.config | default (.Values.configToml | fromToml)) | lower -}}
{{- regexFind "^[a-z0-9]+://[^/?#]*:[0-9]+" $url | regexFind "[0-9]+$" | default (ternary "443" "80" (hasPrefix "https:" $url)) -}}
{{- end -}}
