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
{{- include "narthex-sidecar.noSecrets" (dict "value" ($v.config | default dict) "at" "config" "key" "") -}}
{{- range regexFindAll "(?m)^([^#\n]*[{,.\\s])?(client_secret|password|seal|bearer|token|signing_secret|secret)\\s*=\\s*[\"']" $v.configToml -1 -}}
{{- fail "narthex: configToml has a secret that would stand readable in a ConfigMap: put it into a Secret, name that by `existingSecret`, and write { file = \"/etc/narthex/secrets/KEY\" }" -}}
{{- end -}}
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

{{/* SECURITY: ConfigMaps are readable by more people and programs than Secrets, and are never encrypted at rest. */}}
{{- define "narthex-sidecar.noSecrets" -}}
{{- $at := .at -}}
{{- $key := .key -}}
{{- if kindIs "map" .value -}}
{{- range $inner, $value := .value -}}
{{- include "narthex-sidecar.noSecrets" (dict "value" $value "at" (printf "%s.%s" $at $inner) "key" $inner) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "narthex-sidecar.noSecrets" (dict "value" $value "at" (printf "%s[%d]" $at $index) "key" $key) -}}
{{- end -}}
{{- else if kindIs "string" .value -}}
{{- if hasPrefix "config.headers." $at -}}
{{- else if or (has $key (list "client_secret" "password" "seal" "bearer" "token" "signing_secret" "secret")) (regexMatch "^config\\.scim\\.tokens\\[[0-9]+\\]$" $at) (eq $at "config.application.credential.header.value") (contains "PRIVATE KEY-----" .value) (and (eq $at "config.store.url") (regexMatch "^[a-z]+://[^/@]*:[^/@]+@" .value)) -}}
{{- fail (printf "narthex: %s would stand readable in a ConfigMap: put it into a Secret, name that by `existingSecret`, and write { file: /etc/narthex/secrets/KEY } (store.url: without the password, which is store.password)" $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
