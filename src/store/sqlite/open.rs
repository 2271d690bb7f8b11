//! Opening the file: made with mode 0600, migrated, and refused with a remedy where it is not ours.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, SqliteConnection};

use super::{Alone, MAX_IN_FLIGHT, Sqlite, primary_code};
use crate::store::StoreError;

/// How long a write waits for another process, e.g. `sqlite3` or a backup at the same file.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// Between two looks whether the tables are up to date.
const AGAIN: Duration = Duration::from_millis(100);
/// How long an act waits for its turn in this process.
const TURN: Duration = Duration::from_secs(10);
const READERS: u32 = 4;
/// "nrtx": says in the file's header whose it is.
pub(super) const APPLICATION_ID: i64 = 0x6e72_7478;
pub(super) const FOREIGN: &str = "it is the database of another program; name a file of narthex's own";
const MIGRATIONS: [(i64, &str, &str); 16] = [
    (1, "first", include_str!("../migrations/sqlite/0001_first.sql")),
    (2, "saml", include_str!("../migrations/sqlite/0002_saml.sql")),
    (3, "members", include_str!("../migrations/sqlite/0003_members.sql")),
    (4, "audit", include_str!("../migrations/sqlite/0004_audit.sql")),
    (5, "feed", include_str!("../migrations/sqlite/0005_feed.sql")),
    (6, "settings", include_str!("../migrations/sqlite/0006_settings.sql")),
    (7, "invites", include_str!("../migrations/sqlite/0007_invites.sql")),
    (8, "scim", include_str!("../migrations/sqlite/0008_scim.sql")),
    (9, "shadow", include_str!("../migrations/sqlite/0009_shadow.sql")),
    (10, "outbox", include_str!("../migrations/sqlite/0010_outbox.sql")),
    (11, "search", include_str!("../migrations/sqlite/0011_search.sql")),
    (12, "cases", include_str!("../migrations/sqlite/0012_cases.sql")),
    (14, "intents", include_str!("../migrations/sqlite/0014_intents.sql")),
    (16, "console", include_str!("../migrations/sqlite/0016_console.sql")),
    (17, "guards", include_str!("../migrations/sqlite/0017_guards.sql")),
    (18, "console_emails", include_str!("../migrations/sqlite/0018_console_emails.sql")),
];

impl Sqlite {
    /// Opens the file at `path`, makes it where it is absent (its folder must be there) and brings its
    /// tables up to date, unless somebody serves from it who knows the earlier ones.
    ///
    /// # Errors
    /// [`StoreError::CannotOpen`] with what to do, [`StoreError::ServedByOlder`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, |options| options).await
    }

    /// The same for whoever serves from it, which one process at a time may. Nothing of the file is changed before
    /// that is sure: the tables are not brought up to date under the feet of who is there.
    ///
    /// # Errors
    /// [`StoreError::HeldElsewhere`], and those of [`Sqlite::open`].
    pub async fn open_alone(path: &Path) -> Result<(Self, Alone), StoreError> {
        make_file(path).map_err(cannot_open(path))?;
        let alone = Alone::take(path)?;
        let store = Self::open_made(path, Some(&alone), |options| options).await?;
        Ok((store, alone))
    }

    /// [`Sqlite::open`] with further options for the writing connection.
    pub(super) async fn open_with(
        path: &Path,
        options: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions,
    ) -> Result<Self, StoreError> {
        make_file(path).map_err(cannot_open(path))?;
        Self::open_made(path, None, options).await
    }

    async fn open_made(
        path: &Path,
        alone: Option<&Alone>,
        options: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions,
    ) -> Result<Self, StoreError> {
        let cannot = cannot_open(path);
        let shared = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .disable_statement_logging();
        let writing = options(
            shared
                .clone()
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .pragma("journal_size_limit", "67108864"),
        );
        let mut connection = writing.connect().await.map_err(|error| cannot(remedy(path, &error)))?;
        let prepared = prepare(path, alone, &mut connection).await;
        let closed = connection.close().await;
        prepared.map_err(|refusal| refusal.told(path))?;
        closed.map_err(|error| cannot(remedy(path, &error)))?;

        let pool = || {
            SqlitePoolOptions::new()
                .acquire_timeout(TURN)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let writer = pool()
            .max_connections(1)
            // SQLite undoes a transaction by itself when the disk is full (https://sqlite.org/lang_transaction.html,
            // 3.1), of which the driver knows nothing: it would take the connection for one in a transaction
            // for ever. Such a connection is given up for a new one.
            .after_release(|connection, _| {
                Box::pin(async move {
                    if connection.is_in_transaction() {
                        connection.ping().await?;
                    }
                    Ok(!connection.is_in_transaction())
                })
            })
            .connect_with(writing)
            .await
            .map_err(|error| cannot(remedy(path, &error)))?;
        let readers = pool()
            .max_connections(READERS)
            .connect_with(shared.pragma("query_only", "ON"))
            .await
            .map_err(|error| cannot(remedy(path, &error)))?;
        Ok(Self { path: path.to_owned(), writer, readers, max_in_flight: MAX_IN_FLIGHT })
    }
}

pub(super) fn cannot_open(path: &Path) -> impl Fn(String) -> StoreError + '_ {
    move |reason| StoreError::CannotOpen { url: format!("sqlite:{}", path.display()), reason }
}

/// SECURITY: the file holds personal data, so nobody but its owner may read it; SQLite gives the log beside
/// it the same mode.
fn make_file(path: &Path) -> Result<(), String> {
    let shown = path.display();
    if path.is_dir() {
        return Err("it is a folder; name a file in it".to_owned());
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let opened = match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().read(true).write(true).open(path).inspect(warn_of_readers(path))
        }
        made => made,
    };
    opened.map(drop).map_err(|error| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.display();
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                format!("{error}: there is no folder {folder}; make it, owned by the user that narthex runs as, \
                     or name a file in another one in store.url")
            }
            ErrorKind::PermissionDenied => format!(
                "{error}: the user that narthex runs as must be able to write to {shown} and its folder {folder}"
            ),
            ErrorKind::ReadOnlyFilesystem => {
                format!("{error}: put the file on a volume that can be written to")
            }
            _ => format!("{error}: check {folder} and its disk"),
        }
    })
}

fn warn_of_readers(path: &Path) -> impl Fn(&File) + '_ {
    move |file| {
        let mode = file.metadata().map_or(0, |metadata| metadata.permissions().mode() & 0o777);
        if mode & 0o007 != 0 {
            tracing::warn!(
                path = %path.display(),
                mode = %format_args!("{mode:04o}"),
                "every user of this machine can reach the store's file; take that away: chmod o-rwx"
            );
        }
    }
}

/// The newest version of the tables that this narthex knows.
pub(super) fn known() -> i64 {
    MIGRATIONS.iter().map(|(version, _, _)| *version).max().unwrap_or(0)
}

/// Why a file that could be opened is not used.
enum Refusal {
    Failed(sqlx::Error),
    Migration(MigrateError),
    /// Tables of somebody else.
    Foreign,
    Newer(i64),
    Store(StoreError),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

impl Refusal {
    fn told(self, path: &Path) -> StoreError {
        let known = known();
        let reason = match self {
            Self::Store(error) => return error,
            Self::Failed(error) | Self::Migration(MigrateError::Execute(error)) => remedy(path, &error),
            Self::Migration(error) => format!("its tables could not be brought up to date: {error}"),
            Self::Foreign => FOREIGN.to_owned(),
            Self::Newer(version) => format!(
                "its tables are of version {version}, this narthex knows them up to {known}: a newer narthex \
                 wrote it; run that one, or restore the file from before the update"
            ),
        };
        cannot_open(path)(reason)
    }
}

async fn prepare(
    path: &Path,
    alone: Option<&Alone>,
    connection: &mut SqliteConnection,
) -> Result<(), Refusal> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    .fetch_all(&mut *connection)
    .await?;
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    if !tables.is_empty() && application != APPLICATION_ID {
        return Err(Refusal::Foreign);
    }
    let found = version(connection).await?;
    if found > known() {
        return Err(Refusal::Newer(found));
    }
    let _meanwhile = match alone {
        None if found < known() => turn(path, connection).await?,
        None | Some(_) => None,
    };
    if application != APPLICATION_ID {
        let claim = sqlx::AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"));
        sqlx::raw_sql(claim).execute(&mut *connection).await?;
    }
    let migrations = MIGRATIONS.map(|(version, name, text)| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    let migrator = Migrator::with_migrations(migrations.to_vec());
    migrator.run_direct(None, connection, false).await.map_err(Refusal::Migration)
}

/// Of the tables; 0 where there are none yet.
async fn version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'")
        .fetch_one(&mut *connection)
        .await?;
    if there == 0 {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations").fetch_one(connection).await
}

/// The lock, under which the tables are brought up to date: under the feet of nobody who serves and knows the earlier ones
/// only. `None`: whoever has it has just done so.
async fn turn(path: &Path, connection: &mut SqliteConnection) -> Result<Option<Alone>, Refusal> {
    let began = Instant::now();
    loop {
        let (path, holder) = match Alone::take(path) {
            Ok(alone) => return Ok(Some(alone)),
            Err(StoreError::HeldElsewhere { path, holder }) => (path, holder),
            Err(error) => return Err(Refusal::Store(error)),
        };
        let found = version(connection).await?;
        if found == known() {
            return Ok(None);
        }
        if began.elapsed() > BUSY {
            let known = known();
            return Err(Refusal::Store(StoreError::ServedByOlder { path, holder, found, known }));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What happened and what helps (<https://sqlite.org/rescode.html>).
pub(super) fn remedy(path: &Path, error: &sqlx::Error) -> String {
    let path = path.display();
    match primary_code(error) {
        Some(5 | 6) => format!("another process holds it: {error}; end that one first"),
        Some(8 | 14) => format!(
            "{error}: the user that narthex runs as must be able to write to {path} and to its folder \
             (SQLite keeps its log beside the file)"
        ),
        Some(10) => format!("{error}: look at its disk, which is full or failing"),
        Some(11) => format!("{error}: the file is damaged; restore it from a backup"),
        Some(13) => format!("{error}: free some space on its disk"),
        Some(26) => format!("{error}: {path} is no SQLite file; name another one, or move it away"),
        Some(_) | None => error.to_string(),
    }
}
