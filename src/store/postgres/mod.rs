//! The store in PostgreSQL: for several replicas.
//!
//! The acts' texts are those of SQLite (`store/sql/`). What is different stands here: who writes beside whom
//! (`turns.rs`), a few statements (`dialect.rs`), opening (`open.rs`), what the server's errors mean (`reason.rs`).
//! Two sorts of writes, as in SQLite:
//!
//! * `PowerCut`: in the server's log on disk before the method returns; what the server's administrator asks for
//!   beyond that (a standby that confirms) holds.
//! * `Crash`: outlives this process at once, and a crash of the server some moments later, in order
//!   (`synchronous_commit = off`).

mod dialect;
mod listen;
mod open;
mod reason;
#[cfg(test)]
pub(super) mod scratch;
#[cfg(test)]
mod tests;
mod turns;

// The acts. Their text is the same for every SQL database; `super` is what differs.
#[path = "../sql/audit.rs"]
mod audit;
#[path = "../sql/cases.rs"]
mod cases;
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

use sqlx::SqlSafeStr;
use sqlx::postgres::{PgPool, Postgres as Driver};

pub use self::open::Location;
use super::StoreError;
use super::columns::{hash, sql};
use crate::model::login::MAX_IN_FLIGHT;

/// An opened database. Cheap to clone; [`Postgres::close`] it at the end.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// Where it is, without the password.
    shown: String,
    /// Reads are of one moment each (REPEATABLE READ); writes say otherwise.
    readers: PgPool,
    max_in_flight: usize,
    hints: listen::Hints,
}

/// The store, as the acts call it.
type Database = Postgres;
type Transaction = sqlx::Transaction<'static, Driver>;
/// A row whose columns are read by name.
type Record = sqlx::postgres::PgRow;

/// What a committed write outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    /// The end of this process, however sudden.
    Crash,
    /// The end of the server's machine, too.
    PowerCut,
}

impl Postgres {
    fn new(shown: String, pool: PgPool) -> Self {
        Self { shown, readers: pool, max_in_flight: MAX_IN_FLIGHT, hints: listen::Hints::default() }
    }

    /// With another limit than [`MAX_IN_FLIGHT`].
    #[cfg(test)]
    pub(super) fn with_max_in_flight(self, max_in_flight: usize) -> Self {
        Self { max_in_flight, ..self }
    }

    /// Lets acts in flight end and closes the connections. What comes after is [`StoreError::Unavailable`].
    pub async fn close(&self) {
        self.readers.close().await;
    }

    /// Begins a write and waits for the act's turn; dropping it undoes it.
    async fn write(&self, act: &'static str, lasting: Lasting) -> Result<Transaction, StoreError> {
        let durability = match lasting {
            Lasting::Crash => "SET LOCAL synchronous_commit = off",
            // Not lowered where the administrator asks for more.
            Lasting::PowerCut => {
                "SELECT set_config('synchronous_commit', 'on', true) \
                 WHERE current_setting('synchronous_commit') = 'off'"
            }
        };
        let turn = turns::statements(turns::turn(act));
        let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {durability}; {turn}");
        let begin = sqlx::AssertSqlSafe(begin).into_sql_str();
        self.readers.begin_with(begin).await.map_err(|error| self.failed(act, &error))
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
            error => StoreError::Unavailable { act, reason: reason::reason(&self.shown, error) },
        }
    }
}
