//! The store in one SQLite file: the default, for one replica.
//!
//! One connection writes, a few read beside it (write-ahead log). Two sorts of writes:
//!
//! * `PowerCut`: on the disk before the method returns. What must not come undone: a session that
//!   was ended (a logout that a power cut takes back would be a hole), members and the intent to create one,
//!   made or taken back (PROVISIONING.md F9), keys, the audit log.
//! * `Crash`: outlives the process at once and a power cut some moments later, in order. Logins in
//!   flight, new sessions, activity, documents: losing the last of them means signing in again.
//!
//! The write-ahead log needs a local file system. SQL texts keep to what PostgreSQL takes as well; what the
//! two do not share (types, `STRICT`, pragmas) stands in the migrations, here and in `open.rs`; the acts
//! themselves stand in `store/sql/`.

mod alone;
mod backup;
mod dialect;
mod open;
#[cfg(test)]
mod tests;

// The acts. Their text is the same for every SQL database; `super` is what differs.
#[path = "../sql/audit.rs"]
mod audit;
#[path = "../sql/cases.rs"]
mod cases;
#[path = "../sql/console.rs"]
mod console;
#[path = "../sql/feed.rs"]
mod feed;
#[path = "../sql/invites.rs"]
mod invites;
#[path = "../sql/jobs.rs"]
mod jobs;
#[path = "../sql/keys.rs"]
mod keys;
#[path = "../sql/logins.rs"]
mod logins;
#[path = "../sql/members.rs"]
mod members;
#[path = "../sql/members_list.rs"]
mod members_list;
#[path = "../sql/outbox.rs"]
mod outbox;
#[path = "../sql/rehearsals.rs"]
mod rehearsals;
#[path = "../sql/scim.rs"]
mod scim;
#[path = "../sql/sessions.rs"]
mod sessions;
#[path = "../sql/sessions_list.rs"]
mod sessions_list;
#[path = "../sql/settings.rs"]
mod settings;
#[path = "../sql/standing.rs"]
mod standing;

use std::path::PathBuf;

use sqlx::SqlSafeStr;
use sqlx::sqlite::{Sqlite as Driver, SqlitePool};

pub use self::alone::{Alone, beside};
pub use self::backup::Copied;
use super::StoreError;
use super::columns::{hash, sql};
use crate::model::login::MAX_IN_FLIGHT;

/// An opened SQLite file. Cheap to clone; [`Sqlite::close`] it at the end.
#[derive(Clone, Debug)]
pub struct Sqlite {
    path: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
    max_in_flight: usize,
}

/// The store, as the acts call it.
type Database = Sqlite;
type Transaction = sqlx::Transaction<'static, Driver>;
/// A row whose columns are read by name.
type Record = sqlx::sqlite::SqliteRow;

/// What a committed write outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    /// The end of the process, however sudden.
    Crash,
    /// The end of the machine, too.
    PowerCut,
}

impl Sqlite {
    /// With another limit than [`MAX_IN_FLIGHT`].
    #[cfg(test)]
    pub(super) fn with_max_in_flight(self, max_in_flight: usize) -> Self {
        Self { max_in_flight, ..self }
    }

    /// Writes what is left in the log into the file and closes it. What comes after is
    /// [`StoreError::Unavailable`].
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Begins a write; dropping it undoes it. Write transactions wait for one another here, not at a later
    /// statement where SQLite could only fail them.
    async fn write(&self, act: &'static str, lasting: Lasting) -> Result<Transaction, StoreError> {
        let begin = match lasting {
            Lasting::Crash => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
            Lasting::PowerCut => "PRAGMA synchronous = FULL; BEGIN IMMEDIATE",
        };
        self.writer.begin_with(begin.into_sql_str()).await.map_err(|error| self.failed(act, &error))
    }

    async fn commit(&self, act: &'static str, transaction: Transaction) -> Result<(), StoreError> {
        transaction.commit().await.map_err(|error| self.failed(act, &error))
    }

    /// For `map_err` after one statement of `act`.
    fn fails(&self, act: &'static str) -> impl Fn(sqlx::Error) -> StoreError + '_ {
        move |error| self.failed(act, &error)
    }

    fn failed(&self, act: &'static str, error: &sqlx::Error) -> StoreError {
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                StoreError::Unreadable { what: act, reason: error.to_string() }
            }
            error => StoreError::Unavailable { act, reason: self.reason(error) },
        }
    }

    /// What happened and what helps, by SQLite's primary result code (<https://sqlite.org/rescode.html>).
    fn reason(&self, error: &sqlx::Error) -> String {
        let path = self.path.display();
        match error {
            sqlx::Error::PoolTimedOut => {
                format!("no connection to {path} became free in time: the disk is too slow for this load")
            }
            sqlx::Error::PoolClosed => format!("{path} was closed: narthex is ending"),
            error => match primary_code(error) {
                Some(5 | 6) => format!("{path} is locked by another process: {error}"),
                Some(8) => {
                    format!("{path} cannot be written to: {error}; make the file and its folder writable")
                }
                Some(10) => format!(
                    "reading or writing {path} failed: {error}; look at its disk, which is full or failing"
                ),
                Some(11 | 26) => format!("{path} is damaged: {error}; restore it from a backup"),
                Some(13) => format!("the disk that holds {path} is full: {error}; free some space"),
                Some(_) | None => format!("{path}: {error}"),
            },
        }
    }
}

/// SQLite's result code without what its extended form adds.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
