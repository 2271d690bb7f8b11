{{/* The container. */}}

{{- define "narthex-sidecar.image" -}}
{{- $image := .values.image -}}
{{- $repository := required "narthex: image.repository is missing: the registry and name to which you pushed the image, such as registry.example.com/narthex" $image.repository -}}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else -}}
{{ $repository }}:{{ $image.tag | default (include "narthex-sidecar.version" .) }}
{{- end -}}
{{- end -}}

{{/* One item of initContainers: starts before the application, ends after it (native sidecar). */}}
{{- define "narthex-sidecar.sidecar" -}}
{{- include "narthex-sidecar.container" (merge (dict "sidecar" true) .) -}}
{{- end -}}

{{/* One item of containers, for a pod of its own. */}}
{{- define "narthex-sidecar.container" -}}
{{- include "narthex-sidecar.checks" . -}}
{{- $v := .values -}}
- name: narthex
  image: {{ include "narthex-sidecar.image" . | quote }}
  imagePullPolicy: {{ $v.image.pullPolicy }}
  {{- if .sidecar }}
  restartPolicy: Always
  {{- end }}
  args:
    - serve
    {{- with $v.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    {{- include "narthex-sidecar.env" . | nindent 4 }}
  {{- with $v.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - name: narthex
      containerPort: {{ $v.ports.proxy }}
    - name: narthex-health
      containerPort: {{ $v.ports.health }}
    {{- if $v.admin.service.enabled }}
    - name: narthex-admin
      containerPort: {{ $v.ports.admin }}
    {{- end }}
    {{- if $v.scim.service.enabled }}
    - name: narthex-scim
      containerPort: {{ $v.ports.scim }}
    {{- end }}
  {{- range $probe, $path := dict "startupProbe" "/startupz" "livenessProbe" "/healthz" "readinessProbe" "/readyz" }}
  {{ $probe }}:
    httpGet:
      path: {{ $path }}
      port: narthex-health
    {{- toYaml (get $v $probe) | nindent 4 }}
  {{- end }}
  {{- if and $v.preStopSleepSeconds (semverCompare ">=1.30-0" .root.Capabilities.KubeVersion.Version) }}
  lifecycle:
    preStop:
      sleep:
        seconds: {{ $v.preStopSleepSeconds }}
  {{- end }}
  {{- with $v.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    {{- include "narthex-sidecar.volumeMounts" . | nindent 4 }}
    {{- if eq (include "narthex-sidecar.store" .) "sqlite" }}
    - name: narthex-data
      mountPath: /var/lib/narthex
    - name: narthex-tmp
      mountPath: /tmp
    {{- end }}
{{- end -}}

{{/* What a configuration that the chart did not write needs beside it; the environment comes before the file. */}}
{{- define "narthex-sidecar.env" -}}
{{- $v := .values -}}
- name: NARTHEX_CONFIG
  value: /etc/narthex/config/proxy.toml
{{- if not $v.config }}
- name: NARTHEX__SERVER__LISTEN
  value: {{ printf "%s:%d" $v.listenAddress (int $v.ports.proxy) | quote }}
- name: NARTHEX__HEALTH__LISTEN
  value: {{ printf "%s:%d" $v.listenAddress (int $v.ports.health) | quote }}
- name: NARTHEX__ADMIN__LISTEN
  value: {{ printf "%s:%d" (ternary $v.listenAddress "127.0.0.1" $v.admin.service.enabled) (int $v.ports.admin) | quote }}
{{- if $v.scim.service.enabled }}
- name: NARTHEX__SCIM__LISTEN
  value: {{ printf "%s:%d" $v.listenAddress (int $v.ports.scim) | quote }}
{{- end }}
{{- if and $v.configToml (not (dig "settings" "source" "" ($v.configToml | fromToml))) }}
- name: NARTHEX__SETTINGS__SOURCE
  value: file
{{- end }}
{{- if and $v.configToml (not (dig "store" "url" "" ($v.configToml | fromToml))) }}
- name: NARTHEX__STORE__URL
  value: sqlite:/var/lib/narthex/narthex.db
{{- end }}
{{- if or $v.trustedCa.configMap $v.trustedCa.secret }}
- name: NARTHEX__OUTBOUND__CA_FILE
  value: /etc/narthex/ca/ca.crt
{{- end }}
{{- end }}
{{- with $v.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Whole folders, never single files: only so does a changed ConfigMap or Secret reach the running pod. */}}
{{- define "narthex-sidecar.volumeMounts" -}}
{{- $v := .values -}}
- name: narthex-config
  mountPath: /etc/narthex/config
  readOnly: true
{{- if or $v.existingSecret $v.existingSecrets }}
- name: narthex-secrets
  mountPath: /etc/narthex/secrets
  readOnly: true
{{- end }}
{{- if or $v.trustedCa.configMap $v.trustedCa.secret }}
- name: narthex-ca
  mountPath: /etc/narthex/ca
  readOnly: true
{{- end }}
{{- with $v.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Items of volumes. */}}
{{- define "narthex-sidecar.volumes" -}}
{{- include "narthex-sidecar.readVolumes" . -}}
{{- $v := .values -}}
{{- if eq (include "narthex-sidecar.store" .) "sqlite" }}
- name: narthex-data
  {{- if $v.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ $v.persistence.existingClaim | default (printf "%s-data" .name) }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ $v.persistence.size }}
  {{- end }}
- name: narthex-tmp
  emptyDir:
    sizeLimit: 64Mi
{{- end }}
{{- end -}}

{{- define "narthex-sidecar.readVolumes" -}}
{{- $v := .values -}}
- name: narthex-config
  configMap:
    name: {{ $v.existingConfigMap | default .name }}
{{- if or $v.existingSecret $v.existingSecrets }}
- name: narthex-secrets
  projected:
    defaultMode: {{ $v.secretFileMode }}
    sources:
      {{- with $v.existingSecret }}
      - secret:
          name: {{ . }}
      {{- end }}
      {{- range $v.existingSecrets }}
      - secret:
          {{- toYaml . | nindent 10 }}
      {{- end }}
{{- end }}
{{- with $v.trustedCa.configMap }}
- name: narthex-ca
  configMap:
    name: {{ . }}
    items:
      - key: {{ $v.trustedCa.key }}
        path: ca.crt
{{- end }}
{{- with $v.trustedCa.secret }}
- name: narthex-ca
  secret:
    secretName: {{ . }}
    items:
      - key: {{ $v.trustedCa.key }}
        path: ca.crt
{{- end }}
{{- with $v.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
Annotations of the pod: a checksum of what new pods have to be made for. With configChanges = "restart" that is the whole
configuration; with "reload" it is what docs/reload.md says is done once when the process starts.
*/}}
{{- define "narthex-sidecar.podAnnotations" -}}
{{- if not .values.existingConfigMap -}}
{{- if eq .values.configChanges "restart" -}}
checksum/narthex-config: {{ printf "%s%s" (include "narthex-sidecar.proxyToml" .) (toRawJson .values.configFiles) | sha256sum }}
{{- else -}}
{{- $config := .values.configToml | fromToml -}}
{{- /* With configToml the listeners are in the pod's environment, a change of which makes new pods by itself. */ -}}
{{- $listen := dict -}}
{{- if .values.config -}}
{{- $config = include "narthex-sidecar.settings" . | fromJson -}}
{{- range $section := list "server" "health" "admin" "scim" -}}
{{- $_ := set $listen $section (dig $section "listen" "" $config) -}}
{{- end -}}
{{- end -}}
{{- $once := dict "store" (get $config "store") "log" (get $config "log") "keys" (get $config "keys") "workers" (dig "server" "workers" nil $config) "scim" (dig "provisioning" "mode" "" $config | eq "scim") "listen" $listen -}}
checksum/narthex-start: {{ toRawJson $once | sha256sum }}
{{- end -}}
{{- end -}}
{{- end -}}
