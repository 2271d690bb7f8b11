# Scratch servers of PostgreSQL, and what needs one. Sourced by install and start, not run; wants $workdir.

# Some parties refuse root. `plain` becomes the prefix that runs a command as
# somebody else who can reach the given folders; it stays empty when we are not
# root.
plain=()
drop_root() {
    local folder nobody=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    [ "$(id -u)" = 0 ] || return 0
    chown nobody:nogroup "$workdir"
    plain=("${nobody[@]}")
    for folder; do
        "${plain[@]}" sh -c 'cd "$1"' - "$folder" 2>/dev/null && continue
        # A folder above is closed to others (mktemp -d makes such): let the
        # party through with the one capability that this takes.
        plain=("${nobody[@]}" --inh-caps=+dac_override --ambient-caps=+dac_override)
        "${plain[@]}" sh -c 'cd "$1"' - "$folder" 2>/dev/null ||
            die "the user nobody cannot reach $folder: choose a WORKDIR (or NARTHEX_PARTIES) whose parent folders are open to all, or do not run as root"
    done
}

# A scratch cluster below $workdir/pg for port $1; sets `postgres` to the
# command that runs its server.
prepare_postgres() {
    local bin
    bin=$(pg_bin) || die "PostgreSQL is not installed: run $parties_here/install postgres"
    mkdir "$workdir/pg"
    drop_root "$workdir/pg"
    [ ${#plain[@]} -eq 0 ] || chown nobody:nogroup "$workdir/pg"
    "${plain[@]}" "$bin/initdb" --no-sync --no-instructions -A trust -U postgres -E UTF8 \
        --locale=C -D "$workdir/pg/data" >&2
    cat >>"$workdir/pg/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $1
unix_socket_directories = ''
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 16MB
max_connections = 100
dynamic_shared_memory_type = mmap
CONF
    postgres=("$bin/postgres" -D "$workdir/pg/data")
}

wait_postgres() {
    local bin deadline=$((SECONDS + 60))
    bin=$(pg_bin)
    until "$bin/psql" -h 127.0.0.1 -p "$1" -U postgres -d postgres -qAtc 'select 1' >/dev/null 2>&1; do
        kill -0 "$2" 2>/dev/null || die "PostgreSQL ended; its last lines are above"
        [ $SECONDS -lt $deadline ] || die "PostgreSQL did not answer within 60 s"
        sleep 0.1
    done
}

# directus_environment DIR PGPORT URL: what Directus in folder DIR reads.
directus_environment() {
    export DB_CLIENT=pg DB_HOST=127.0.0.1 DB_PORT=$2 DB_DATABASE=directus DB_USER=postgres DB_PASSWORD=none
    export SECRET TELEMETRY=false LOG_LEVEL=${DIRECTUS_LOG_LEVEL:-warn} HOST=127.0.0.1 PUBLIC_URL=$3
    SECRET=$(random_secret)
    export STORAGE_LOCAL_ROOT=$workdir/uploads EXTENSIONS_PATH=$workdir/extensions
    mkdir -p "$workdir/uploads" "$workdir/extensions"
}
