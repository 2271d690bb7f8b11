//! A server for all tests that want one, and a schema of its own for each.

#[path = "../../../tests/it/support/party.rs"]
mod party;
#[path = "../../../tests/it/support/ports.rs"]
mod ports;

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

use self::party::Party;
use super::{Location, Postgres};
use crate::model::Secret;

static SERVER: OnceCell<Party> = OnceCell::const_new();
static SCHEMAS: AtomicU32 = AtomicU32::new(1);

/// What `party` asks of its crate.
fn crypto_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The server's URL.
pub(super) async fn server() -> &'static str {
    SERVER.get_or_init(|| Party::start("postgres")).await.url()
}

/// As the server's administrator.
pub(super) async fn administrator() -> PgConnection {
    PgConnection::connect(server().await).await.unwrap()
}

/// Where a fresh, empty schema is.
pub(super) async fn location() -> Location {
    let name = format!("fresh_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
    let mut administrator = administrator().await;
    administrator.execute(AssertSqlSafe(format!("CREATE SCHEMA {name}"))).await.unwrap();
    administrator.close().await.unwrap();
    at(&format!("{}?options=-csearch_path%3D{name}", server().await))
}

pub(super) fn at(url: &str) -> Location {
    Location { url: Secret::new(url), password: None, connections: 8, roots: Vec::new() }
}

/// A fresh store.
pub(crate) async fn open() -> Postgres {
    Postgres::open(&location().await).await.unwrap()
}
