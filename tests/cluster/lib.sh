# Shared by run and its parts. Sourced, not run.

passed=0
say() { echo "tests/cluster/run: $*"; }
k() { kubectl --namespace "$space" "$@"; }

# is NAME COMMAND...
is() {
    local what=$1
    shift
    if "$@" >"$work/said" 2>&1; then
        echo "ok      $what"
        passed=$((passed + 1))
    else
        echo "FAILED  $what"
        tail -n 15 "$work/said" | cut -c 1-600 | sed 's/^/        /'
        failed=$((failed + 1))
    fi
}
not_tried() {
    echo "untried $*"
    untried=$((untried + 1))
}
# within SECONDS COMMAND...: waits until it is so.
within() {
    local last=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$last" ] || return 1
        sleep 0.3
    done
}

# The client's answer as JSON in $work/answer.
client() { k exec client -- /app/node /app/client.mjs "$@" >"$work/answer" 2>"$work/client" || { cat "$work/answer" "$work/client" && return 1; }; }
# so EXPRESSION: of the last answer, which Python calls `a`.
so() {
    python3 - "$work/answer" "$1" <<'PY' || { cut -c 1-1500 "$work/answer" && return 1; }
import json, re, sys
a = json.load(open(sys.argv[1]))
sys.exit(0 if eval(sys.argv[2]) else 1)
PY
}
# asks EXPRESSION ARGUMENT...: the client does it, and the answer is so.
asks() {
    local expression=$1
    shift
    client "$@" && so "$expression"
}

# meanwhile NAME ARGUMENT...: the client does this until `done_with NAME`, whose answer is the last one.
meanwhile() {
    local name=$1
    shift
    k exec client -- /app/node /app/client.mjs "$@" "/tmp/stop-$name" >"$work/meanwhile-$name" 2>&1 &
    eval "meanwhile_$name=\$!"
}
done_with() {
    local name=$1 process=meanwhile_$1
    k exec client -- /app/node -e "require('fs').writeFileSync('/tmp/stop-$name', '')"
    wait "${!process}" || true
    cp "$work/meanwhile-$name" "$work/answer"
}

# of_pod POD EXPRESSION: a field, in jsonpath.
of_pod() { k get pod "$1" -o "jsonpath={$2}"; }
# The one pod with this label that is not on its way out.
pod_of() {
    k get pods -l "app=$1" -o json | python3 -c '
import json, sys
pods = [pod for pod in json.load(sys.stdin)["items"] if "deletionTimestamp" not in pod["metadata"]]
print(pods[0]["metadata"]["name"])'
}

# What narthex verify-deployment told, one JSON object per line in $work/findings; its code in $verify_code.
verified() {
    local items=$1
    python3 - "$work/findings" "$items" "$verify_code" <<'PY' || { cat "$work/findings" && return 1; }
import json, sys
findings = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
wrong = sorted({one["item"] for one in findings if one["verdict"] == "wrong"})
expected = sorted(filter(None, sys.argv[2].split(",")))
print("wrong:", wrong, "expected:", expected, "code:", sys.argv[3])
sys.exit(0 if findings and wrong == expected and sys.argv[3] == str(int(bool(expected))) else 1)
PY
}
# verified_in POD ITEMS ARGUMENT...: asked there, just these items (with commas between) are wrong.
verified_in() {
    local where=$1 items=$2
    shift 2
    verify_code=0
    k exec "$where" -c narthex -- /narthex verify-deployment --json "$@" >"$work/findings" 2>&1 || verify_code=$?
    verified "$items"
}
