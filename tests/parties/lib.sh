# Shared by install, start and check. Sourced, not run.
# Versions are pinned here and nowhere else.
KEYCLOAK_VERSION=26.7.3
OIDC_PROVIDER_VERSION=9.13.3
DIRECTUS_VERSION=12.4.0
GITEA_VERSION=1.26.0
JUPYTERHUB_VERSION=6.1.1
MINIFLUX_VERSION=2.2.0
SCIM2_SERVER_VERSION=0.8.3
SYNAPSE_VERSION=1.163.2
ZABBIX_VERSION=7.0.9
ZABBIX_DEBIAN=1:7.0.9+dfsg-1~bpo12+1
WEBHOOK_VERSION=1 # of docs/webhook-receiver.py
PLAYWRIGHT_VERSION=1.65.1
NODE_VERSION=22.23.3 # only where the system's is missing or too old
SAMLP_VERSION=8.0.0
POSTGRES_VERSION=debian # whatever the distribution has
XMLSEC1_VERSION=debian
ALL_PARTIES="gitea miniflux oidc-provider samlp scim2-server synapse directus zabbix webhook jupyterhub keycloak postgres chromium xmlsec1"

parties_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parties_root=${NARTHEX_PARTIES:-$(cd "$parties_here/../.." && pwd)/target/parties}

# `install` puts a node there when the system's is too old for a party.
own_node=$parties_root/node-$NODE_VERSION
[ ! -x "$own_node/bin/node" ] || PATH=$own_node/bin:$PATH

version_of() {
    case $1 in
        keycloak) echo "$KEYCLOAK_VERSION" ;;
        oidc-provider) echo "$OIDC_PROVIDER_VERSION" ;;
        directus) echo "$DIRECTUS_VERSION" ;;
        gitea) echo "$GITEA_VERSION" ;;
        jupyterhub) echo "$JUPYTERHUB_VERSION" ;;
        miniflux) echo "$MINIFLUX_VERSION" ;;
        scim2-server) echo "$SCIM2_SERVER_VERSION" ;;
        synapse) echo "$SYNAPSE_VERSION" ;;
        webhook) echo "$WEBHOOK_VERSION" ;;
        zabbix) echo "$ZABBIX_VERSION" ;;
        postgres) echo "$POSTGRES_VERSION" ;;
        samlp) echo "$SAMLP_VERSION" ;;
        xmlsec1) echo "$XMLSEC1_VERSION" ;;
        chromium) echo "$PLAYWRIGHT_VERSION" ;;
        *) return 1 ;;
    esac
}

# Where a party is (or will be) installed.
dir_of() { echo "$parties_root/$1-$(version_of "$1")"; }

# The marker is written last; it holds a digest of what the install was made
# from, so that a changed recipe or lock file leads to a new install.
marker_of() { echo "$(dir_of "$1")/.installed"; }

recipe_digest() {
    local files=()
    case $1 in
        oidc-provider | chromium | directus | jupyterhub | samlp) files+=("$parties_here/$1/package.json" "$parties_here/$1/package-lock.json") ;;
    esac
    case $1 in
        jupyterhub | scim2-server | synapse | xmlsec1) files+=("$parties_here/$1/requirements.txt") ;;
        keycloak) files+=("$parties_here/keycloak/realm.py") ;;
        zabbix) files+=("$parties_here/zabbix/zabbix.conf.php") ;;
    esac
    # The first number is the version of the recipes in `install`: raise it to have all installed anew.
    { echo "1 $1 $(version_of "$1")"; cat /dev/null "${files[@]}"; } | sha256sum | cut -c1-16
}

is_installed() {
    [ "$(cat "$(marker_of "$1")" 2>/dev/null)" = "$(recipe_digest "$1")" ] || return 1
    # The folder may have come from a cache to a machine that lacks the packages.
    case $1 in
        keycloak) command -v java >/dev/null ;;
        oidc-provider | samlp) command -v node >/dev/null ;;
        gitea) command -v git >/dev/null ;;
        jupyterhub) command -v node >/dev/null && [ -x "$(dir_of "$1")/venv/bin/python" ] ;;
        miniflux | postgres) pg_bin >/dev/null ;;
        directus) pg_bin >/dev/null && has_node 22 ;;
        scim2-server | synapse) [ -x "$(dir_of "$1")/venv/bin/python" ] ;;
        webhook) command -v python3 >/dev/null ;;
        zabbix) pg_bin >/dev/null && command -v php >/dev/null ;;
        chromium) command -v node >/dev/null && command -v chromium >/dev/null ;;
        xmlsec1) command -v xmlsec1 >/dev/null && [ -x "$(dir_of "$1")/venv/bin/python" ] ;;
    esac
}

# has_node MAJOR: whether the node in PATH is new enough.
has_node() {
    local major
    major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) || return 1
    [ "$major" -ge "$1" ]
}

die() {
    echo "parties: $*" >&2
    exit 1
}

# Random text that is safe in URLs, shells and JSON.
random_secret() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

# A free TCP port on loopback, as the two after it are.
free_port() { python3 "$parties_here/free_port.py"; }

pg_bin() {
    local d found=
    for d in /usr/lib/postgresql/*/bin; do
        [ -x "$d/initdb" ] && [ -x "$d/postgres" ] && found=$d
    done
    [ -n "$found" ] || return 1
    echo "$found"
}

# keycloak_home HOME KC: a folder that runs the Keycloak of folder KC and keeps
# what it writes to itself.
keycloak_home() {
    local part
    mkdir -p "$1/data/import" "$1/data/tmp"
    for part in lib providers conf themes; do ln -s "$2/$part" "$1/$part"; done
}

# keycloak_command HOME PORT: sets `keycloak` to the command that runs it. As
# bin/kc.sh does it, but as one process, and with what makes a start short: it
# was augmented by `install` (so `start --optimized`, which with these options
# differs from start-dev only in caching themes); no C2 compiler; serial
# collector. Without cache=local and bindAddress it would listen beyond loopback.
keycloak_command() {
    keycloak=(java -Xms64m -Xmx384m -XX:MetaspaceSize=96M -XX:MaxMetaspaceSize=256m
        -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError
        -Dfile.encoding=UTF-8 -Djava.security.egd=file:/dev/urandom -Djava.net.preferIPv4Stack=true
        -Dh2.bindAddress=127.0.0.1 -Duser.language=en -Duser.country=US "-Djava.io.tmpdir=$1/data/tmp"
        --add-opens=java.base/java.util=ALL-UNNAMED --add-opens=java.base/java.util.concurrent=ALL-UNNAMED
        --add-opens=java.base/java.security=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED
        -Djava.util.logging.manager=org.jboss.logmanager.LogManager -Dpicocli.disable.closures=true
        -Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory
        "-Dkc.home.dir=$1" -cp "$1/lib/quarkus-run.jar" io.quarkus.bootstrap.runner.QuarkusEntryPoint
        start --optimized --cache=local --http-enabled=true --http-host=127.0.0.1 "--http-port=$2"
        --hostname-strict=false)
}
