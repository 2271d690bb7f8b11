//! What only a store in a file can do wrong: restarts, full disks, files that are not ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::{Lasting, Sqlite};
use crate::model::session::SessionContent;
use crate::model::{
    BrowserHash, Claims, Grant, LoginAttempt, Member, ReturnTo, Secret, SessionHash, SessionRecord,
    StateHash, Subject, UnixTime,
};
use crate::store::{
    CreationIntent, CreationLease, DocumentStore, Intended, KeyStore, LoginStore, MemberStore, SessionStore,
    StoreError, StoredKey, TakenLogin,
};

const NOW: UnixTime = UnixTime(1_800_000_000);
const LATER: UnixTime = UnixTime(1_800_000_900);

fn subject(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

fn attempt() -> LoginAttempt {
    LoginAttempt {
        state: StateHash([1; 32]),
        browser: BrowserHash([2; 32]),
        idp: "corp".parse().unwrap(),
        nonce: "nonce".to_owned(),
        pkce_verifier: Secret::new("verifier"),
        return_to: ReturnTo::root(),
        begun_at: NOW,
        expires_at: LATER,
    }
}

fn session(number: u16, claim: &str) -> SessionRecord {
    let mut hash = [0; 32];
    hash[..2].copy_from_slice(&number.to_be_bytes());
    let claims = serde_json::json!({ "sub": "ada", "long": claim });
    SessionRecord {
        hash: SessionHash(hash),
        content: SessionContent {
            idp: "corp".parse().unwrap(),
            subject: subject("ada"),
            logout_name: "ada".to_owned(),
            idp_session: None,
            account: None,
            claims: Claims::new(claims.as_object().unwrap().clone()).unwrap(),
            grant: Grant::default(),
            logout_hint: None,
        },
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: LATER,
    }
}

fn member() -> Member {
    Member {
        identities: vec![("corp".parse().unwrap(), subject("ada"))],
        username: "ada".to_owned(),
        ..Member::for_tests(3, NOW)
    }
}

fn key() -> StoredKey {
    StoredKey {
        id: "kid".to_owned(),
        purpose: "upstream_token".to_owned(),
        sealed: vec![0, 0xff],
        published_at: NOW,
        active_at: NOW,
        retired_at: LATER,
    }
}

async fn refused(path: &Path) -> String {
    match Sqlite::open(path).await {
        Err(error @ StoreError::CannotOpen { .. }) => {
            let text = error.to_string();
            assert!(text.contains(&path.display().to_string()), "it names the file: {text}");
            text
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart_intents_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("narthex.db");
    let store = Sqlite::open(&path).await.unwrap();
    store.put_login(&attempt()).await.unwrap();
    store.park(&StateHash([9; 32]), b"parked", LATER).await.unwrap();
    store.insert_session(&session(1, "x"), 20).await.unwrap();
    store.touch_sessions(&[(session(1, "x").hash, LATER)]).await.unwrap();
    let (idp, _) = &member().identities[0];
    store.begin_creation(idp, &subject("ada"), 1, NOW, LATER).await.unwrap();
    store.finish_creation(&member(), 1, None).await.unwrap().unwrap();
    store.begin_creation(idp, &subject("bob"), 1, NOW, LATER).await.unwrap();
    let at = UnixTime(1_800_000_000);
    let intent =
        CreationIntent { username: "bob".to_owned(), email: None, intended_at: at, clean_up_at: None };
    assert!(store.intend_creation(idp, &subject("bob"), 1, &intent).await.unwrap());
    assert!(store.add_key(&key(), None).await.unwrap());
    store.put_document("jwks:corp", b"{}", NOW).await.unwrap();
    store.close().await;

    let store = Sqlite::open(&path).await.unwrap();
    let taken = store.take_login(&attempt().state, Some(&attempt().browser), NOW).await.unwrap();
    assert!(matches!(taken, TakenLogin::Fresh(_)), "{taken:?}");
    assert_eq!(
        store.take_parked(&StateHash([9; 32]), NOW).await.unwrap().as_deref(),
        Some(b"parked".as_slice())
    );
    let found = store.find_session(&session(1, "x").hash).await.unwrap();
    assert_eq!(found, Some(SessionRecord { last_seen_at: LATER, ..session(1, "x") }));
    assert_eq!(store.find_member(idp, &subject("ada")).await.unwrap(), Some(member()));
    let busy = store.begin_creation(idp, &subject("bob"), 2, NOW, LATER).await.unwrap();
    assert_eq!(busy, CreationLease::Busy { until: LATER });
    let lease = store.begin_creation(idp, &subject("bob"), 2, LATER, LATER).await.unwrap();
    assert_eq!(
        lease,
        CreationLease::Acquired { earlier_intent: Some(Intended { username: "bob".to_owned(), at }) }
    );
    assert_eq!(store.list_keys("upstream_token").await.unwrap(), [key()]);
    assert_eq!(store.find_document("jwks:corp").await.unwrap(), Some((b"{}".to_vec(), NOW)));
}

#[tokio::test]
async fn what_was_committed_is_there_although_the_file_was_never_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("narthex.db")).await.unwrap();
    store.insert_session(&session(1, "x"), 20).await.unwrap();
    // What a killed process leaves behind: the file and its log as they are.
    let copy = tempfile::tempdir().unwrap();
    for name in ["narthex.db", "narthex.db-wal"] {
        fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let survivor = Sqlite::open(&copy.path().join("narthex.db")).await.unwrap();
    assert_eq!(survivor.find_session(&session(1, "x").hash).await.unwrap(), Some(session(1, "x")));
}

#[tokio::test]
async fn an_act_that_is_dropped_half_way_leaves_nothing_and_the_next_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("narthex.db")).await.unwrap();
    // Where an act stands after so many polls differs from run to run; what holds at every place does not.
    for number in 0..60 {
        let dropped = session(number, "x");
        let mut insert = store.insert_session(&dropped, 10_000);
        let mut polls = number % 6 + 1;
        let finished = std::future::poll_fn(|context| {
            polls -= 1;
            match insert.as_mut().poll(context) {
                std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
                std::task::Poll::Pending if polls == 0 => std::task::Poll::Ready(None),
                std::task::Poll::Pending => std::task::Poll::Pending,
            }
        })
        .await;
        drop(insert);
        // The next write's turn comes only when the dropped one has been undone, or its commit, already on
        // its way, has come through; then it is there whole.
        store.insert_session(&session(1000 + number, "x"), 10_000).await.unwrap();
        match (finished, store.find_session(&dropped.hash).await.unwrap()) {
            (Some(done), found) => assert_eq!((done.unwrap(), found), (Vec::new(), Some(dropped))),
            (None, Some(found)) => assert_eq!(found, dropped),
            (None, None) => {}
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_named_leaves_nothing_half_written_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("narthex.db");
    Sqlite::open(&path).await.unwrap().close().await;
    // SQLite's own limit gives the very error that a full disk gives.
    let store = Sqlite::open_with(&path, |options| options.pragma("max_page_count", "60")).await.unwrap();
    let claim = "x".repeat(2000);
    let mut kept = 0;
    let error = loop {
        match store.insert_session(&session(kept, &claim), 10_000).await {
            Ok(ended) => assert_eq!(ended, []),
            Err(error) => break error,
        }
        kept += 1;
        assert!(kept < 1000, "the limit does not hold");
    };
    assert!(matches!(error, StoreError::Unavailable { act: "insert_session", .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("full") && text.contains("free some space"), "{text}");
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert!(!text.contains("xxx"), "nothing of what was to be written: {text}");
    assert_eq!(store.find_session(&session(kept, &claim).hash).await.unwrap(), None);

    // A member is several rows; none of them stays.
    let (idp, _) = &member().identities[0];
    store.begin_creation(idp, &subject("ada"), 1, NOW, LATER).await.unwrap();
    let large = Member { username: "u".repeat(100_000), ..member() };
    let error = store.finish_creation(&large, 1, None).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { act: "finish_creation", .. }), "{error:?}");
    assert_eq!(store.find_member(idp, &subject("ada")).await.unwrap(), None);
    assert_eq!(store.find_member_by_account(large.account.as_ref().unwrap()).await.unwrap(), None);
    let renewed = store.begin_creation(idp, &subject("ada"), 1, NOW, LATER).await.unwrap();
    assert_eq!(renewed, CreationLease::Acquired { earlier_intent: None });

    // Reading goes on, ending makes room, and then writing goes on without a restart.
    for number in 0..kept {
        assert!(store.find_session(&session(number, &claim).hash).await.unwrap().is_some(), "{number}");
        assert!(store.end_session(&session(number, &claim).hash).await.unwrap());
    }
    store.finish_creation(&member(), 1, None).await.unwrap().unwrap();
    store.insert_session(&session(0, &claim), 20).await.unwrap();
    assert_eq!(store.find_session(&session(0, &claim).hash).await.unwrap(), Some(session(0, &claim)));
}

/// Unmounts at the end, however it comes.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = as_root("mount")
            .args(["-t", "tmpfs", "-o", &format!("{size},mode=777"), "tmpfs"])
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(
            mounted.success(),
            "this test mounts a small disk, which needs root or sudo without a password"
        );
        Self(folder)
    }
}

fn as_root(program: &str) -> std::process::Command {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        return std::process::Command::new(program);
    }
    let mut command = std::process::Command::new("sudo");
    command.args(["-n", program]);
    command
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root("umount").arg("--lazy").arg(self.0.path()).status().unwrap();
    }
}

#[tokio::test]
#[ignore = "mounts a file system of 2 MB, which needs root"]
async fn a_disk_that_is_really_full_loses_nothing_and_once_it_has_room_writing_goes_on() {
    let disk = SmallDisk::mount("size=2m");
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![0; 1_000_000]).unwrap();
    let path = disk.0.path().join("narthex.db");
    let store = Sqlite::open(&path).await.unwrap();
    let claim = "x".repeat(2000);
    let mut kept = 0;
    let error = loop {
        match store.insert_session(&session(kept, &claim), 10_000).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 2000, "the disk does not fill");
    };
    let text = error.to_string();
    assert!(matches!(error, StoreError::Unavailable { act: "insert_session", .. }), "{text}");
    assert!(text.contains("is full") && text.contains("free some space"), "{text}");
    let (idp, _) = &member().identities[0];
    // What is smaller than a session may still fit, for a while.
    let mut refused = None;
    for number in 0..10_000 {
        let begun = store.begin_creation(idp, &subject(&format!("ada {number}")), 1, NOW, LATER).await;
        refused = begun.err();
        if refused.is_some() {
            break;
        }
    }
    assert!(matches!(refused, Some(StoreError::Unavailable { act: "begin_creation", .. })), "{refused:?}");
    for number in 0..kept {
        assert!(store.find_session(&session(number, &claim).hash).await.unwrap().is_some(), "{number}");
    }

    fs::remove_file(ballast).unwrap();
    store.insert_session(&session(kept, &claim), 10_000).await.unwrap();
    store.close().await;
    let store = Sqlite::open(&path).await.unwrap();
    for number in 0..=kept {
        assert!(store.find_session(&session(number, &claim).hash).await.unwrap().is_some(), "{number}");
    }
    store.close().await;
}

#[tokio::test]
#[ignore = "mounts a file system of 16 kB, which needs root"]
async fn a_disk_without_room_for_the_tables_is_refused() {
    let disk = SmallDisk::mount("size=16k");
    let text = refused(&disk.0.path().join("narthex.db")).await;
    assert!(text.contains("free some space") || text.contains("its disk, which is full"), "{text}");
}

#[tokio::test]
async fn the_file_and_its_log_are_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("narthex.db")).await.unwrap();
    store.put_login(&attempt()).await.unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        seen += 1;
    }
    assert_eq!(seen, 4, "the file, its log, the log's index and the lock");
}

#[tokio::test]
async fn what_is_taken_does_not_stay_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("narthex.db");
    let store = Sqlite::open(&path).await.unwrap();
    store.put_login(&attempt()).await.unwrap();
    store.take_login(&attempt().state, Some(&attempt().browser), NOW).await.unwrap();
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT nonce, pkce_verifier FROM logins").fetch_all(&store.readers).await.unwrap();
    assert_eq!(rows, [(String::new(), String::new())]);
}

#[tokio::test]
async fn a_folder_instead_of_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = refused(folder.path()).await;
    assert!(text.contains("it is a folder; name a file in it"), "{text}");
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = refused(&folder.path().join("missing").join("narthex.db")).await;
    assert!(
        text.contains(&format!("there is no folder {}/missing; make it", folder.path().display())),
        "{text}"
    );
}

#[tokio::test]
async fn a_file_in_the_folders_place_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let text = refused(&folder.path().join("file").join("narthex.db")).await;
    assert!(text.contains(&format!("there is no folder {}/file", folder.path().display())), "{text}");
}

#[tokio::test]
async fn a_path_that_nobody_may_write_to_is_refused() {
    // A place where even root cannot make a file.
    let text = refused(Path::new("/sys/kernel/narthex.db")).await;
    assert!(text.contains("be able to write") || text.contains("can be written to"), "{text}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("narthex.db");
    let content = "this is a letter, not a database\n".repeat(100);
    fs::write(&path, &content).unwrap();
    let text = refused(&path).await;
    assert!(text.contains("is no SQLite file; name another one, or move it away"), "{text}");
    assert_eq!(fs::read_to_string(&path).unwrap(), content);
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    let other = sqlx::SqlitePool::connect_with(
        sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true),
    )
    .await
    .unwrap();
    sqlx::query("CREATE TABLE letters (text TEXT)").execute(&other).await.unwrap();
    other.close().await;
    let text = refused(&path).await;
    assert!(text.contains("the database of another program"), "{text}");
    let other = sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(&path))
        .await
        .unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master").fetch_all(&other).await.unwrap();
    assert_eq!(tables, ["letters"]);
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("narthex.db");
    let store = Sqlite::open(&path).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (77, 'of tomorrow', TRUE, $1, 1)",
    )
    .bind([0_u8].as_slice())
    .execute(&store.writer)
    .await
    .unwrap();
    store.close().await;
    let text = refused(&path).await;
    let known = super::open::known();
    assert!(
        text.contains(&format!("version 77, this narthex knows them up to {known}: a newer narthex")),
        "{text}"
    );
}

#[tokio::test]
async fn a_row_that_this_version_cannot_read_is_named_without_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("narthex.db")).await.unwrap();
    store.insert_session(&session(1, "secret claim"), 20).await.unwrap();
    sqlx::query("UPDATE sessions SET content = '{\"secret claim\":1}'").execute(&store.writer).await.unwrap();
    let error = store.find_session(&session(1, "x").hash).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreadable { what: "session", .. }), "{error:?}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("narthex.db")).await.unwrap();
    store.close().await;
    let error = store.find_session(&session(1, "x").hash).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { act: "find_session", .. }), "{error:?}");
    assert!(error.to_string().contains("was closed"), "{error}");
    let error = store.sweep_sessions(NOW, Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { act: "sweep_sessions", .. }), "{error:?}");
}

#[tokio::test]
async fn a_write_lasts_as_long_as_its_act_says_and_the_file_is_set_up_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("narthex.db")).await.unwrap();
    // https://sqlite.org/pragma.html#pragma_synchronous: 1 is NORMAL, 2 is FULL.
    for (lasting, level) in [(Lasting::PowerCut, 2), (Lasting::Crash, 1), (Lasting::PowerCut, 2)] {
        let mut tx = store.write("test", lasting).await.unwrap();
        let found: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(found, level, "{lasting:?}");
    }
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&store.writer).await.unwrap();
    assert_eq!(mode, "wal");
    let linked: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&store.writer).await.unwrap();
    assert_eq!(linked, 1);
    let refused = sqlx::query("DELETE FROM members").execute(&store.readers).await.unwrap_err();
    assert!(refused.to_string().contains("readonly"), "readers only read: {refused}");
}

#[tokio::test]
async fn a_dropped_write_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("narthex.db")).await.unwrap();
    let mut tx = store.write("test", Lasting::Crash).await.unwrap();
    sqlx::query("INSERT INTO documents (name, body, fetched_at) VALUES ('a', x'00', 1)")
        .execute(&mut *tx)
        .await
        .unwrap();
    drop(tx);
    store.put_document("b", b"", NOW).await.unwrap();
    assert_eq!(store.find_document("a").await.unwrap(), None);
    assert!(store.find_document("b").await.unwrap().is_some());
}

#[tokio::test]
async fn a_sweep_does_not_read_the_sessions_that_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("narthex.db")).await.unwrap();
    let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(
        "EXPLAIN QUERY PLAN DELETE FROM sessions WHERE expires_at <= 1 OR last_seen_at < 1 RETURNING hash",
    )
    .fetch_all(&store.readers)
    .await
    .unwrap();
    assert!(!plan.is_empty() && plan.iter().all(|row| !row.3.starts_with("SCAN")), "{plan:?}");
}

#[tokio::test]
async fn a_session_is_found_by_one_look_up_in_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("narthex.db")).await.unwrap();
    for (query, index) in [
        ("EXPLAIN QUERY PLAN SELECT content FROM sessions WHERE hash = x''", "(hash=?)"),
        (
            "EXPLAIN QUERY PLAN SELECT hash FROM sessions WHERE idp = '' AND logout_name = ''",
            "(idp=? AND logout_name=?)",
        ),
        (
            "EXPLAIN QUERY PLAN SELECT COUNT(*) FROM sessions WHERE idp = '' AND subject = '' AND member IS NULL",
            "(idp=? AND subject=?)",
        ),
        ("EXPLAIN QUERY PLAN DELETE FROM sessions WHERE last_seen_at < 1", "(last_seen_at<?)"),
        ("EXPLAIN QUERY PLAN SELECT * FROM logins WHERE state = x''", "(state=?)"),
    ] {
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(query).fetch_all(&store.readers).await.unwrap();
        assert!(plan[0].3.starts_with("SEARCH") && plan[0].3.contains(index), "{plan:?}");
    }
}

#[tokio::test]
async fn invariant_9_who_has_nothing_to_take_waits_for_no_writer() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("narthex.db")).await.unwrap();
    let (browser, mine) = (attempt().browser, StateHash([1; 32]));
    store.put_login(&attempt()).await.unwrap();
    assert!(matches!(store.take_login(&mine, Some(&browser), NOW).await, Ok(TakenLogin::Fresh(_))));
    store.park(&StateHash([9; 32]), b"parked", NOW).await.unwrap();
    assert!(store.first_use(&[7; 32], LATER).await.unwrap());

    // Somebody writes all the while.
    let held = store.write("test", Lasting::Crash).await.unwrap();
    let take = async |state, browser| store.take_login(&StateHash([state; 32]), browser, NOW).await;
    assert!(matches!(take(8, Some(&browser)).await, Ok(TakenLogin::Unknown)));
    assert!(matches!(take(1, Some(&browser)).await, Ok(TakenLogin::Used(_))));
    assert!(matches!(take(1, None).await, Ok(TakenLogin::Foreign(_))));
    assert_eq!(store.take_parked(&StateHash([8; 32]), NOW).await.unwrap(), None);
    assert_eq!(store.take_parked(&StateHash([9; 32]), NOW).await.unwrap(), None, "too late");
    assert!(!store.first_use(&[7; 32], LATER).await.unwrap());
    drop(held);
}

/// As `narthex session revoke` does beside a running narthex, or somebody with `sqlite3`.
#[tokio::test]
async fn what_another_process_ends_is_among_the_changes() {
    use crate::store::feed::{FeedStore, session_key};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("narthex.db");
    let (ours, theirs) = (Sqlite::open(&path).await.unwrap(), Sqlite::open(&path).await.unwrap());
    ours.insert_session(&session(1, "x"), 20).await.unwrap();
    ours.insert_session(&session(2, "x"), 20).await.unwrap();
    theirs.end_session(&session(1, "x").hash).await.unwrap();
    sqlx::query("DELETE FROM sessions").execute(&theirs.writer).await.unwrap();
    let keys: Vec<String> =
        ours.changes_from(1).await.unwrap().into_iter().map(|change| change.key).collect();
    assert_eq!(keys, [session_key(&session(1, "x").hash), session_key(&session(2, "x").hash)]);
}
