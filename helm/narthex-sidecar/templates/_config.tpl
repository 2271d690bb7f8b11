{{/*
The configuration: from values to proxy.toml.

All templates of this chart take a dict:
  root      the chart's own `.` (or `$`)
  values    the values of this chart, as your chart has them
  name      the name of the objects
  labels    their labels
  selector  the labels by which pods are found
*/}}

{{/* The release of narthex that this chart belongs to. */}}
{{- define "narthex-sidecar.version" -}}0.1.0{{- end -}}

{{/*
`config | default (configToml | fromToml)`, here and elsewhere, is the configuration as far as it can be read: empty with
existingConfigMap. Not a template of its own, since what a template gives is text, and JSON has not all of TOML's numbers.
*/}}

{{/* The store, by the configuration or as the values say: sqlite or postgres. */}}
{{- define "narthex-sidecar.store" -}}
{{- $url := dig "store" "url" "" (.values.config | default (.values.configToml | fromToml)) | toString -}}
{{- if ne .values.store "auto" -}}
{{- .values.store -}}
{{- else if .values.existingConfigMap -}}
{{- fail "narthex: store: say sqlite or postgres, which cannot be read from an existingConfigMap" -}}
{{- else if or (hasPrefix "postgres:" $url) (hasPrefix "postgresql:" $url) -}}
postgres
{{- else -}}
sqlite
{{- end -}}
{{- end -}}

{{/* The configuration with what the chart adds, as JSON (Helm's YAML loses control characters). */}}
{{- define "narthex-sidecar.settings" -}}
{{- $v := .values -}}
{{- $config := deepCopy ($v.config | default dict) -}}
{{- $listen := dict "server" $v.ports.proxy "health" $v.ports.health -}}
{{- if $v.admin.service.enabled -}}{{- $_ := set $listen "admin" $v.ports.admin -}}{{- end -}}
{{- if hasKey $config "scim" -}}{{- $_ := set $listen "scim" $v.ports.scim -}}{{- end -}}
{{- range $section, $port := $listen -}}
{{- $_ := set $config $section (set (get $config $section | default dict) "listen" (printf "%s:%d" $v.listenAddress (int $port))) -}}
{{- end -}}
{{- $admin := $config.admin | default dict -}}
{{- if $v.admin.service.enabled -}}
{{- $host := printf "%s-admin" .name -}}
{{- $space := .root.Release.Namespace -}}
{{- $_ := set $admin "hosts" (concat ($admin.hosts | default list) (list $host (printf "%s.%s" $host $space) (printf "%s.%s.svc" $host $space)) | uniq) -}}
{{- else -}}
{{- $_ := set $admin "listen" (printf "127.0.0.1:%d" (int $v.ports.admin)) -}}
{{- end -}}
{{- $_ := set $config "admin" $admin -}}
{{- $store := $config.store | default dict -}}
{{- if eq (include "narthex-sidecar.store" .) "sqlite" -}}
{{- $store = merge $store (dict "url" "sqlite:/var/lib/narthex/narthex.db") -}}
{{- if not (hasKey $store "durable") -}}{{- $_ := set $store "durable" $v.persistence.enabled -}}{{- end -}}
{{- end -}}
{{- $_ := set $config "store" $store -}}
{{- $_ := set $config "settings" (merge ($config.settings | default dict) (dict "source" "file")) -}}
{{- $_ := set $config "log" (merge ($config.log | default dict) (dict "format" "json")) -}}
{{- if or $v.trustedCa.configMap $v.trustedCa.secret -}}
{{- $_ := set $config "outbound" (merge ($config.outbound | default dict) (dict "ca_file" "/etc/narthex/ca/ca.crt")) -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{/* proxy.toml. */}}
{{- define "narthex-sidecar.proxyToml" -}}
{{- if .values.configToml -}}
{{- .values.configToml -}}
{{- else -}}
{{- include "narthex-sidecar.toml" (dict "table" (include "narthex-sidecar.settings" . | fromJson) "path" "") | trim -}}
{{- end -}}
{{- end -}}

{{/*
TOML, instead of Helm's toToml: Helm knows YAML's numbers as floats, and toToml writes 20 as 20.0, which is another
number in TOML; it also writes null as an error. Scalars and flat tables on one line, everything else below a header.
Takes dict "table" "path".
*/}}
{{- define "narthex-sidecar.toml" -}}
{{- $path := .path -}}
{{- range $key, $value := .table -}}
{{- if eq (include "narthex-sidecar.toml.form" (dict "value" $value "path" $path)) "inline" }}
{{ include "narthex-sidecar.toml.key" $key }} = {{ include "narthex-sidecar.toml.inline" $value }}
{{- end -}}
{{- end -}}
{{- range $key, $value := .table -}}
{{- $form := include "narthex-sidecar.toml.form" (dict "value" $value "path" $path) -}}
{{- $full := include "narthex-sidecar.toml.key" $key -}}
{{- if $path -}}{{- $full = printf "%s.%s" $path $full -}}{{- end -}}
{{- if eq $form "table" }}

[{{ $full }}]
{{- include "narthex-sidecar.toml" (dict "table" $value "path" $full) -}}
{{- else if eq $form "tables" -}}
{{- range $element := $value }}

[[{{ $full }}]]
{{- include "narthex-sidecar.toml" (dict "table" $element "path" $full) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How a value is written: absent, inline, table or tables. */}}
{{- define "narthex-sidecar.toml.form" -}}
{{- if kindIs "invalid" .value -}}
absent
{{- else if kindIs "map" .value -}}
{{- $flat := ne .path "" -}}
{{- range $_, $inner := .value -}}
{{- if kindIs "map" $inner -}}{{- $flat = false -}}
{{- else if kindIs "slice" $inner -}}
{{- range $element := $inner -}}{{- if kindIs "map" $element -}}{{- $flat = false -}}{{- end -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- ternary "inline" "table" $flat -}}
{{- else if and (kindIs "slice" .value) .value -}}
{{- $tables := true -}}
{{- range $element := .value -}}{{- if not (kindIs "map" $element) -}}{{- $tables = false -}}{{- end -}}{{- end -}}
{{- ternary "tables" "inline" $tables -}}
{{- else -}}
inline
{{- end -}}
{{- end -}}

{{- define "narthex-sidecar.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . -}}{{ . }}{{- else -}}{{ toRawJson . }}{{- end -}}
{{- end -}}

{{/* JSON's escapes are TOML's too; but for U+007F, which JSON leaves as it is. */}}
{{- define "narthex-sidecar.toml.inline" -}}
{{- if kindIs "map" . -}}
{{- $pairs := list -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $pairs = append $pairs (printf "%s = %s" (include "narthex-sidecar.toml.key" $key) (include "narthex-sidecar.toml.inline" $value)) -}}
{{- end -}}
{{- end -}}
{{- if $pairs -}}{ {{ join ", " $pairs }} }{{- else -}}{}{{- end -}}
{{- else if kindIs "slice" . -}}
{{- $elements := list -}}
{{- range $value := . -}}
{{- if kindIs "invalid" $value -}}{{- fail "narthex: config: a list has an empty element" -}}{{- end -}}
{{- $elements = append $elements (include "narthex-sidecar.toml.inline" $value) -}}
{{- end -}}
[{{ join ", " $elements }}]
{{- else -}}
{{- toRawJson . | replace "\u007f" "\\u007F" -}}
{{- end -}}
{{- end -}}

{{/* The public URL and narthex's own prefix, as far as they can be read; both may be empty. */}}
{{- define "narthex-sidecar.publicUrl" -}}
{{- dig "server" "public_url" "" (.values.config | default (.values.configToml | fromToml)) | trimSuffix "/" -}}
{{- end -}}

{{/* Host and port, as browsers say them. */}}
{{- define "narthex-sidecar.publicAuthority" -}}
{{- with include "narthex-sidecar.publicUrl" . -}}{{- (urlParse .).host -}}{{- end -}}
{{- end -}}

{{- define "narthex-sidecar.publicHost" -}}
{{- include "narthex-sidecar.publicAuthority" . | regexFind "^(\\[[^]]*\\]|[^:]*)" -}}
{{- end -}}

{{- define "narthex-sidecar.prefix" -}}
{{- dig "server" "prefix" "/.narthex" (.values.config | default (.values.configToml | fromToml)) -}}
{{- end -}}
