//! What only a store on a server can do wrong: several replicas at once, a server that goes away, databases that are
//! not ours.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor};

use super::scratch::{administrator, at, location, open, server};
use super::{Lasting, Location, Postgres};
use crate::model::session::{SessionAccount, SessionContent};
use crate::model::{
    AccountId, AccountProfile, BrowserHash, Claims, Grant, IdpId, LoginAttempt, Member, MemberId, ReturnTo,
    Secret, SessionHash, SessionRecord, StateHash, Subject, UnixTime,
};
use crate::platform::Tasks;
use crate::store::{DocumentStore, LoginStore, MemberStore, SessionStore, StoreError};

const NOW: UnixTime = UnixTime(1_800_000_000);

fn idp() -> IdpId {
    "corp".parse().unwrap()
}

fn session(number: u8, member: u8) -> SessionRecord {
    SessionRecord {
        hash: SessionHash([number; 32]),
        content: SessionContent {
            idp: idp(),
            subject: Subject::parse("ada").unwrap(),
            logout_name: "ada".to_owned(),
            idp_session: None,
            account: Some(SessionAccount {
                member: MemberId(uuid::Uuid::from_bytes([member; 16])),
                id: AccountId(format!("account {member}")),
                profile: AccountProfile::default(),
            }),
            claims: Claims::default(),
            grant: Grant::default(),
            logout_hint: None,
        },
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: NOW.after(Duration::from_hours(1)),
    }
}

/// Those who have sessions here.
async fn members(store: &Postgres, numbers: std::ops::Range<u8>) {
    for number in numbers {
        let subject = Subject::parse(&format!("person {number}")).unwrap();
        let member = Member { identities: vec![(idp(), subject.clone())], ..Member::for_tests(number, NOW) };
        store.begin_creation(&idp(), &subject, 1, NOW, NOW.after(Duration::from_mins(1))).await.unwrap();
        store.finish_creation(&member, 1, None).await.unwrap().unwrap();
    }
}

fn attempt(number: u8, browser: u8) -> LoginAttempt {
    LoginAttempt {
        state: StateHash([number; 32]),
        browser: BrowserHash([browser; 32]),
        idp: idp(),
        nonce: "nonce".to_owned(),
        pkce_verifier: Secret::new("verifier"),
        return_to: ReturnTo::root(),
        begun_at: NOW,
        expires_at: NOW.after(Duration::from_mins(5)),
    }
}

/// Why this place cannot be opened.
async fn refused(location: &Location) -> String {
    match Postgres::open(location).await {
        Err(error @ StoreError::CannotOpen { .. }) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

/// Two replicas on one fresh schema.
async fn two() -> [Postgres; 2] {
    let location = location().await;
    [Postgres::open(&location).await.unwrap(), Postgres::open(&location).await.unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "real parties: tests/run"]
async fn of_many_replicas_that_start_at_once_one_makes_the_tables() {
    let location = location().await;
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    let starting: Vec<_> = (0..8)
        .map(|_| {
            let location = Location { connections: 2, ..location.clone() };
            tasks.spawn(async move { Postgres::open(&location).await })
        })
        .collect();
    let mut opened = Vec::new();
    for one in starting {
        opened.push(one.await.unwrap().unwrap());
    }
    members(&opened[0], 0..8).await;
    for (number, store) in (0..).zip(&opened) {
        store.insert_session(&session(number, number), 20).await.unwrap();
    }
    assert!(opened[0].find_session(&SessionHash([7; 32])).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "real parties: tests/run"]
async fn two_replicas_keep_a_members_limit_together() {
    let stores = two().await;
    members(&stores[0], 1..2).await;
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    let running: Vec<_> = (0..60)
        .map(|number| {
            let store = stores[usize::from(number) % 2].clone();
            tasks.spawn(async move { store.insert_session(&session(number, 1), 5).await })
        })
        .collect();
    let mut ended = Vec::new();
    for one in running {
        ended.extend(one.await.unwrap().unwrap());
    }
    let before = ended.len();
    ended.sort_by_key(|hash| hash.0);
    ended.dedup();
    assert_eq!((before, ended.len()), (55, 55), "each ended once");
}

/// Acts that meet at the same rows, on two replicas at once: none fails, so none was part of a deadlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "real parties: tests/run"]
async fn acts_that_meet_at_the_same_rows_never_block_each_other_for_good() {
    let stores = two().await.map(|store| Arc::new(store.with_max_in_flight(10)));
    members(&stores[0], 0..2).await;
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    let running: Vec<_> = (0..600_u16)
        .map(|number| {
            let store = Arc::clone(&stores[usize::from(number / 10 % 2)]);
            let small = u8::try_from(number % 11).unwrap();
            let other = u8::try_from(number % 7).unwrap();
            tasks.spawn(async move {
                let hash = SessionHash([small; 32]);
                let mut all: Vec<_> = (0..11).map(|one| (SessionHash([one; 32]), NOW)).collect();
                all.rotate_left(usize::from(small));
                let later = |(hash, at): (SessionHash, UnixTime)| {
                    (hash, at.after(Duration::from_secs(number.into())))
                };
                match number % 10 {
                    0 => store.touch_sessions(&all.into_iter().map(later).collect::<Vec<_>>()).await,
                    1 => store.end_session(&hash).await.map(drop),
                    2 => store.end_sessions_of(&idp(), "ada", &[]).await.map(drop),
                    3 => store
                        .sweep_sessions(NOW.after(Duration::from_secs(10)), Duration::ZERO)
                        .await
                        .map(drop),
                    4 => store.sweep_logins(NOW.after(Duration::from_mins(6))).await.map(drop),
                    5 | 6 => match store.put_login(&attempt(small, other)).await {
                        Err(StoreError::Conflict { .. }) => Ok(()),
                        other => other,
                    },
                    7 => {
                        let browser = BrowserHash([other; 32]);
                        store.take_login(&StateHash([small; 32]), Some(&browser), NOW).await.map(drop)
                    }
                    _ => match store
                        .insert_session(&session(small, other % 2), 2 + usize::from(other % 3))
                        .await
                    {
                        Err(StoreError::Conflict { .. }) => Ok(()),
                        other => other.map(drop),
                    },
                }
            })
        })
        .collect();
    for (number, one) in running.into_iter().enumerate() {
        assert!(one.await.unwrap().map_err(|error| panic!("{number}: {error}")).is_ok());
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_write_lasts_as_long_as_its_act_says() {
    let store = open().await;
    for (lasting, expected) in [(Lasting::PowerCut, "on"), (Lasting::Crash, "off"), (Lasting::PowerCut, "on")]
    {
        let mut tx = store.write("test", lasting).await.unwrap();
        let found: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(found, expected, "{lasting:?}");
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_dropped_write_leaves_nothing_and_gives_up_its_turn() {
    let [one, other] = two().await;
    let mut tx = one.write("an act that runs alone", Lasting::Crash).await.unwrap();
    tx.execute("INSERT INTO documents (name, body, fetched_at) VALUES ('a', '', 1)").await.unwrap();
    drop(tx);
    other.put_document("b", b"", NOW).await.unwrap();
    assert_eq!(other.find_document("a").await.unwrap(), None);
    assert!(one.find_document("b").await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn an_act_that_runs_alone_waits_for_all_others_and_they_for_it() {
    let [one, other] = two().await;
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    for (first, second) in [("put_document", "alone"), ("alone", "put_document"), ("alone", "alone too")] {
        let tx = one.write(first, Lasting::Crash).await.unwrap();
        let waiting = other.clone();
        let second = tasks.spawn(async move { waiting.write(second, Lasting::Crash).await.map(drop) });
        let mut watcher = administrator().await;
        let mut pulse = tokio::time::interval(Duration::from_millis(5));
        loop {
            pulse.tick().await;
            assert!(!second.is_finished(), "{first}");
            let waits: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
                .fetch_one(&mut watcher)
                .await
                .unwrap();
            if waits > 0 {
                break;
            }
        }
        one.commit("test", tx).await.unwrap();
        second.await.unwrap().unwrap();
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_replica_that_stands_still_in_a_write_does_not_hold_up_the_others() {
    let [one, other] = two().await;
    let mut tx = one.write("an act that runs alone", Lasting::Crash).await.unwrap();
    // The limit is three seconds; no need to wait as long here.
    tx.execute("SET idle_in_transaction_session_timeout = '50ms'").await.unwrap();
    other.put_document("b", b"", NOW).await.unwrap();
    let failed = one.commit("test", tx).await.unwrap_err();
    assert!(matches!(failed, StoreError::Unavailable { act: "test", .. }), "{failed:?}");
    one.put_document("c", b"", NOW).await.unwrap();
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn connections_that_the_server_ended_are_made_anew() {
    let store = open().await;
    store.put_document("a", b"first", NOW).await.unwrap();
    let mut administrator = administrator().await;
    for _ in 0..3 {
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&store.readers).await.unwrap();
        sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&mut administrator).await.unwrap();
        assert!(store.find_document("a").await.unwrap().is_some());
        store.put_document("a", b"again", NOW).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn the_tables_of_another_program_are_refused_and_left_as_they_are() {
    let location = location().await;
    let other = sqlx::PgPool::connect(location.url.expose()).await.unwrap();
    other.execute("CREATE TABLE letters (text TEXT)").await.unwrap();
    let text = refused(&location).await;
    assert!(text.contains("holds tables of another program; name a database of narthex's own"), "{text}");
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()")
            .fetch_all(&other)
            .await
            .unwrap();
    assert_eq!(tables, ["letters"]);
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn tables_of_a_newer_version_are_refused_and_left_as_they_are() {
    let location = location().await;
    let store = Postgres::open(&location).await.unwrap();
    let tomorrow = "INSERT INTO narthex_migrations (version, description, success, checksum, execution_time) \
                    VALUES (77, 'of tomorrow', TRUE, '', 1)";
    store.readers.execute(tomorrow).await.unwrap();
    store.close().await;
    let text = refused(&location).await;
    let known = super::open::known();
    assert!(text.contains(&format!("version 77, this narthex knows them up to {known}: a newer")), "{text}");
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn what_cannot_be_opened_says_what_to_do_and_never_the_password() {
    let server = server().await;
    let mut administrator = administrator().await;
    administrator.execute("CREATE ROLE stranger LOGIN").await.unwrap();
    let name = location().await;
    let schema = name.url.expose().rsplit("%3D").next().unwrap();
    let host = server.strip_prefix("postgres://postgres@").unwrap().strip_suffix("/postgres").unwrap();
    // Bound, so that nobody else has it, but nobody listens.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = bound.local_addr().unwrap();
    for (url, expected) in [
        (format!("postgres://postgres:hidden@{closed}/postgres"), "see that PostgreSQL runs there"),
        (format!("postgres://postgres:hidden@{host}/absent"), "make it: CREATE DATABASE"),
        (format!("postgres://nobody:hidden@{host}/postgres"), "check user, password"),
        (format!("{server}?options=-csearch_path%3Dabsent"), "make it: CREATE SCHEMA"),
        (format!("{server}?sslmode=require"), "no secure connection"),
        (
            format!("postgres://stranger:hidden@{host}/postgres?options=-csearch_path%3D{schema}"),
            "make it: CREATE SCHEMA",
        ),
        ("postgres:///postgres?host=/nowhere".to_owned(), "name the folder of its sockets"),
    ] {
        let text = refused(&at(&url)).await;
        assert!(text.contains(expected), "{url}: {text}");
        assert!(!text.contains("hidden"), "{text}");
    }
    let grant = format!("GRANT USAGE ON SCHEMA {schema} TO stranger");
    administrator.execute(AssertSqlSafe(grant)).await.unwrap();
    let url = format!("postgres://stranger@{host}/postgres?options=-csearch_path%3D{schema}");
    let text = refused(&at(&url)).await;
    assert!(text.contains("must own its schema, or be granted USAGE and CREATE"), "{text}");
    administrator.close().await.unwrap();
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_closed_store_says_so() {
    let store = open().await;
    store.close().await;
    let error = store.find_session(&SessionHash([1; 32])).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { act: "find_session", .. }), "{error:?}");
    assert!(error.to_string().contains("was closed"), "{error}");
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_row_that_this_version_cannot_read_is_named_without_its_content() {
    let store = open().await;
    members(&store, 1..2).await;
    store.insert_session(&session(1, 1), 20).await.unwrap();
    store.readers.execute("UPDATE sessions SET content = '{\"secret claim\":1}'").await.unwrap();
    let error = store.find_session(&SessionHash([1; 32])).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreadable { what: "session", .. }), "{error:?}");
    assert!(!error.to_string().contains("secret"), "{error}");
}
