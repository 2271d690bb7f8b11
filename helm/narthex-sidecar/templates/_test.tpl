{{/*
helm test. The pods have labels of their own: with those of the proxy's pods the Service would send them requests.
*/}}

{{- define "narthex-sidecar.test" -}}
{{- $v := .values -}}
{{- if $v.tests.enabled -}}
{{- $args := $v.tests.args | default (ternary (list "check" "--store") (list "check") (eq (include "narthex-sidecar.store" .) "postgres")) -}}
apiVersion: v1
kind: Pod
metadata:
  {{- include "narthex-sidecar.testMetadata" (merge (dict "suffix" "-test-check") .) | nindent 2 }}
spec:
  {{- include "narthex-sidecar.testPod" . | nindent 2 }}
  containers:
    - name: narthex
      image: {{ include "narthex-sidecar.image" . | quote }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args:
        {{- toYaml $args | nindent 8 }}
      env:
        {{- include "narthex-sidecar.env" . | nindent 8 }}
      {{- with $v.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- toYaml $v.securityContext | nindent 8 }}
      volumeMounts:
        {{- include "narthex-sidecar.volumeMounts" . | nindent 8 }}
  volumes:
    {{- include "narthex-sidecar.readVolumes" . | nindent 4 }}
{{- if and $v.tests.httpImage .testUrl }}
---
apiVersion: v1
kind: Pod
metadata:
  {{- include "narthex-sidecar.testMetadata" (merge (dict "suffix" "-test-http") .) | nindent 2 }}
spec:
  {{- include "narthex-sidecar.testPod" . | nindent 2 }}
  containers:
    - name: wget
      image: {{ $v.tests.httpImage | quote }}
      # Who is not signed in is told so: narthex answers, whatever the identity provider does.
      command:
        - wget
        - -q
        - -O
        - "-"
        - --header
        - {{ printf "Host: %s" (include "narthex-sidecar.publicAuthority" .) | quote }}
        - {{ printf "%s%s/logout" .testUrl (include "narthex-sidecar.prefix" .) | quote }}
      securityContext:
        {{- toYaml $v.securityContext | nindent 8 }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "narthex-sidecar.testMetadata" -}}
name: {{ .name }}{{ .suffix }}
namespace: {{ .root.Release.Namespace }}
labels:
  app.kubernetes.io/name: narthex-test
  app.kubernetes.io/instance: {{ .root.Release.Name }}
annotations:
  helm.sh/hook: test
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- define "narthex-sidecar.testPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
