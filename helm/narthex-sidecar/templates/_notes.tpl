{{/* For NOTES.txt: what to enter at the identity providers, and how to go on. Wants "workload" (deploy/NAME) too. */}}

{{- define "narthex-sidecar.notes" -}}
{{- $v := .values -}}
{{- $url := include "narthex-sidecar.publicUrl" . | default "PUBLIC_URL" -}}
{{- $own := printf "%s%s" $url (include "narthex-sidecar.prefix" .) -}}
{{- $space := .root.Release.Namespace -}}
At the identity provider
{{- if $v.config }}
{{- range $v.config.idp }}
{{- if eq .type "oidc" }}

  {{ .id }} (OpenID Connect, client {{ .client_id }})
    redirect URI                 {{ $own }}/oidc/{{ .id }}/callback
    address after signing out    {{ $own }}/logout    (post-logout redirect URI)
{{- else }}

  {{ .id }} (SAML)
    metadata, which has it all   {{ $own }}/saml/{{ .id }}/metadata
    entity ID                    {{ .entity_id | default (printf "%s/saml/%s/metadata" $own .id) }}
    ACS, by POST                 {{ $own }}/saml/{{ .id }}/acs
    single logout                {{ $own }}/saml/{{ .id }}/slo
{{- end }}
{{- end }}
{{- else }}

  for each [[idp]] with the id ID
    OpenID Connect: redirect URI {{ $own }}/oidc/ID/callback
          after signing out      {{ $own }}/logout    (post-logout redirect URI)
    SAML: metadata               {{ $own }}/saml/ID/metadata
          ACS, by POST           {{ $own }}/saml/ID/acs
{{- end }}

How to go on

  Is the configuration right, are the secrets there?
    helm test --namespace {{ $space }} {{ .root.Release.Name }}
    kubectl --namespace {{ $space }} exec {{ .workload }} --container narthex -- /narthex check
  Is there a way past narthex? (from another pod: docs/verify-deployment.md)
    kubectl --namespace {{ $space }} exec {{ .workload }} --container narthex -- /narthex verify-deployment
  Does the application's admin API do what it should? (makes an account and removes it)
    kubectl --namespace {{ $space }} exec {{ .workload }} --container narthex -- /narthex connector test
  The first administrator
    kubectl --namespace {{ $space }} exec {{ .workload }} --container narthex -- /narthex admin bootstrap
    kubectl --namespace {{ $space }} port-forward {{ .workload }} {{ $v.ports.admin }}:{{ $v.ports.admin }}    (the admin API on 127.0.0.1:{{ $v.ports.admin }})
{{- if and (eq (include "narthex-sidecar.store" .) "sqlite") (not $v.persistence.enabled) }}

WARNING: persistence.enabled is false. Who has signed in, who is a member and what narthex gave to whom is lost with
the pod.
{{- end }}
{{- if not $v.networkPolicy.enabled }}

WARNING: networkPolicy.enabled is false. Whoever reaches the application past narthex can be anybody there: see to it
that nobody does.
{{- end }}
{{- $config := $v.config | default ($v.configToml | fromToml) }}
{{- $hops := dig "server" "trusted_proxies" list $config }}
{{- if and $hops (not (and $v.networkPolicy.enabled $v.networkPolicy.proxyFrom)) }}

WARNING: server.trusted_proxies is {{ join ", " $hops }}, and every pod may connect to narthex. One in those networks
that is not the ingress controller writes into X-Forwarded-For whatever address it likes: it {{ if dig "network" (dict) $config }}passes [network], {{ end }}is taken
for any client, and the audit log says that it was one. Let only the ingress controller in:
    networkPolicy:
      proxyFrom: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: ingress-nginx } } }]
{{- end }}
{{- if and (not $v.existingSecret) (not $v.existingSecrets) }}

There is no existingSecret: client secrets and admin tokens are read from nowhere.
{{- end }}
{{- end -}}
