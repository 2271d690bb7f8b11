{{/* Objects beside the pod. */}}

{{/* All of them; those that are not enabled are empty. */}}
{{- define "narthex-sidecar.objects" -}}
{{- $context := . -}}
{{- range list "configMap" "dataClaim" "networkPolicy" "adminService" "scimService" "metricsService" "serviceMonitor" "podMonitor" "test" }}
{{- with include (printf "narthex-sidecar.%s" .) $context }}
---
{{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "narthex-sidecar.metadata" -}}
name: {{ .name }}{{ .suffix }}
namespace: {{ .namespace | default .root.Release.Namespace }}
labels:
  {{- toYaml (merge dict (.extraLabels | default dict) .labels) | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "narthex-sidecar.configMap" -}}
{{- if not .values.existingConfigMap -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "narthex-sidecar.metadata" . | nindent 2 }}
data:
  proxy.toml: |
    {{- include "narthex-sidecar.proxyToml" . | nindent 4 }}
  {{- if and .values.tests.enabled .values.tests.verify }}
  verify.toml: |
    {{- include "narthex-sidecar.verifyToml" . | nindent 4 }}
  {{- end }}
  {{- range $name, $content := .values.configFiles }}
  {{ $name }}: |
    {{- $content | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "narthex-sidecar.dataClaim" -}}
{{- $claim := .values.persistence -}}
{{- if and $claim.enabled (not $claim.existingClaim) (eq (include "narthex-sidecar.store" .) "sqlite") -}}
{{- $annotations := merge dict $claim.annotations (ternary (dict "helm.sh/resource-policy" "keep") dict $claim.keep) -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "narthex-sidecar.metadata" (merge (dict "suffix" "-data" "annotations" $annotations) .) | nindent 2 }}
spec:
  accessModes:
    {{- toYaml $claim.accessModes | nindent 4 }}
  {{- with $claim.storageClass }}
  storageClassName: {{ ternary "" . (eq . "-") | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ $claim.size }}
{{- end -}}
{{- end -}}

{{/*
One item of a Service's ports; may be given "port", "portName" and "appProtocol" beside the usual. Ports of sidecars are
named by their number: before Kubernetes 1.33 a Service does not find the named ports of init containers, and some
networks' policies never do.
*/}}
{{- define "narthex-sidecar.servicePort" -}}
- name: {{ .portName | default "http" }}
  port: {{ .port | default 80 }}
  targetPort: {{ .values.ports.proxy }}
  protocol: TCP
  {{- with .appProtocol }}
  appProtocol: {{ . }}
  {{- end }}
{{- end -}}

{{- define "narthex-sidecar.adminService" -}}
{{- with .values.admin.service -}}
{{- if .enabled -}}
{{- include "narthex-sidecar.listenerService" (merge (dict "suffix" "-admin" "annotations" .annotations "listener" "narthex-admin" "port" .port "targetPort" $.values.ports.admin) $) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "narthex-sidecar.scimService" -}}
{{- with .values.scim.service -}}
{{- if .enabled -}}
{{- include "narthex-sidecar.listenerService" (merge (dict "suffix" "-scim" "annotations" .annotations "listener" "narthex-scim" "port" .port "targetPort" $.values.ports.scim) $) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Only for a ServiceMonitor to find the pods by. */}}
{{- define "narthex-sidecar.metricsService" -}}
{{- if .values.serviceMonitor.enabled -}}
{{- include "narthex-sidecar.listenerService" (merge (dict "suffix" "-metrics" "extraLabels" (dict "app.kubernetes.io/component" "metrics") "listener" "narthex-health" "port" .values.ports.health "targetPort" .values.ports.health "headless" true) .) -}}
{{- end -}}
{{- end -}}

{{- define "narthex-sidecar.listenerService" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "narthex-sidecar.metadata" . | nindent 2 }}
spec:
  type: ClusterIP
  {{- if .headless }}
  clusterIP: None
  {{- end }}
  ports:
    - name: {{ .listener }}
      port: {{ .port }}
      targetPort: {{ .targetPort }}
      protocol: TCP
  selector:
    {{- toYaml .selector | nindent 4 }}
{{- end -}}

{{- define "narthex-sidecar.networkPolicy" -}}
{{- $v := .values -}}
{{- $policy := $v.networkPolicy -}}
{{- if $policy.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "narthex-sidecar.metadata" (merge (dict "extraLabels" $policy.labels) .) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- toYaml .selector | nindent 6 }}
  policyTypes:
    - Ingress
    {{- if $policy.egress }}
    - Egress
    {{- end }}
  ingress:
    - ports:
        - port: {{ $v.ports.proxy }}
          protocol: TCP
      {{- with $policy.proxyFrom }}
      from:
        {{- toYaml . | nindent 8 }}
        {{- if and $v.tests.enabled (or $v.tests.httpImage $v.tests.verify) }}
        # The pods of helm test.
        - podSelector:
            matchLabels:
              {{- include "narthex-sidecar.testLabels" $ | nindent 14 }}
        {{- end }}
      {{- end }}
    {{- range $listener, $from := dict "health" $policy.healthFrom "admin" (ternary $policy.adminFrom list $v.admin.service.enabled) "scim" (ternary $policy.scimFrom list $v.scim.service.enabled) }}
    {{- with $from }}
    - ports:
        - port: {{ get $v.ports $listener }}
          protocol: TCP
      from:
        {{- toYaml . | nindent 8 }}
    {{- end }}
    {{- end }}
    {{- with $policy.extraIngress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $policy.egress }}
  egress:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "narthex-sidecar.serviceMonitor" -}}
{{- $monitor := .values.serviceMonitor -}}
{{- if $monitor.enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "narthex-sidecar.metadata" (merge (dict "extraLabels" $monitor.labels) .) | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- toYaml (merge (dict "app.kubernetes.io/component" "metrics") .selector) | nindent 6 }}
  endpoints:
    - port: narthex-health
      {{- include "narthex-sidecar.scrape" $monitor | nindent 6 }}
{{- end -}}
{{- end -}}

{{- define "narthex-sidecar.podMonitor" -}}
{{- $monitor := .values.podMonitor -}}
{{- if $monitor.enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  {{- include "narthex-sidecar.metadata" (merge (dict "extraLabels" $monitor.labels) .) | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- toYaml .selector | nindent 6 }}
  podMetricsEndpoints:
    - port: narthex-health
      {{- include "narthex-sidecar.scrape" $monitor | nindent 6 }}
{{- end -}}
{{- end -}}

{{- define "narthex-sidecar.scrape" -}}
path: /metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
