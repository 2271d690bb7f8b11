//! What an error of the server or on the way to it means, and what helps. Never a password: neither the driver's
//! texts nor `shown` hold one.

use std::io::ErrorKind;

/// What happened at `shown` and what helps, by SQLSTATE
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(super) fn reason(shown: &str, error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::PoolTimedOut => format!(
            "no connection to {shown} became free in time: the server cannot be reached, or has too much to do"
        ),
        sqlx::Error::PoolClosed => format!("{shown} was closed: narthex is ending"),
        sqlx::Error::Io(error) if error.kind() == ErrorKind::NotFound => {
            format!("there is no socket of PostgreSQL for {shown}: {error}; name the folder of its sockets")
        }
        sqlx::Error::Io(error) if is_tls(error) => insecure(shown, error),
        sqlx::Error::Io(error) => format!(
            "{shown} cannot be reached: {error}; see that PostgreSQL runs there and may be reached from here"
        ),
        sqlx::Error::Tls(error) => insecure(shown, error),
        error => match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
            Some(code) => by_code(shown, &code, error),
            None => format!("{shown}: {error}"),
        },
    }
}

/// The secure connection's own error comes as one of input and output.
fn is_tls(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}

fn insecure(shown: &str, error: &dyn std::fmt::Display) -> String {
    format!(
        "no secure connection to {shown}: {error}; name the roots of its certificate by sslrootcert=FILE, or say \
         sslmode=disable where the way to it is yours alone"
    )
}

fn by_code(shown: &str, code: &str, error: &sqlx::Error) -> String {
    let helps = match code {
        "28P01" | "28000" => {
            "check user, password (store.password or PGPASSFILE) and the server's pg_hba.conf"
        }
        "3D000" => "make it: CREATE DATABASE, owned by narthex's user",
        "3F000" => "make it: CREATE SCHEMA, owned by narthex's user",
        "42501" => "narthex's user must own its schema, or be granted USAGE and CREATE on it",
        "42P01" | "42703" | "42883" => {
            "somebody changed narthex's tables; restore them from a backup, or begin with an empty schema"
        }
        "53300" => "raise the server's max_connections, or have fewer replicas",
        "53100" => "free some space on the server's disk",
        "57P01" | "57P02" | "57P03" => {
            "the server is ending or starting; narthex goes on when it is there again"
        }
        "25006" => "that server only reads; name the primary, or put it back in charge",
        "55P03" | "57014" => {
            "another write took too long; look for a transaction that hangs in pg_stat_activity"
        }
        "25P03" => "this replica stood still in the middle of a write, which the server undid",
        _ => return format!("{shown}: {error} ({code})"),
    };
    format!("{shown}: {error} ({code}); {helps}")
}
