{{/*
helm test. The pods have labels of their own: with those of the proxy's pods the Service would send them requests, and
the application's NetworkPolicy would let them in, which it must not. May be given "testUrl", the Service, and
"testDirect", a list of HOST:PORT where the application must not be reachable from another pod.
*/}}

{{- define "narthex-sidecar.test" -}}
{{- $v := .values -}}
{{- if $v.tests.enabled -}}
{{- $args := $v.tests.args | default (ternary (list "check" "--strict" "--store") (list "check" "--strict") (eq (include "narthex-sidecar.store" .) "postgres")) -}}
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
        {{- include "narthex-sidecar.testMounts" . | nindent 8 }}
  volumes:
    {{- include "narthex-sidecar.testVolumes" . | nindent 4 }}
{{- if $v.tests.verify }}
---
apiVersion: v1
kind: Pod
metadata:
  {{- include "narthex-sidecar.testMetadata" (merge (dict "suffix" "-test-verify") .) | nindent 2 }}
spec:
  {{- include "narthex-sidecar.testPod" . | nindent 2 }}
  containers:
    - name: narthex
      image: {{ include "narthex-sidecar.image" . | quote }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args:
        - verify-deployment
        {{- /* With TLS the certificate is for the public URL's name, which is asked then, and not for the Service's. */}}
        {{- $tls := dig "server" "tls" dict ($v.config | default ($v.configToml | fromToml)) }}
        {{- if and .testUrl (not $tls) }}
        - --through
        - {{ .testUrl | quote }}
        {{- end }}
        {{- range .testDirect }}
        - --direct
        - {{ . | quote }}
        {{- end }}
      env:
        - name: NARTHEX_CONFIG
          value: /etc/narthex/config/verify.toml
        {{- with $v.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
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
        {{- include "narthex-sidecar.testMounts" . | nindent 8 }}
  volumes:
    {{- include "narthex-sidecar.testVolumes" . | nindent 4 }}
{{- end }}
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
  {{- include "narthex-sidecar.testLabels" . | nindent 2 }}
annotations:
  helm.sh/hook: test
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- define "narthex-sidecar.testLabels" -}}
app.kubernetes.io/name: narthex-test
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{/* With SQLite a folder for the file, as the proxy has one; but not the proxy's own, which one process may have. */}}
{{- define "narthex-sidecar.testMounts" -}}
{{- include "narthex-sidecar.volumeMounts" . -}}
{{- if eq (include "narthex-sidecar.store" .) "sqlite" }}
- name: narthex-test
  mountPath: /var/lib/narthex
{{- end }}
{{- end -}}

{{- define "narthex-sidecar.testVolumes" -}}
{{- include "narthex-sidecar.readVolumes" . -}}
{{- if eq (include "narthex-sidecar.store" .) "sqlite" }}
- name: narthex-test
  emptyDir:
    sizeLimit: 64Mi
{{- end }}
{{- end -}}

{{/*
verify.toml: the configuration for verify-deployment in another pod. Without [application], whose admin API only narthex
reaches where all is well, and without what is not tried from there.
*/}}
{{- define "narthex-sidecar.verifyToml" -}}
{{- $v := .values -}}
{{- $all := dict -}}
{{- if $v.config -}}
{{- $all = include "narthex-sidecar.settings" . | fromJson -}}
{{- else -}}
{{- $all = deepCopy ($v.configToml | fromToml) -}}
{{- if not (dig "store" "url" "" $all) -}}
{{- $_ := set $all "store" (dict "url" "sqlite:/var/lib/narthex/narthex.db") -}}
{{- end -}}
{{- if or $v.trustedCa.configMap $v.trustedCa.secret -}}
{{- $_ := set $all "outbound" (dict "ca_file" "/etc/narthex/ca/ca.crt") -}}
{{- end -}}
{{- end -}}
{{- $some := merge (dict "provisioning" (dict "unprovisioned" "forward")) (pick $all "server" "upstream" "idp" "store" "keys" "outbound") -}}
{{- include "narthex-sidecar.toml" (dict "table" $some "path" "") | trim -}}
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
