# narthex as a proxy before a Service, two replicas on PostgreSQL, through the application chart. Sourced by run.

front=https://front.$space.svc
cat >"$work/front.yaml" <<YAML
fullnameOverride: front
image: { repository: localhost/narthex, tag: test, pullPolicy: Never }
replicas: 2
existingSecret: front
trustedCa: { secret: authority }
service: { port: 443, appProtocol: https }
podLabels: { app: front }
protectUpstream: { enabled: true, podLabels: { app: application }, ports: [3000] }
config:
  server:
    public_url: $front
    tls: { certificate: /etc/narthex/secrets/tls.crt, key: /etc/narthex/secrets/tls.key }
  upstream: { url: "http://application.$space.svc" }
  idp:
    - id: corp
      type: oidc
      issuer: https://idp.$space.svc
      client_id: narthex
      client_secret: { file: /etc/narthex/secrets/client_secret }
      scopes: [openid, profile, email]
      email_domains: [example.com]
  store: { url: "postgres://postgres@postgres:5432/front?sslmode=disable" }
  keys: { seal: { file: /etc/narthex/secrets/seal_key } }
  headers: { X-Remote-User: "{{ claims.preferred_username }}" }
  # What arrived, for everybody.
  route: [{ path: /arrived, access: public }]
  provisioning: { unprovisioned: forward }
YAML

release() { helm --namespace "$space" "$@"; }
is 'standalone with two replicas on PostgreSQL starts, by the application chart' \
    release upgrade --install front helm/narthex --values "$work/front.yaml" --wait --timeout 180s
[ -n "$(k get pods -l app=front --no-headers 2>/dev/null)" ] || { k get all && return 0; }
is 'a login works through the Service' asks \
    'a["status"] == 200 and __import__("json").loads(a["body"])["headers"].get("x-remote-user") == "ada"' sign-in "$front/" ada /tmp/front

is 'verify-deployment finds nothing wrong in a pod of it' verified_in "$(pod_of front)" '' --echo /arrived
is 'and tells which headers arrive where narthex is left out' verified_in "$(pod_of front)" 'identity headers,public URL' \
    --echo /arrived --through "http://application.$space.svc"

meanwhile load load "$front/slow,$front/" /tmp/front 2
rolled() { k rollout restart deployment/front >/dev/null && k rollout status deployment/front --timeout=180s >/dev/null; }
is 'a rolling restart of both under load …' rolled
two_left() { [ "$(k get pods -l app=front --no-headers | wc -l)" -eq 2 ]; }
within 90 two_left || true
done_with load
is "… fails no request ($(python3 -c 'import json, sys; a = json.load(open(sys.argv[1])); print(a.get("answered"), "answered")' "$work/answer" 2>/dev/null))" so 'a["failures"] == 0 and a["answered"] > 100'

is 'helm test' release test front --timeout 120s
is 'helm upgrade, with another configuration' release upgrade front helm/narthex --values "$work/front.yaml" \
    --set-json 'config.route=[{"path":"/open","access":"public"},{"path":"/arrived","access":"public"}]' --wait --timeout 180s
is 'after which it holds' within 30 asks 'a["status"] == 200' get "$front/open"
is 'helm rollback' release rollback front 1 --wait --timeout 180s
is 'after which the former holds' within 30 asks 'a["status"] in (302, 303)' get "$front/open"
is 'and who was signed in still is' asks 'a["status"] == 200' get "$front/" /tmp/front

# --- NetworkPolicies

stranger() { kubectl -n "$outside" exec stranger -- /app/node /app/client.mjs "$@" >"$work/answer" 2>"$work/client" || true; }
from_outside() {
    local expression=$1
    shift
    stranger "$@" && so "$expression"
}
# verified_from_outside MODE ITEMS: asked in a pod that no policy lets through, with the Secret's files in this mode.
verified_from_outside() {
    k delete pod verify --ignore-not-found >/dev/null
    sed "s/@MODE@/$1/; s/@DIRECT@/$upstream:3000/" "$here/verify.yaml" | k apply -f - >/dev/null
    ended() { [ -n "$(of_pod verify '.status.containerStatuses[0].state.terminated.finishedAt')" ]; }
    within 60 ended || { k describe pod verify && return 1; }
    verify_code=$(of_pod verify '.status.containerStatuses[0].state.terminated.exitCode')
    k logs verify >"$work/findings"
    verified "$2"
}
one=$(pod_of front)
one=$(of_pod "$one" .status.podIP)
upstream=$(of_pod application .status.podIP)
if [ -n "${NARTHEX_CLUSTER_POLICY:-}" ]; then
    if [ "$NARTHEX_CLUSTER_POLICY" != enforced ]; then
        is 'without anybody who enforces policies the application is open' from_outside 'a["port"] == "open"' port "$upstream" 3000
        is 'which verify-deployment tells from another pod' verified_from_outside 0440 'application port'
        eval "exec $NARTHEX_CLUSTER_POLICY" >"$work/policy" 2>&1 &
        policy=$!
    fi
    is 'another pod does not reach the application past narthex' within 30 from_outside 'a["port"] == "silent"' port "$upstream" 3000
    is 'nor the health listener' within 30 from_outside 'a["port"] == "silent"' port "$one" 9090
    is 'verify-deployment finds nothing wrong any more' verified_from_outside 0440 ''
    is 'but a Secret that everybody in its pod may read' verified_from_outside 0444 'secret files'
    is 'but narthex' from_outside 'a["port"] == "open"' port "$one" 8080
    is 'and through it the application' asks 'a["status"] == 200' get "$front/" /tmp/front
else
    not_tried 'what NetworkPolicies keep out: set NARTHEX_CLUSTER_POLICY'
fi
