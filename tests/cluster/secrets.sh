# Certificates, passwords and keys of one run. Sourced by run.

random() { openssl rand -base64 32; }
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=narthex test authority' \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
    -keyout "$work/ca.key" -out "$work/ca.crt" 2>/dev/null
# certificate NAME: for every Service of the namespace.
certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
        -CA "$work/ca.crt" -CAkey "$work/ca.key" -addext "subjectAltName=DNS:*.$space.svc" \
        -addext basicConstraints=critical,CA:FALSE -keyout "$work/$1.key" -out "$work/$1.crt" 2>/dev/null
}
certificate idp
certificate proxy

client_secret=$(random)
cat >"$work/clients.json" <<JSON
{"clients": [{
    "client_id": "narthex", "client_secret": "$client_secret", "token_endpoint_auth_method": "client_secret_basic",
    "redirect_uris": ["https://reader.$space.svc/.narthex/oidc/corp/callback", "https://front.$space.svc/.narthex/oidc/corp/callback"]
}]}
JSON
k create secret generic authority --from-file=ca.crt="$work/ca.crt" >/dev/null
kubectl -n "$outside" create secret generic authority --from-file=ca.crt="$work/ca.crt" >/dev/null
k create secret generic idp --from-file=clients.json="$work/clients.json" --from-file=tls.crt="$work/idp.crt" --from-file=tls.key="$work/idp.key" >/dev/null
for one in reader front; do
    k create secret generic $one --from-literal=client_secret="$client_secret" --from-literal=seal_key="$(random)" \
        --from-literal=admin_password="$(random)" --from-file=tls.crt="$work/proxy.crt" --from-file=tls.key="$work/proxy.key" >/dev/null
done

# Somebody in another namespace, for what NetworkPolicies say.
stranger_outside() {
    sed "s/@SPACE@/$space/g" "$here/parties.yaml" | python3 -c '
import json, sys, subprocess
import yaml
pod = next(one for one in yaml.safe_load(sys.stdin)["items"] if one["kind"] == "Pod" and one["metadata"]["name"] == "client")
pod["metadata"] = {"name": "stranger"}
print(json.dumps(pod))' | kubectl -n "$outside" apply -f - >/dev/null
}
