# narthex as native sidecar, through the library chart. Sourced by run.

reader=https://reader.$space.svc
cat >"$work/reader.yaml" <<YAML
url: $reader/
narthex:
  image: { repository: localhost/narthex, tag: test, pullPolicy: Never }
  existingSecret: reader
  trustedCa: { secret: authority }
  configChanges: reload
  # Small, so that its end by the kernel can be had.
  resources: { requests: { memory: 32Mi }, limits: { memory: 96Mi } }
  config: &config
    server:
      public_url: $reader
      tls: { certificate: /etc/narthex/secrets/tls.crt, key: /etc/narthex/secrets/tls.key }
    upstream: { url: "http://127.0.0.1:3000" }
    idp:
      - id: corp
        type: oidc
        issuer: https://idp.$space.svc
        client_id: narthex
        client_secret: { file: /etc/narthex/secrets/client_secret }
        scopes: [openid, profile, email]
        email_domains: [example.com]
    store: { url: "postgres://postgres@postgres:5432/reader?sslmode=disable" }
    keys: { seal: { file: /etc/narthex/secrets/seal_key } }
    headers: { X-Remote-User: "{{ account.username }}" }
    application:
      connector: miniflux
      url: http://127.0.0.1:3000
      credential: { basic: { username: miniflux_admin, password: { file: /etc/narthex/secrets/admin_password } } }
    provisioning: { mode: jit, default_role: user }
YAML

installed() { helm --namespace "$space" upgrade --install reader "$here/reader" --values "$work/reader.yaml" --wait --timeout 180s "$@"; }
is 'the application with its sidecar starts, by the library chart' installed
[ "$failed" -eq 0 ] || { k get pods && k describe pods -l app=reader | tail -40 && k logs -l app=reader --all-containers --prefix | tail -40; }
pod=$(pod_of reader) || cannot "there is no pod to go on with"
address=$(of_pod "$pod" .status.podIP)

# --- restricted, and in order

loose() {
    ! k run loose --image=localhost/narthex:test --restart=Never >"$work/loose" 2>&1 && grep -q 'violates PodSecurity "restricted' "$work/loose"
}
is 'the pod passes PodSecurity "restricted", which refuses others here' loose
native() { [ "$(of_pod "$pod" '.spec.initContainers[?(@.name=="narthex")].restartPolicy}{.spec.containers[*].name')" = Alwaysminiflux ]; }
is 'narthex is a native sidecar' native
sidecar_first() {
    local first second
    first=$(of_pod "$pod" '.status.initContainerStatuses[0].state.running.startedAt')
    second=$(of_pod "$pod" '.status.containerStatuses[0].state.running.startedAt')
    echo "narthex $first, miniflux $second"
    # As text: both are UTC.
    [ -n "$first" ] && [ "$(of_pod "$pod" '.status.initContainerStatuses[0].started')" = true ] && ! [[ "$first" > "$second" ]]
}
is 'it was up before the application started' sidecar_first

# --- the first login, and nobody else

is 'who is not signed in is sent to the identity provider' asks 'a["status"] in (302, 303) and "/.narthex/login" in a["location"]' get "$reader/"
is 'the whole first login works through the Service' asks \
    'a["status"] == 200 and a["url"].startswith("'"$reader"'/") and any("idp.'"$space"'.svc/interaction" in one for one in a["way"])' sign-in "$reader/" ada /tmp/ada
is 'and the application has made an account, which is used' asks 'a["status"] == 200 and "ada" in a["body"]' get "$reader/settings" /tmp/ada
is 'a second person signs in' asks 'a["status"] == 200' sign-in "$reader/" bob /tmp/bob
is 'and is somebody else' asks 'a["status"] == 200 and "bob" in a["body"] and "ada" not in a["body"]' get "$reader/settings" /tmp/bob
is 'a header that names somebody is not believed' asks 'a["status"] in (302, 303)' get "$reader/settings" - X-Remote-User:ada X_Remote_User:ada
is 'the application itself cannot be reached from another pod' asks 'a["port"] == "refused"' port "$address" 3000
is 'nor can the admin API' asks 'a["port"] == "refused"' port "$address" 9091
is 'while narthex can' asks 'a["port"] == "open"' port "$address" 8080

# --- what verify-deployment says there

verified_here() { pod=$(pod_of reader) && verified_in "$pod" "$@"; }
replaced() { installed "$@" && within 60 old_gone; }
old_gone() { [ "$(k get pods -l app=reader --no-headers | wc -l)" -eq 1 ]; }
is 'verify-deployment finds nothing wrong in the sidecar' verified_here ''
is 'with an application that listens on all addresses …' replaced --set listen=0.0.0.0
is '… it tells that' verified_here 'application port'
is 'with a Secret that everybody in the pod may read …' replaced --set narthex.secretFileMode=292
is '… it tells that, too' verified_here 'secret files'
is 'and nothing is wrong any more with neither' replaced
is '… as it says' verified_here ''
address=$(of_pod "$pod" .status.podIP)

# --- the end of a pod

# A finalizer keeps the pod's last state to be looked at.
ends_in_order() {
    local old=$pod application sidecar
    k patch pod "$old" --type=merge -p '{"metadata":{"finalizers":["narthex.test/look"]}}' >/dev/null
    k delete pod "$old" --wait=false >/dev/null
    both_ended() { [ -n "$(of_pod "$old" '.status.initContainerStatuses[0].state.terminated.finishedAt')" ] && [ -n "$(of_pod "$old" '.status.containerStatuses[0].state.terminated.finishedAt')" ]; }
    within 60 both_ended || { of_pod "$old" .status && return 1; }
    sidecar=$(of_pod "$old" '.status.initContainerStatuses[0].state.terminated.finishedAt')
    application=$(of_pod "$old" '.status.containerStatuses[0].state.terminated.finishedAt')
    code=$(of_pod "$old" '.status.initContainerStatuses[0].state.terminated.exitCode')
    k patch pod "$old" --type=merge -p '{"metadata":{"finalizers":null}}' >/dev/null
    echo "miniflux $application, narthex $sidecar, code $code"
    ! [[ "$application" > "$sidecar" ]] && [ "$code" = 0 ]
}
is 'the sidecar ends after the application, with 0' ends_in_order
k rollout status deployment/reader --timeout=120s >/dev/null || true
is 'who was signed in still is, with the next pod' within 30 asks 'a["status"] == 200 and "ada" in a["body"]' get "$reader/settings" /tmp/ada

# Each on a connection of its own, as by an ingress controller, which follows the Service's endpoints. A client that
# keeps its connection to a pod that is ending meets a narthex whose application is gone before it (502).
meanwhile load load "$reader/settings" /tmp/ada 0
restarted() { k rollout restart deployment/reader >/dev/null && k rollout status deployment/reader --timeout=180s >/dev/null; }
is 'its rolling restart under load …' restarted
within 60 old_gone || true
done_with load
is "… fails no request ($(python3 -c 'import json, sys; a = json.load(open(sys.argv[1])); print(a.get("answered"), "answered")' "$work/answer" 2>/dev/null))" so 'a["failures"] == 0 and a["answered"] > 50'
pod=$(pod_of reader) || cannot "there is no pod to go on with"
address=$(of_pod "$pod" .status.podIP)

# --- a changed ConfigMap and Secret

restarts() { of_pod "$pod" '.status.initContainerStatuses[0].restartCount'; }
same_pod() { [ "$(pod_of reader)" = "$pod" ] && [ "$(restarts)" = "$restarts_before" ]; }
restarts_before=$(restarts)
sed 's#^    provisioning:#    route: [{ path: /healthcheck, access: public }]\n&#' "$work/reader.yaml" >"$work/changed.yaml"
is 'before the change a path is closed' asks 'a["status"] in (302, 303)' get "$reader/healthcheck"
mv "$work/changed.yaml" "$work/reader.yaml"
is 'the ConfigMap is changed' installed
is 'the running sidecar takes it up' within 150 asks 'a["status"] == 200' get "$reader/healthcheck"
certificate renewed
serial=$(openssl x509 -in "$work/renewed.crt" -noout -fingerprint -sha256 | cut -d = -f 2)
k create secret generic reader --dry-run=client -o yaml --from-file=tls.crt="$work/renewed.crt" --from-file=tls.key="$work/renewed.key" |
    k patch secret reader --type=merge --patch-file /dev/stdin >/dev/null
shown() {
    k exec client -- /app/node -e "const s = require('tls').connect({host: 'reader.$space.svc', port: 443, servername: 'reader.$space.svc'}, () => { console.log(s.getPeerCertificate().fingerprint256); s.end(); })" |
        grep -qF "$serial"
}
is 'so it does a renewed certificate in the Secret' within 150 shown
is 'without a restart' same_pod

# --- out of memory

is 'the sidecar has not been restarted so far' test "$restarts_before" = 0
meanwhile watch watch "$reader/settings" "$address" 3000
killed() { [ "$(restarts)" -gt "$restarts_before" ]; }
fill_until_killed() {
    local last=$((SECONDS + 120))
    while ! killed && [ "$SECONDS" -lt "$last" ]; do
        client fill "https://$address:8080/" 1500 || true
        cat "$work/answer"
    done
    [ "$(of_pod "$pod" '.status.initContainerStatuses[0].lastState.terminated.reason')" = OOMKilled ]
}
is 'too many connections for its memory, and the kernel ends the sidecar' fill_until_killed
k wait --for=condition=Ready "pod/$pod" --timeout=120s >/dev/null || true
done_with watch
is "no request of nobody got through meanwhile ($(python3 -c 'import json, sys; a = json.load(open(sys.argv[1])); print(a.get("service"), a.get("past"))' "$work/answer" 2>/dev/null))" \
    so 'a["through"] == [] and sum(a["service"].values()) > 20'
app_untouched() { [ "$(of_pod "$pod" '.status.containerStatuses[0].restartCount')" = 0 ] && [ "$(pod_of reader)" = "$pod" ]; }
is 'the application was not restarted' app_untouched
is 'and who was signed in still is' within 60 asks 'a["status"] == 200 and "ada" in a["body"]' get "$reader/settings" /tmp/ada
