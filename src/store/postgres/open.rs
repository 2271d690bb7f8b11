//! Opening the database: connected by TLS where the way is long, migrated by one replica at a time, and refused with
//! a remedy where it is not ours.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Executor, SqlSafeStr};

use super::reason::reason;
use super::{Postgres, turns};
use crate::model::Secret;
use crate::store::StoreError;

/// How long an act waits for a connection.
const TURN: Duration = Duration::from_secs(5);
/// The server's limits for one statement, for waiting for a turn, and for a replica that stands still in a write:
/// then the others go on.
const LIMITS: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '3s'; \
     SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ";
/// The oldest that its makers still mend.
const OLDEST: i32 = 13;
/// Where the versions of the tables are; also what tells our schema from another program's.
const VERSIONS: &str = "narthex_migrations";
pub(super) const MIGRATIONS: [(i64, &str, &str); 16] = [
    (1, "first", include_str!("../migrations/postgres/0001_first.sql")),
    (2, "saml", include_str!("../migrations/postgres/0002_saml.sql")),
    (3, "members", include_str!("../migrations/postgres/0003_members.sql")),
    (4, "audit", include_str!("../migrations/postgres/0004_audit.sql")),
    (5, "feed", include_str!("../migrations/postgres/0005_feed.sql")),
    (6, "settings", include_str!("../migrations/postgres/0006_settings.sql")),
    (7, "invites", include_str!("../migrations/postgres/0007_invites.sql")),
    (8, "scim", include_str!("../migrations/postgres/0008_scim.sql")),
    (9, "shadow", include_str!("../migrations/postgres/0009_shadow.sql")),
    (10, "outbox", include_str!("../migrations/postgres/0010_outbox.sql")),
    (11, "search", include_str!("../migrations/postgres/0011_search.sql")),
    (12, "cases", include_str!("../migrations/postgres/0012_cases.sql")),
    (14, "intents", include_str!("../migrations/postgres/0014_intents.sql")),
    (16, "console", include_str!("../migrations/postgres/0016_console.sql")),
    (17, "guards", include_str!("../migrations/postgres/0017_guards.sql")),
    (18, "console_emails", include_str!("../migrations/postgres/0018_console_emails.sql")),
];

/// Where the database is, and how to get in.
#[derive(Debug, Clone)]
pub struct Location {
    /// `postgres://user@host:port/database?parameters`; may hold a password.
    pub url: Secret,
    /// Instead of one in the URL or in PGPASSFILE.
    pub password: Option<Secret>,
    /// How many connections at most.
    pub connections: u32,
    /// PEM: roots that its certificate may be signed by, beside the public ones; may be empty.
    pub roots: Vec<u8>,
}

impl Postgres {
    /// Connects and brings the tables up to date, one replica at a time.
    ///
    /// # Errors
    /// [`StoreError::CannotOpen`] with what to do; never with the password.
    pub async fn open(location: &Location) -> Result<Self, StoreError> {
        let options = options(location)?;
        let shown = shown(&options);
        let cannot = |reason: String| StoreError::CannotOpen { url: shown.clone(), reason };
        // The first connection for itself: the pool would try one that is refused again until its time is over.
        let first = tokio::time::timeout(TURN, options.connect()).await;
        match first {
            Ok(Ok(connection)) => drop(connection),
            Ok(Err(error)) => return Err(cannot(reason(&shown, &error))),
            Err(_) => return Err(cannot(reason(&shown, &sqlx::Error::PoolTimedOut))),
        }
        let pool = PgPoolOptions::new()
            .max_connections(location.connections)
            .acquire_timeout(TURN)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(LIMITS).await.map(drop) })
            })
            .connect_lazy_with(options);
        match prepare(&pool).await {
            Ok(()) => Ok(Self::new(shown, pool)),
            Err(refusal) => {
                pool.close().await;
                Err(cannot(refusal.text(&shown)))
            }
        }
    }
}

fn options(location: &Location) -> Result<PgConnectOptions, StoreError> {
    let parsed = PgConnectOptions::from_str(location.url.expose());
    // The driver's text could hold a part of the URL.
    let mut options = parsed.map_err(|_| StoreError::CannotOpen {
        url: "postgres:".to_owned(),
        reason: "store.url is not written as postgres://user@host:port/database".to_owned(),
    })?;
    options = options.application_name("narthex").disable_statement_logging();
    if let Some(password) = &location.password {
        options = options.password(password.expose());
    }
    let url = location.url.expose();
    // SECURITY: the driver would take what it gets, so that whoever is on the way could read sessions and keys, or
    // be the database. What reaches over a network is encrypted and checked unless somebody says otherwise.
    if !(url.contains("sslmode=") || is_near(&options)) {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    if !location.roots.is_empty() {
        options = options.ssl_root_cert_from_pem(location.roots.clone());
    }
    Ok(options)
}

/// On this machine.
fn is_near(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_start_matches('[').trim_end_matches(']');
    options.get_socket().is_some()
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Without password and parameters.
fn shown(options: &PgConnectOptions) -> String {
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("postgres://{}@{place}/{database}", options.get_username())
}

/// The newest version of the tables that this narthex knows.
pub(super) fn known() -> i64 {
    MIGRATIONS.iter().map(|(version, _, _)| *version).max().unwrap_or(0)
}

/// Why a database that can be reached is not used.
enum Refusal {
    Failed(sqlx::Error),
    Migration(MigrateError),
    Old(i32),
    /// A standby.
    OnlyReads,
    NoSchema,
    /// Tables of somebody else.
    Foreign {
        schema: String,
    },
    Newer(i64),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

impl Refusal {
    fn text(&self, shown: &str) -> String {
        let known = known();
        match self {
            Self::Failed(error) | Self::Migration(MigrateError::Execute(error)) => reason(shown, error),
            Self::Migration(error) => format!("its tables could not be brought up to date: {error}"),
            Self::Old(version) => {
                format!("it is PostgreSQL {version}; narthex needs {OLDEST} or newer")
            }
            Self::OnlyReads => "it is a standby, which only reads; name the primary".to_owned(),
            Self::NoSchema => {
                "the schema that its search_path names is not there; make it: CREATE SCHEMA, owned by \
                               narthex's user"
                    .to_owned()
            }
            Self::Foreign { schema } => format!(
                "the schema {schema} holds tables of another program; name a database of narthex's own, or a schema \
                 by ?options=-csearch_path%3DNAME"
            ),
            Self::Newer(version) => format!(
                "its tables are of version {version}, this narthex knows them up to {known}: a newer narthex wrote \
                 them; run that one, or restore the database from before the update"
            ),
        }
    }
}

async fn prepare(pool: &PgPool) -> Result<(), Refusal> {
    // All or nothing: tables are made and changed in one transaction, whose lock the other replicas wait for. The
    // limits of an ordinary write are not those of a migration.
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = 0; \
         SET LOCAL lock_timeout = '5min'; SET LOCAL idle_in_transaction_session_timeout = 0; \
         SET LOCAL synchronous_commit = on; \
         SET LOCAL client_min_messages = warning; {}",
        turns::migrating()
    );
    let (reads, version): (bool, i32) =
        sqlx::query_as("SELECT pg_is_in_recovery(), current_setting('server_version_num')::integer / 10000")
            .fetch_one(pool)
            .await?;
    if version < OLDEST {
        return Err(Refusal::Old(version));
    }
    if reads {
        return Err(Refusal::OnlyReads);
    }
    let mut tx = pool.begin_with(sqlx::AssertSqlSafe(begin).into_sql_str()).await?;
    let schema: Option<String> =
        sqlx::query_scalar("SELECT current_schema()::text").fetch_one(&mut *tx).await?;
    let schema = schema.ok_or(Refusal::NoSchema)?;
    // What an extension brought along is nobody's.
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c WHERE c.relkind IN ('r', 'p', 'f') \
         AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND NOT EXISTS \
         (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')",
    )
    .fetch_all(&mut *tx)
    .await?;
    if tables.iter().any(|name| name == VERSIONS) {
        let newest: Option<i64> =
            sqlx::query_scalar("SELECT MAX(version) FROM narthex_migrations").fetch_one(&mut *tx).await?;
        if let Some(newest) = newest.filter(|newest| *newest > known()) {
            return Err(Refusal::Newer(newest));
        }
    } else if !tables.is_empty() {
        return Err(Refusal::Foreign { schema });
    }
    let migrations = MIGRATIONS.map(|(version, name, text)| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.to_vec());
    migrator.set_locking(false).dangerous_set_table_name(VERSIONS);
    migrator.run_direct(None, &mut *tx, false).await.map_err(Refusal::Migration)?;
    tx.commit().await.map_err(Refusal::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> PgConnectOptions {
        options(&Location { url: Secret::new(url), password: None, connections: 2, roots: Vec::new() })
            .unwrap()
    }

    #[test]
    fn over_a_network_the_server_has_to_prove_who_it_is_unless_somebody_says_otherwise() {
        for (url, mode) in [
            ("postgres://narthex@db.internal/x", PgSslMode::VerifyFull),
            ("postgres://narthex@10.0.0.7/x", PgSslMode::VerifyFull),
            ("postgres://narthex@localhost.example.com/x", PgSslMode::VerifyFull),
            ("postgres://narthex@db.internal/x?sslmode=require", PgSslMode::Require),
            ("postgres://narthex@db.internal/x?sslmode=disable", PgSslMode::Disable),
            ("postgres://narthex@localhost/x", PgSslMode::Prefer),
            ("postgres://narthex@127.0.0.1/x", PgSslMode::Prefer),
            ("postgres://narthex@[::1]/x", PgSslMode::Prefer),
            ("postgres:///x?host=/run/postgresql", PgSslMode::Prefer),
        ] {
            assert_eq!(format!("{:?}", of(url).get_ssl_mode()), format!("{mode:?}"), "{url}");
        }
    }

    #[test]
    fn what_is_shown_has_neither_password_nor_parameters() {
        assert_eq!(shown(&of("postgres://ada:hidden@db/x?sslmode=disable")), "postgres://ada@db:5432/x");
        assert_eq!(shown(&of("postgres://ada@x/y?host=/run/pg")), "postgres://ada@/run/pg/y");
    }
}
