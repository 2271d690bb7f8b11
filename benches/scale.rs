//! What an installation of 100,000 members costs, in SQLite and in PostgreSQL: a sign-in's own work, the search for a
//! member, and what goes on in the background. `cargo bench --bench scale [-- sqlite | postgres]`. Run nothing beside it.
//!
//! PostgreSQL is the party of the integration tests (tests/parties/install postgres), which need not survive a power cut.
//! `NARTHEX_BENCH_BINARY` names another narthex for what is measured of a running one.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "what cannot be set up ends the benchmark"
)]
#![expect(dead_code, unused_imports, reason = "the integration tests' helpers have more than this needs")]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::future::Future;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use narthex::demo::idp::Chooser;
use narthex::model::session::{SessionAccount, SessionContent};
use narthex::model::{
    AccountId, AccountProfile, Claims, Grant, IdpId, MemberId, Secret, SessionHash, SessionRecord, Subject,
    Task, UnixTime,
};
use narthex::platform::{Clock as _, SystemClock};
use narthex::store::lists::SessionsOf;
use narthex::store::postgres::{Location, Postgres};
use narthex::store::sqlite::Sqlite;
use narthex::store::{JobOutcome, Store};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use support::party::{Party, client};
use support::ports::free_port;
use support::stack::{ADMIN_TOKEN, put, usual};
use support::{Browser, Parties};
use tempfile::TempDir;

const MEMBERS: usize = 100_000;
const SESSIONS: usize = 10_000;
const JOBS: usize = 1_000;
/// Sign-ins of each kind.
const LOGINS: usize = 200;
/// Calls of the admin API of each kind.
const SEARCHES: usize = 100;
/// Rows of one statement that fills a table.
const BATCH: usize = 1_000;
const HOUR: Duration = Duration::from_hours(1);
const LONG: Duration = Duration::from_hours(11);

const GIVEN: [&str; 20] = [
    "ada", "alan", "anna", "barbara", "carol", "dennis", "edsger", "frances", "grace", "hedy", "ivan",
    "joan", "karen", "leslie", "margaret", "niklaus", "olga", "peter", "radia", "sophie",
];
const FAMILY: [&str; 10] =
    ["adams", "brown", "clark", "davis", "evans", "fischer", "garcia", "hopper", "ito", "jones"];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|given| !given.starts_with("--")).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for name in ["sqlite", "postgres"] {
        if wanted.is_empty() || wanted.iter().any(|given| given == name) {
            runtime.block_on(measure(name));
        }
    }
}

/// Where a store is, for as long as it is wanted.
struct Place {
    url: String,
    folder: TempDir,
    party: Option<Party>,
}

impl Place {
    async fn empty(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let party = if name == "postgres" { Some(Party::start("postgres").await) } else { None };
        let file = folder.path().join("narthex.db");
        let sqlite = || format!("sqlite:{}", file.display());
        let url = party.as_ref().map_or_else(sqlite, |party| party.url().to_owned());
        Self { url, folder, party }
    }

    async fn open(&self) -> Arc<dyn Store> {
        if self.party.is_some() {
            let at =
                Location { url: Secret::new(&self.url), password: None, connections: 8, roots: Vec::new() };
            return Arc::new(Postgres::open(&at).await.unwrap());
        }
        Arc::new(Sqlite::open(&self.folder.path().join("narthex.db")).await.unwrap())
    }
}

async fn measure(name: &str) {
    let mut table = format!("| {name} | median | slowest | CPU of narthex |\n|---|---|---|---|\n");
    let mut place = Place::empty(name).await;
    let store = place.open().await;
    fill(&place.url).await;
    in_the_background(&store, &mut table).await;
    drop(store);
    if std::env::var_os("NARTHEX_BENCH_BINARY").is_some() {
        place = Place::empty(name).await;
        // It makes its own tables.
        drop(Served::start(&place.url, &Parties::at_present().await).await);
        fill(&place.url).await;
    }
    let parties = Parties::at_present().await;
    let served = Served::start(&place.url, &parties).await;
    searches(&served, &mut table).await;
    sign_ins(&served, &parties, &mut table).await;
    println!("{table}");
}

fn username(number: usize) -> String {
    format!("{}.{}{number}", GIVEN[number % 20], FAMILY[number / 20 % 10])
}

fn member(number: usize) -> MemberId {
    MemberId(format!("01900000-0000-7000-8000-{number:012x}").parse().unwrap())
}

fn subject(number: usize) -> Subject {
    Subject::parse(&format!("subject-{number}")).unwrap()
}

fn idp() -> IdpId {
    "demo".parse().unwrap()
}

fn now() -> UnixTime {
    SystemClock.now()
}

fn hash(number: usize) -> SessionHash {
    let mut hash = [7; 32];
    // Spread, as hashes are.
    let spread = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash[..8].copy_from_slice(&spread.to_be_bytes());
    SessionHash(hash)
}

fn session(number: usize, expires_at: UnixTime) -> SessionRecord {
    let profile = AccountProfile {
        username: username(number),
        email: Some(format!("{}@example.com", username(number))),
        ..AccountProfile::default()
    };
    SessionRecord {
        hash: hash(number),
        content: SessionContent {
            idp: idp(),
            subject: subject(number),
            logout_name: format!("subject-{number}"),
            idp_session: None,
            account: Some(SessionAccount {
                member: member(number),
                id: AccountId(format!("account-{number}")),
                profile,
            }),
            claims: Claims::default(),
            grant: Grant::default(),
            logout_hint: None,
        },
        created_at: now(),
        last_seen_at: now(),
        expires_at,
    }
}

/// By whole statements, in the form in which narthex itself writes them.
async fn fill(url: &str) {
    let at = now().0;
    let row = |number: usize| {
        let (id, name) = (member(number), username(number));
        format!(
            "('{id}', 'account-{number}', 'present', '{name}', '{name}@example.com', 'jit', '{}', '{{}}', \
             '{{}}', 1, 0, {at}, {at})",
            if number % 200 == 7 { "blocked" } else { "active" }
        )
    };
    let members = "members (id, account, account_state, username, email, origin, status, ledger, borrowed, \
                   generation, revision, created_at, last_login_at)";
    insert(url, members, MEMBERS, row).await;
    let row = |number: usize| format!("('demo', 'subject-{number}', '{}', 0)", member(number));
    insert(url, "identities (idp, subject, member, place)", MEMBERS, row).await;
    let row = |number: usize| {
        let SessionRecord { hash, content, .. } = session(number * 10, now());
        let hash = hash.0.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        let (id, content) = (member(number * 10), serde_json::to_string(&content).unwrap());
        let subject = subject(number * 10);
        format!(
            "(unhex('{hash}'), '{id}', 'demo', '{subject}', '{content}', {at}, {at}, {}, '{subject}')",
            now().after(LONG).0,
            subject = subject.as_str()
        )
    };
    let sessions =
        "sessions (hash, member, idp, subject, content, created_at, last_seen_at, expires_at, logout_name)";
    insert(url, sessions, SESSIONS, row).await;
    let row = |number: usize| {
        let task = Task::Settle { member: member(number * 100), generation: 1 };
        let (key, text, due) = (task.key(), serde_json::to_string(&task).unwrap(), now().after(HOUR).0);
        format!("('{key}', '{text}', '{}', {due}, 0, 'waiting', 1)", member(number * 100))
    };
    insert(url, "jobs (key, task, member, due_at, tries, state, ticket)", JOBS, row).await;
    statements(url, "ANALYZE").await;
}

async fn insert(url: &str, table: &str, count: usize, row: impl Fn(usize) -> String) {
    for first in (0..count).step_by(BATCH) {
        let rows: Vec<String> = (first..first + BATCH).map(&row).collect();
        statements(url, &format!("INSERT INTO {table} VALUES {}", rows.join(","))).await;
    }
}

async fn statements(url: &str, text: &str) {
    let text = AssertSqlSafe(text.to_owned());
    if url.starts_with("sqlite:") {
        SqliteConnection::connect(url).await.unwrap().execute(text).await.unwrap();
    } else {
        PgConnection::connect(url).await.unwrap().execute(text).await.unwrap();
    }
}

/// How long each of so many took, in order of length.
async fn times<F: Future<Output = ()>>(count: usize, mut act: impl FnMut(usize) -> F) -> Vec<Duration> {
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        let began = Instant::now();
        act(number).await;
        all.push(began.elapsed());
    }
    all.sort();
    all
}

fn line(table: &mut String, what: &str, times: &[Duration], cpu: Option<Duration>) {
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    let cpu = cpu.map_or_else(|| "–".to_owned(), ms);
    let _ = writeln!(table, "| {what} | {} | {} | {cpu} |", ms(median), ms(slowest));
}

/// Acts on the store, without a server beside them.
async fn in_the_background(store: &Arc<dyn Store>, table: &mut String) {
    let far = now().after(LONG);
    let found = times(2_000, |number| async move {
        let hash = hash(number * 7919 % SESSIONS * 10);
        assert!(store.find_session(&hash).await.unwrap().is_some());
    });
    line(table, "a session is looked up that is not in memory", &found.await, None);
    let found = times(2_000, |number| async move {
        let subject = subject(number * 7919 % MEMBERS);
        assert!(store.find_member(&idp(), &subject).await.unwrap().is_some());
    });
    line(table, "a member is looked up by identity", &found.await, None);
    let none = times(1_000, |_| async {
        assert!(store.claim_job(1, now(), far).await.unwrap().is_none());
    });
    line(table, "a look for a job, 1,000 wait and none is due", &none.await, None);
    let due = now().after(HOUR * 2);
    let claimed = times(JOBS / 2, |_| async move {
        let claimed = store.claim_job(1, due, due.after(HOUR)).await.unwrap().unwrap();
        let again = JobOutcome::PutOff { until: due.after(HOUR), reason: None };
        store.conclude_job(&claimed, &again).await.unwrap();
    });
    line(table, "a job is claimed and put off, 1,000 are due", &claimed.await, None);
    let swept = times(200, |_| async {
        assert!(store.sweep_sessions(now(), HOUR).await.unwrap().is_empty());
    });
    line(table, "a sweep of sessions, none has ended", &swept.await, None);
    for number in 0..1_000 {
        store.insert_session(&session(number * 10 + 1, now().after(HOUR)), 20).await.unwrap();
    }
    let swept = times(1, |_| async {
        let swept = store.sweep_sessions(now().after(HOUR * 2), LONG).await.unwrap();
        assert_eq!(swept.len(), 1_000);
    });
    line(table, "a sweep of sessions, 1,000 have ended", &swept.await, None);
    let newest = store.newest_change().await.unwrap().map_or(1, |change| change.number);
    let polled = times(1_000, |_| async move {
        assert!(store.changes_from(newest).await.unwrap().len() <= 1);
    });
    line(table, "a look at what other replicas did, nothing new", &polled.await, None);
    let all: Vec<SessionHash> = (0..SESSIONS).map(|number| hash(number * 10)).collect();
    let all = &all;
    let looked = times(10, |_| async move {
        assert_eq!(store.sessions_among(all).await.unwrap().len(), SESSIONS);
    });
    line(table, "10,000 sessions in memory are held against the store", &looked.await, None);
    let absent = times(100, |_| async {
        assert!(store.list_inactive(now().before(HOUR), now(), 50).await.unwrap().is_empty());
    });
    line(table, "a look for people who stopped coming", &absent.await, None);
    let blocked = times(1_000, |number| async move {
        let email = format!("stranger{number}@example.com");
        assert!(!store.is_blocked_email(&email).await.unwrap());
    });
    line(table, "an e-mail is held against those of 500 blocked members", &blocked.await, None);
    let listed = times(100, |_| async {
        assert_eq!(store.list_sessions(&SessionsOf::Everybody, None, 50).await.unwrap().len(), 50);
    });
    line(table, "a page of sessions", &listed.await, None);
}

/// `narthex serve`.
struct Served {
    process: Child,
    public: String,
    admin: String,
    http: reqwest::Client,
    _folder: TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Served {
    /// On this store, once it is ready.
    async fn start(url: &str, parties: &Parties) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port, health, admin] = [free_port(), free_port(), free_port()];
        let public = format!("http://127.0.0.1:{port}");
        let mut config = usual(parties, &public);
        put(&mut config, "server.listen", format!("127.0.0.1:{port}"));
        put(&mut config, "health.listen", format!("127.0.0.1:{health}"));
        put(&mut config, "admin.listen", format!("127.0.0.1:{admin}"));
        put(&mut config, "store.url", url);
        put(&mut config, "keys.seal", "a key for the time of the benchmark");
        let callback = format!("{public}/.narthex/oidc/demo/callback");
        parties.idp.register(&callback, &format!("{public}/.narthex/logout"));
        std::fs::write(folder.path().join("proxy.toml"), toml::to_string(&config).unwrap()).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let binary = std::env::var_os("NARTHEX_BENCH_BINARY");
        let mut command = Command::new(binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_narthex").into()));
        command.args(["serve", "--config"]).arg(folder.path().join("proxy.toml"));
        let process = command.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let admin = format!("http://127.0.0.1:{admin}/api/v1");
        let served = Self { process, public, admin, http: client(), _folder: folder };
        let (ready, began) = (format!("http://127.0.0.1:{health}/readyz"), Instant::now());
        let answers = async || served.http.get(&ready).send().await.map(|answer| answer.status());
        while !answers().await.is_ok_and(|status| status == StatusCode::OK) {
            assert!(began.elapsed() < Duration::from_mins(1), "narthex does not become ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        served
    }

    /// User and system time so far.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // utime and stime (proc(5)), in hundredths of a second.
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }
}

async fn searches(served: &Served, table: &mut String) {
    let get = async |path: &str| {
        let request = served.http.get(format!("{}{path}", served.admin)).bearer_auth(ADMIN_TOKEN);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json::<serde_json::Value>().await.unwrap()
    };
    // The cursor of a page that begins far behind.
    let deep = |number: usize| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(member(number).to_string())
    };
    let one = username(54_321);
    let cases = [
        ("a member by the whole e-mail address", format!("/members?search={one}@example.com")),
        ("members by a part of the name: `grace.h` (some 500)", "/members?search=grace.h".to_owned()),
        ("members by one letter: `a` (15,000)", "/members?search=a".to_owned()),
        ("the same, a page behind 90,000 members", format!("/members?search=a&after={}", deep(90_000))),
        ("a name that nobody has", "/members?search=zaphod".to_owned()),
        ("the first page of all", "/members".to_owned()),
        ("a page of all behind 99,000", format!("/members?after={}", deep(99_000))),
        ("a member by account", "/members?account=account-54321".to_owned()),
        ("a member by identity", "/members?idp=demo&subject=subject-54321".to_owned()),
    ];
    for (what, path) in cases {
        get(&path).await;
        let before = served.cpu();
        let (get, path) = (&get, &path);
        let all = times(SEARCHES, |_| async move { drop(get(path).await) }).await;
        let cpu = served.cpu().checked_sub(before).unwrap() / u32::try_from(SEARCHES).unwrap();
        line(table, &format!("admin API: {what}"), &all, Some(cpu));
    }
}

async fn sign_ins(served: &Served, parties: &Parties, table: &mut String) {
    let url = format!("{}/echo", served.public);
    let idle = {
        let before = served.cpu();
        tokio::time::sleep(Duration::from_secs(5)).await;
        served.cpu().checked_sub(before).unwrap()
    };
    let _ = writeln!(table, "| at rest, in 5 s | – | – | {} ms |", idle.as_millis());
    for what in ["first sign-in", "sign-in of a member"] {
        let before = served.cpu();
        let url = &url;
        let all = times(LOGINS, |number| async move {
            let login = format!("newcomer{number}");
            parties.idp.edit(&login, |person| person.groups = Some(vec!["engineers".to_owned()]));
            parties.idp.set_chooser(Chooser::Always(login));
            let page = Browser::new().request(Method::GET, url).send().await;
            assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/echo"), "{:#?}", page.trail());
        });
        let all = all.await;
        let cpu = served.cpu().checked_sub(before).unwrap() / u32::try_from(LOGINS).unwrap();
        line(table, &format!("{what}, from the first redirect to the first page"), &all, Some(cpu));
    }
}
