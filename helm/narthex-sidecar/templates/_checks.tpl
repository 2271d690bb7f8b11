{{/* What must not be: each is told with what to do instead. */}}

{{- define "narthex-sidecar.checks" -}}
{{- $v := .values -}}
{{- $given := 0 -}}
{{- range list $v.config $v.configToml $v.existingConfigMap -}}{{- if . -}}{{- $given = add1 $given -}}{{- end -}}{{- end -}}
{{- if eq (int $given) 0 -}}
{{- fail "narthex: there is no configuration: write it to `config` (docs/config.md), or give `configToml` or `existingConfigMap`" -}}
{{- end -}}
{{- if gt (int $given) 1 -}}
{{- fail "narthex: give one of `config`, `configToml` and `existingConfigMap`, not several" -}}
{{- end -}}
{{- if and $v.existingConfigMap $v.configFiles -}}
{{- fail "narthex: `configFiles` belong into the ConfigMap that `existingConfigMap` names" -}}
{{- end -}}
{{- if and $v.existingConfigMap $v.tests.enabled $v.tests.verify -}}
{{- fail "narthex: tests.verify writes a configuration of its own beside yours, which it cannot do with existingConfigMap: give `config` or `configToml`, or set tests.verify to false" -}}
{{- end -}}
{{- range $section, $port := dict "server" "proxy" "health" "health" "admin" "admin" "scim" "scim" -}}
{{- if dig $section "listen" "" ($v.config | default dict) -}}
{{- fail (printf "narthex: leave config.%s.listen out: the port is `ports.%s`, the address `listenAddress`" $section $port) -}}
{{- end -}}
{{- end -}}
{{- if and $v.config (not (dig "server" "public_url" "" $v.config)) -}}
{{- fail "narthex: config.server.public_url is missing: the address that browsers use, such as https://git.example.com" -}}
{{- end -}}
{{- if and $v.config (not (dig "upstream" "url" "" $v.config)) -}}
{{- fail "narthex: config.upstream.url is missing: the application's own address, such as http://127.0.0.1:3000" -}}
{{- end -}}
{{- include "narthex-sidecar.readable" . -}}
{{- $config := $v.config | default ($v.configToml | fromToml) -}}
{{- $from := ternary "config" "configToml" (not (empty $v.config)) -}}
{{- include "narthex-sidecar.noSecrets" (dict "value" $config "at" "" "key" "" "from" $from) -}}
{{- include "narthex-sidecar.secretFiles" (dict "value" $config "at" "" "from" $from "values" $v) -}}
{{- if contains "PRIVATE KEY-----" (printf "%s%s" $v.configToml (toRawJson $v.configFiles)) -}}
{{- fail "narthex: a private key would stand readable in a ConfigMap: put it into a Secret, and name that by `existingSecret`" -}}
{{- end -}}
{{- $store := include "narthex-sidecar.store" . -}}
{{- if and $v.config (eq $store "postgres") (not (dig "keys" "seal" "" $v.config)) -}}
{{- fail "narthex: PostgreSQL needs config.keys.seal, the same for every replica: { file: /etc/narthex/secrets/seal_key }, made once with: openssl rand -base64 32" -}}
{{- end -}}
{{- if and (gt (int (.replicas | default 1)) 1) (eq $store "sqlite") -}}
{{- fail (printf "narthex: %d replicas need PostgreSQL: with SQLite one process keeps sessions and members in one file. Set config.store.url to postgres://… (docs/postgres.md), or one replica" (int .replicas)) -}}
{{- end -}}
{{- if and .autoscaling (eq $store "sqlite") -}}
{{- fail "narthex: autoscaling needs PostgreSQL: with SQLite one process keeps sessions and members in one file. Set config.store.url to postgres://… (docs/postgres.md), or autoscaling.enabled to false" -}}
{{- end -}}
{{- if and $v.trustedCa.configMap $v.trustedCa.secret -}}
{{- fail "narthex: trustedCa: give configMap or secret, not both" -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled -}}
{{- fail "narthex: serviceMonitor and podMonitor would count everything twice: enable one" -}}
{{- end -}}
{{- if $v.networkPolicy.enabled -}}
{{- if and (or $v.serviceMonitor.enabled $v.podMonitor.enabled) (not $v.networkPolicy.healthFrom) -}}
{{- fail "narthex: the NetworkPolicy keeps Prometheus out: name it in networkPolicy.healthFrom, such as [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: monitoring } } }]" -}}
{{- end -}}
{{- if and $v.admin.service.enabled (not $v.networkPolicy.adminFrom) -}}
{{- fail "narthex: admin.service.enabled, but the NetworkPolicy lets nobody through: say who, in networkPolicy.adminFrom" -}}
{{- end -}}
{{- if and $v.scim.service.enabled (not $v.networkPolicy.scimFrom) -}}
{{- fail "narthex: scim.service.enabled, but the NetworkPolicy lets nobody through: say who, in networkPolicy.scimFrom (the ingress controller's namespace, as a rule)" -}}
{{- end -}}
{{- end -}}
{{- if and $v.scim.service.enabled $v.config (not $v.config.scim) -}}
{{- fail "narthex: scim.service.enabled, but config.scim is missing (docs/scim.md)" -}}
{{- end -}}
{{- end -}}

{{/*
What stands in configToml has to be read to be judged. narthex takes TOML 1.1, and so does Helm 3.21; what an older Helm
cannot read is not let through unread.
*/}}
{{- define "narthex-sidecar.readable" -}}
{{- if and .values.configToml (not .values.config) -}}
{{- with get (.values.configToml | fromToml) "Error" -}}
{{- /* Where only: the parser's own words may quote what stands there, a secret for instance. */ -}}
{{- fail (printf "narthex: Helm cannot read configToml as TOML%s: nobody knows then whether a secret would stand readable in a ConfigMap. If narthex check says that it is in order, write it in TOML 1.0 (an inline table on one line), or give it by existingConfigMap" (regexFind "line [0-9]+" (toString .) | printf ", %s" | trimSuffix ", ")) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* SECURITY: ConfigMaps are readable by more people and programs than Secrets, and are never encrypted at rest. */}}
{{- define "narthex-sidecar.noSecrets" -}}
{{- $at := .at -}}
{{- $key := .key -}}
{{- $from := .from -}}
{{- if kindIs "map" .value -}}
{{- range $inner, $value := .value -}}
{{- include "narthex-sidecar.noSecrets" (dict "value" $value "at" (printf "%s.%s" $at $inner) "key" $inner "from" $from) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "narthex-sidecar.noSecrets" (dict "value" $value "at" (printf "%s[%d]" $at $index) "key" $key "from" $from) -}}
{{- end -}}
{{- else if kindIs "string" .value -}}
{{- if hasPrefix ".headers." $at -}}
{{- else if or (has $key (list "client_secret" "password" "seal" "bearer" "token" "signing_secret" "secret")) (regexMatch "^\\.scim\\.tokens\\[[0-9]+\\]$" $at) (eq $at ".application.credential.header.value") (contains "PRIVATE KEY-----" .value) (and (eq $at ".store.url") (regexMatch "^[A-Za-z]+://[^/@]*:[^/@]+@" .value)) -}}
{{- fail (printf "narthex: %s%s would stand readable in a ConfigMap: put it into a Secret, name that by `existingSecret`, and write %s (store.url: without the password, which is store.password)" $from $at (ternary "{ file: /etc/narthex/secrets/KEY }" "{ file = \"/etc/narthex/secrets/KEY\" }" (eq $from "config"))) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Files that the configuration names below /etc/narthex/secrets, and that no Secret can bring: narthex would not start. */}}
{{- define "narthex-sidecar.secretFiles" -}}
{{- $here := . -}}
{{- if kindIs "map" .value -}}
{{- range $inner, $value := .value -}}
{{- include "narthex-sidecar.secretFiles" (dict "value" $value "at" (printf "%s.%s" $here.at $inner) "from" $here.from "values" $here.values) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "narthex-sidecar.secretFiles" (dict "value" $value "at" (printf "%s[%d]" $here.at $index) "from" $here.from "values" $here.values) -}}
{{- end -}}
{{- else if and (kindIs "string" .value) (hasPrefix "/etc/narthex/secrets/" (toString .value)) -}}
{{- $file := trimPrefix "/etc/narthex/secrets/" .value -}}
{{- $given := not (empty .values.existingSecret) -}}
{{- range .values.existingSecrets -}}
{{- /* Without items it brings all that it has. */ -}}
{{- if not .items -}}{{- $given = true -}}{{- end -}}
{{- range .items -}}{{- if eq .path $file -}}{{- $given = true -}}{{- end -}}{{- end -}}
{{- end -}}
{{- range .values.extraVolumeMounts -}}
{{- $folder := .mountPath | default "" | trimSuffix "/" -}}
{{- if or (eq $folder $here.value) (hasPrefix (printf "%s/" $folder) $here.value) -}}{{- $given = true -}}{{- end -}}
{{- end -}}
{{- if not $given -}}
{{- fail (printf "narthex: %s%s is read from %s, which nothing brings there: make a Secret (kubectl create secret generic NAME --from-file=%s) and name it by `existingSecret`, or by `existingSecrets` with that path" .from .at .value $file) -}}
{{- end -}}
{{- end -}}
{{- end -}}
