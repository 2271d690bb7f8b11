//! One SQLite file and the programs that come to it: one of them serves, the others work beside it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use http::Method;
use narthex::demo::idp::Chooser;
use narthex::model::UnixTime;
use narthex::store::sqlite::Sqlite;
use narthex::store::{DocumentStore, StoreError};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use toml::Table;

use crate::replicas::Replica;
use crate::support::ports::free_port;
use crate::support::stack::{put, usual};
use crate::support::{Browser, Parties};

/// Parties, and the configuration of a narthex on a file of this folder.
struct Place {
    parties: Parties,
    config: Table,
    port: u16,
    url: String,
    folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let (parties, port, folder) =
            (Parties::at_present().await, free_port(), tempfile::tempdir().unwrap());
        let url = format!("http://localhost:{port}");
        let mut config = usual(&parties, &url);
        put(&mut config, "server.workers", 1);
        // People sign in again and again.
        put(&mut config, "session.max_per_member", 1000);
        put(&mut config, "store.url", at(&folder.path().join("narthex.db")));
        parties
            .idp
            .register(&format!("{url}/.narthex/oidc/demo/callback"), &format!("{url}/.narthex/logout"));
        parties.idp.set_chooser(Chooser::Always("ada".to_owned()));
        Self { parties, config, port, url, folder }
    }

    fn serve(&self) -> Replica {
        Replica::spawn(self.config.clone(), SocketAddr::from(([127, 0, 0, 1], self.port)))
    }

    /// The same narthex at other ports, as somebody starts it by mistake.
    fn serve_elsewhere(&self) -> Replica {
        Replica::spawn(self.config.clone(), SocketAddr::from(([127, 0, 0, 1], free_port())))
    }

    async fn sign_in(&self, browser: &Browser) {
        let page = browser.visit(&format!("{}/echo", self.url)).await;
        assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo"), "{:#?}", page.trail());
    }

    /// The status of a request in the background, with the browser's session.
    async fn status(&self, browser: &Browser) -> u16 {
        let request = browser.request(Method::GET, &format!("{}/echo", self.url)).background();
        request.send().await.status.as_u16()
    }
}

fn at(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

#[tokio::test]
async fn a_second_narthex_on_one_file_is_refused_until_the_first_is_gone_however_it_went() {
    let place = Place::new().await;
    let mut first = place.serve();
    first.is_ready().await;
    let browser = first.browser(&Browser::new());
    place.sign_in(&browser).await;

    let (code, log) = place.serve_elsewhere().ends().await;
    let file = place.folder.path().join("narthex.db").canonicalize().unwrap();
    let told = format!(
        "another narthex (process {}) has the store {} open; stop it, or take PostgreSQL for several replicas \
         (docs/postgres.md)",
        first.pid(),
        file.display()
    );
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains(&told), "{log}");

    // The first goes on, and nobody else is kept from the file: an act beside it holds in it.
    assert_eq!(place.status(&browser).await, 200);
    for beside in [
        ["session", "list"],
        ["member", "list"],
        ["audit", "verify"],
        ["check", "--store"],
        ["admin", "bootstrap"],
    ] {
        let (code, out, err) = first.program(&beside).await;
        assert!(code == 0 && !err.contains("another narthex"), "{beside:?}: {code} {out}{err}");
    }
    let (_, out, err) = first.program(&["verify-deployment"]).await;
    assert!(out.contains("it can be opened and read"), "{out}{err}");
    let (status, members) = first.ask(Method::GET, "/members?search=ada", "", &Value::Null).await;
    assert_eq!(status, 200, "{members}");

    // Killed, with nothing put in order, it holds nothing any more.
    first.kill();
    let mut second = place.serve_elsewhere();
    second.is_ready().await;
    let (code, log) = place.serve().ends().await;
    assert_eq!(code, Some(2), "{log}");
    assert_eq!(place.parties.app.users().iter().filter(|user| user.email == "ada@example.com").count(), 1);
}

/// What a backup ran beside, and how it ended.
async fn while_people_sign_in<T>(place: &Place, first: &Replica, backup: impl Future<Output = T>) -> T {
    let mut backup = std::pin::pin!(backup);
    loop {
        let somebody = first.browser(&Browser::new());
        tokio::select! {
            biased;
            done = &mut backup => return done,
            () = place.sign_in(&somebody) => {}
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn another_narthex_starts_from_a_backup_that_was_made_while_people_signed_in() {
    let mut place = Place::new().await;
    let data = place.folder.path().join("narthex.db");
    let elsewhere = tempfile::tempdir().unwrap();
    let named = |name: &str| elsewhere.path().join(name);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (file, key) = (named("backup.db"), named("backup.key"));
    let mut first = place.serve();
    first.is_ready().await;
    let browser = first.browser(&Browser::new());
    place.sign_in(&browser).await;

    // To a file: for its owner only, and what is there is left alone.
    let to_file = text(&file);
    let (code, out, err) = while_people_sign_in(&place, &first, first.program(&["backup", &to_file])).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("backup.db: 1 member, ") && out.contains(" audit entries; "), "{out}");
    assert!(out.contains(&format!("the key {}.key, without which", data.display())), "{out}");
    assert_eq!(mode(&file), 0o600);
    let before = fs::read(&file).unwrap();
    let (code, out, err) = first.program(&["backup", &to_file]).await;
    assert!(code == 2 && err.contains("is there already") && out.is_empty(), "{code} {out}{err}");
    assert_eq!(fs::read(&file).unwrap(), before);
    // Where it cannot be written, nothing is.
    let (code, _, err) = first.program(&["backup", &text(&named("absent/backup.db"))]).await;
    assert!(code == 2 && err.contains("cannot be written"), "{code} {err}");

    // To standard output, by way of a file that nobody else has put there.
    let way = place.folder.path().join("narthex.db.streaming");
    let others = named("of somebody else");
    fs::write(&others, "of somebody else").unwrap();
    symlink(&others, &way).unwrap();
    let refused = async |what: &str| {
        let (code, out, err) = first.program(&["backup", "-"]).await;
        assert!(
            code == 2 && err.contains("no backup has left it there") && out.is_empty(),
            "{what}: {code} {err}"
        );
        fs::remove_file(&way).unwrap();
    };
    refused("a link").await;
    // Two folders may be on two file systems.
    let beside = place.folder.path().join("beside");
    fs::write(&beside, "of somebody else").unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(&beside, &way).unwrap();
    refused("another name of a file").await;
    assert_eq!(fs::read_to_string(&beside).unwrap(), "of somebody else");
    fs::remove_file(&beside).unwrap();
    assert_eq!(fs::read_to_string(&others).unwrap(), "of somebody else");
    fs::remove_file(&others).unwrap();
    fs::write(&way, "readable for others").unwrap();
    fs::set_permissions(&way, fs::Permissions::from_mode(0o644)).unwrap();
    refused("what others may read").await;
    // Also after one that was killed half-way.
    fs::write(&way, "half of a backup").unwrap();
    fs::set_permissions(&way, fs::Permissions::from_mode(0o600)).unwrap();
    let output = while_people_sign_in(&place, &first, first.output(&["backup", "-"])).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("standard output: 1 member, "), "{said}");

    // The key is never in it; it comes by itself.
    let (code, out, err) = first.program(&["backup", "--key", &text(&key)]).await;
    assert!(code == 0 && out.contains("apart from the backups"), "{code} {out}{err}");
    let made = fs::read(format!("{}.key", data.display())).unwrap();
    assert_eq!((fs::read(&key).unwrap(), mode(&key)), (made.clone(), 0o600));
    assert_eq!(first.program(&["backup", "--key", &text(&key)]).await.0, 2, "it overwrites nothing");
    assert_eq!(first.output(&["backup", "--key", "-"]).await.stdout, made);

    // Nothing is left beside either; and what came later is in neither.
    let inside = |folder: &Path| {
        let mut all: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        all.sort();
        all
    };
    assert_eq!(inside(elsewhere.path()), ["backup.db", "backup.key"]);
    let own = ["narthex.db", "narthex.db-shm", "narthex.db-wal", "narthex.db.key", "narthex.db.lock"];
    assert_eq!(inside(place.folder.path()), own);
    let late = first.browser(&Browser::new());
    place.sign_in(&late).await;
    assert_eq!((place.status(&browser).await, place.status(&late).await), (200, 200));
    first.kill();

    for backup in [before, output.stdout] {
        let folder = tempfile::tempdir().unwrap();
        let restored = folder.path().join("narthex.db");
        fs::write(&restored, backup).unwrap();
        fs::copy(&key, folder.path().join("narthex.db.key")).unwrap();
        put(&mut place.config, "store.url", at(&restored));
        let mut again = place.serve();
        again.is_ready().await;
        assert_eq!((place.status(&browser).await, place.status(&late).await), (200, 401));
        let (code, out, err) = again.program(&["member", "list", "--search", "ada", "--json"]).await;
        assert!(code == 0 && out.contains("ada@example.com"), "{code} {out}{err}");
        let (code, out, err) = again.program(&["audit", "verify"]).await;
        assert!(code == 0 && out.contains("as they were written"), "{code} {out}{err}");
        again.kill();
    }
}

#[tokio::test]
async fn postgresql_has_backups_of_its_own_and_a_key_that_is_given_is_not_narthexs_to_copy() {
    let mut place = Place::new().await;
    put(&mut place.config, "store.url", "postgres://narthex@localhost:1/narthex");
    put(&mut place.config, "keys.seal", "the same key for all of the replicas");
    let never_ready = place.serve();
    let file = place.folder.path().join("backup.db");
    for (arguments, why) in [(vec!["backup"], "pg_dump"), (vec!["backup", "--key"], "what keys.seal names")] {
        let arguments: Vec<_> = arguments.into_iter().chain([file.to_str().unwrap()]).collect();
        let (code, out, err) = never_ready.program(&arguments).await;
        assert!(code == 2 && err.contains(why) && err.contains("keys.seal"), "{code} {out}{err}");
        assert!(!file.exists());
    }
}

const NOW: UnixTime = UnixTime(1_800_000_000);

async fn act_on(path: &Path, statement: &'static str) {
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_copy_has_what_lies_in_the_log_only_and_nothing_that_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("narthex.db"), folder.path().join("copy.db"));
    let store = Sqlite::open(&path).await.unwrap();
    store.put_document("jwks:corp", b"before", NOW).await.unwrap();
    // What a copy of the one file alone would be.
    let alone = folder.path().join("alone.db");
    fs::copy(&path, &alone).unwrap();
    File::create_new(&copy).unwrap();
    let copied = Sqlite::copy(&path, &copy).await.unwrap();
    assert_eq!((copied.members, copied.sessions, copied.audit_entries), (0, 0, 0));
    store.put_document("jwks:corp", b"after", NOW).await.unwrap();
    store.close().await;
    for (path, there) in [(&path, Some(&b"after"[..])), (&copy, Some(b"before")), (&alone, None)] {
        let store = Sqlite::open(path).await.unwrap();
        let found = store.find_document("jwks:corp").await.unwrap();
        assert_eq!(found.as_ref().map(|(body, _)| body.as_slice()), there, "{}", path.display());
        store.close().await;
    }
}

#[tokio::test]
async fn tables_of_another_version_are_copied_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    for (version, said) in [("18", 17), ("99", 99)] {
        let (path, copy) =
            (folder.path().join(format!("{version}.db")), folder.path().join(format!("{version}.copy")));
        Sqlite::open(&path).await.unwrap().close().await;
        let make = match version {
            "18" => "DELETE FROM _sqlx_migrations WHERE version = 18; DROP TABLE audit_entries",
            _ => "UPDATE _sqlx_migrations SET version = 99 WHERE version = 18",
        };
        act_on(&path, make).await;
        let before = fs::read(&path).unwrap();
        File::create_new(&copy).unwrap();
        assert_eq!(Sqlite::copy(&path, &copy).await.unwrap().version, said);
        assert_eq!(fs::read(&path).unwrap(), before, "nothing was brought up to date");
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_narthexs_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("narthex.db"), folder.path().join("copy.db"));
    File::create_new(&copy).unwrap();
    for (make, why) in [(None, "no such file"), (Some("CREATE TABLE notes (text TEXT)"), "another program")] {
        if let Some(make) = make {
            File::create_new(&path).unwrap();
            act_on(&path, make).await;
        }
        match Sqlite::copy(&path, &copy).await {
            Err(error @ StoreError::CannotOpen { .. }) => {
                assert!(error.to_string().contains(why), "{error}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::metadata(&copy).unwrap().len(), 0);
    }
}

#[tokio::test]
async fn a_copy_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("narthex.db"), folder.path().join("copy.db"));
    Sqlite::open(&path).await.unwrap().close().await;
    fs::copy(&path, &copy).unwrap();
    let last_week = fs::read(&copy).unwrap();
    match Sqlite::copy(&path, &copy).await {
        Err(StoreError::Unavailable { reason, .. }) => {
            assert!(reason.contains("already exists"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(&copy).unwrap(), last_week);
}
