//! A copy of the file as it is at one moment, made beside whoever serves from it.
//!
//! The file alone is no copy: what was written last lies in the log beside it until SQLite moves it over.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use super::open::{APPLICATION_ID, BUSY, FOREIGN, cannot_open, remedy};
use super::{Sqlite, primary_code};
use crate::store::StoreError;

const ACT: &str = "backup";

/// What a copy holds, as it was read back from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub members: i64,
    pub sessions: i64,
    pub audit_entries: i64,
    /// Of its tables.
    pub version: i64,
}

impl Sqlite {
    /// Copies the database at `path` into the file at `copy`, which is there and empty: everything that was committed
    /// before, nothing that came later, and nothing of what was deleted. Writes go on meanwhile.
    ///
    /// Nothing is changed at `path`: tables of an earlier version are copied as they are, which is what a backup before
    /// an update is for.
    ///
    /// # Errors
    /// [`StoreError::CannotOpen`] where there is nothing of narthex's to copy, [`StoreError::Unavailable`] where copying
    /// fails; what is at `copy` is then of no use.
    pub async fn copy(path: &Path, copy: &Path) -> Result<Copied, StoreError> {
        let cannot = cannot_open(path);
        if !path.exists() {
            return Err(cannot("there is no such file: nothing was stored yet, or elsewhere".to_owned()));
        }
        // Absolute: one that begins with `file:` would be taken for a URI.
        let to = std::path::absolute(copy).ok().and_then(|path| path.into_os_string().into_string().ok());
        let Some(to) = to else {
            return Err(failed(format!("{} is no path in UTF-8, as SQLite needs it", copy.display())));
        };
        let mut source = looking(path).connect().await.map_err(|error| cannot(remedy(path, &error)))?;
        let owner: Result<i64, _> = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut source).await;
        if owner.map_err(|error| cannot(remedy(path, &error)))? != APPLICATION_ID {
            return Err(cannot(FOREIGN.to_owned()));
        }
        // https://sqlite.org/lang_vacuum.html#vacuuminto: one read transaction.
        let copied = sqlx::query("VACUUM INTO $1").bind(to).execute(&mut source).await;
        copied.map_err(|error| failed(why(path, copy, &error)))?;
        source.close().await.map_err(|error| failed(why(path, copy, &error)))?;
        read_back(copy).await.map_err(|error| {
            failed(format!("{} was written and cannot be read again: {error}", copy.display()))
        })
    }
}

fn failed(reason: String) -> StoreError {
    StoreError::Unavailable { act: ACT, reason }
}

fn looking(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY).disable_statement_logging()
}

fn why(path: &Path, copy: &Path, error: &sqlx::Error) -> String {
    let (path, copy) = (path.display(), copy.display());
    match primary_code(error) {
        Some(5 | 6) => format!("{path} is locked by another process: {error}"),
        Some(11 | 26) => format!("{path} is damaged: {error}; restore it from an earlier backup"),
        Some(13) => format!("the disk of {copy} is full: {error}; it needs as much room as {path} takes"),
        Some(_) | None => format!("copying {path} to {copy}: {error}"),
    }
}

/// A backup that was never read is a hope.
async fn read_back(copy: &Path) -> Result<Copied, sqlx::Error> {
    let mut connection = looking(copy).immutable(true).connect().await?;
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    if found != "ok" {
        return Err(sqlx::Error::Protocol(found));
    }
    let copied = Copied {
        members: count(&mut connection, "members").await?,
        sessions: count(&mut connection, "sessions").await?,
        audit_entries: count(&mut connection, "audit_entries").await?,
        version: sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations")
            .fetch_one(&mut connection)
            .await?,
    };
    connection.close().await?;
    Ok(copied)
}

/// None where an earlier version had no such table.
async fn count(connection: &mut SqliteConnection, table: &'static str) -> Result<i64, sqlx::Error> {
    let there: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1")
            .bind(table)
            .fetch_one(&mut *connection)
            .await?;
    if there == 0 {
        return Ok(0);
    }
    let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(count).fetch_one(connection).await
}
