//! PostgreSQL as people run it elsewhere: by TLS, with a password, and for nobody without.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use url::Url;

use crate::replicas::{LOOK, PATIENCE};
use crate::support::party::Party;
use crate::support::stack::put;
use crate::support::{Browser, Stack};

const PASSWORD: &str = "the-password-of-narthex";

/// A server that lets narthex in by TLS and with its password only.
struct Server {
    _party: Party,
    administrator: PgConnection,
    /// Without parameters.
    url: Url,
    certificate: String,
}

impl Server {
    async fn start() -> Self {
        let party = Party::start("postgres").await;
        let mut administrator = PgConnection::connect(party.url()).await.unwrap();
        let data: String =
            sqlx::query_scalar("SHOW data_directory").fetch_one(&mut administrator).await.unwrap();
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let access = "hostssl narthex narthex 127.0.0.1/32 scram-sha-256\n\
                      host all postgres 127.0.0.1/32 trust";
        for (name, text) in [
            ("server.crt", own.cert.pem()),
            ("server.key", own.signing_key.serialize_pem()),
            ("pg_hba.conf", access.to_owned()),
        ] {
            // By the server, whose user they have to belong to.
            let write = format!(
                "COPY (SELECT unnest(string_to_array('{text}', E'\\n'))) TO PROGRAM 'umask 077; cat >\"{data}/{name}\"'"
            );
            administrator.execute(AssertSqlSafe(write)).await.unwrap();
        }
        for statement in [
            "ALTER SYSTEM SET ssl = on".to_owned(),
            format!("CREATE ROLE narthex LOGIN PASSWORD '{PASSWORD}'"),
            "CREATE DATABASE narthex OWNER narthex".to_owned(),
            "SELECT pg_reload_conf()".to_owned(),
        ] {
            administrator.execute(AssertSqlSafe(statement)).await.unwrap();
        }
        let mut url: Url = party.url().parse().unwrap();
        url.set_username("narthex").unwrap();
        url.set_path("/narthex");
        let server = Self { _party: party, administrator, url, certificate: own.cert.pem() };
        // It takes its files up when it comes to it.
        let ready = async {
            let mut look = tokio::time::interval(LOOK);
            while PgConnection::connect(&server.by("require", PASSWORD)).await.is_err() {
                look.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.unwrap();
        server
    }

    fn by(&self, mode: &str, password: &str) -> String {
        let mut url = self.url.clone();
        url.set_password(Some(password)).unwrap();
        format!("{url}?sslmode={mode}")
    }

    fn checked_by(&self, roots: &Path) -> String {
        format!("{}?sslmode=verify-full&sslrootcert={}", self.url, roots.display())
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn the_database_is_reached_by_tls_and_with_a_password_or_not_at_all() {
    let mut server = Server::start().await;
    let folder = TempDir::new().unwrap();
    let [roots, others] = ["roots.pem", "others.pem"].map(|name| folder.path().join(name));
    std::fs::write(&roots, &server.certificate).unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&others, other.cert.pem()).unwrap();

    let stack = Stack::with(|config| {
        put(config, "store.url", server.checked_by(&roots));
        put(config, "store.password", PASSWORD);
        put(config, "keys.seal", "a-key-for-this-test-and-no-other");
    })
    .await;
    let browser = Browser::new();
    stack.sign_in(&browser, "ada").await;
    let open = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl \
                JOIN pg_stat_activity USING (pid) WHERE usename = 'narthex'";
    let (by_tls, without): (i64, i64) =
        sqlx::query_as(open).fetch_one(&mut server.administrator).await.unwrap();
    assert!(by_tls > 0 && without == 0, "{by_tls} by TLS, {without} without");
    let members: i64 = {
        let mut connection = PgConnection::connect(&server.by("require", PASSWORD)).await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM members").fetch_one(&mut connection).await.unwrap()
    };
    assert_eq!(members, 1);

    // The same, with one thing that is not so.
    let written = std::fs::read_to_string(stack.beside("proxy.toml")).unwrap();
    let with = |was: &str, is: &str| {
        assert!(written.contains(was), "{was}");
        written.replace(was, is)
    };
    let good = server.checked_by(&roots);
    let cases = [
        (with(PASSWORD, "another"), "check user, password (store.password or PGPASSFILE)"),
        (with(&good, &server.checked_by(&others)), "name the roots of its certificate by sslrootcert=FILE"),
        (
            with(&good, &good.replace("127.0.0.1", "localhost")),
            "no secure connection to postgres://narthex@localhost",
        ),
        (with(&good, &format!("{}?sslmode=disable", server.url)), "pg_hba.conf"),
    ];
    for (configuration, expected) in cases {
        stack.file("proxy.toml", &configuration);
        let (code, out, err) = stack.program_meanwhile(&["check", "--store"]).await;
        assert!(code != 0 && err.contains(expected), "{expected}: {code} {out} {err}");
        assert!(!format!("{out}{err}").contains("another"), "{out} {err}");
    }
    stack.file("proxy.toml", &written);
    let (code, out, err) = stack.program_meanwhile(&["check", "--store"]).await;
    assert_eq!(code, 0, "{out} {err}");
}
