//! Random sequences of acts: every store answers as the one in memory does.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use crate::model::session::{SessionAccount, SessionContent};
use crate::model::{
    AccountId, AccountProfile, AccountState, BrowserHash, Claims, Grant, IdpId, LoginAttempt, Member,
    MemberId, Origin, ReturnTo, Secret, SessionHash, SessionRecord, StateHash, Subject, UnixTime,
};
use crate::store::memory::Memory;
use crate::store::postgres::scratch;
use crate::store::sqlite::Sqlite;
use crate::store::{CreationIntent, JobOutcome, Landing, OnUpdate, Store, StoredKey, Update, Updated};

const IDLE: Duration = Duration::from_secs(40);

/// One act, on few enough names that acts meet.
#[derive(Debug, Clone)]
enum Act {
    Wait {
        seconds: u64,
    },
    PutLogin {
        state: u8,
        browser: u8,
        lives: u64,
    },
    TakeLogin {
        state: u8,
        browser: Option<u8>,
    },
    Park {
        id: u8,
        lives: u64,
    },
    TakeParked {
        id: u8,
    },
    SweepLogins,
    InsertSession {
        hash: u8,
        member: Option<u8>,
        max: usize,
        lives: u64,
    },
    FindSession {
        hash: u8,
    },
    Touch {
        seen: Vec<(u8, u64)>,
    },
    EndSession {
        hash: u8,
    },
    SweepSessions,
    FindMember {
        person: u8,
    },
    FindAccount {
        account: u8,
    },
    Begin {
        person: u8,
        holder: u64,
        lives: u64,
    },
    Intend {
        person: u8,
        holder: u64,
        username: u8,
    },
    Finish {
        member: u8,
        persons: Vec<u8>,
        account: u8,
        holder: u64,
    },
    Abandon {
        person: u8,
        holder: u64,
        keep_intent: bool,
    },
    RecordLogin {
        member: u8,
        account: u8,
        generation: u32,
    },
    Hold {
        member: u8,
        holder: u64,
        lives: u64,
    },
    Release {
        member: u8,
        holder: u64,
    },
    Update {
        member: u8,
        account: Option<u8>,
        stale: bool,
        holder: Option<u64>,
        sessions: u8,
        settle: Option<u64>,
    },
    TakeRemovals {
        wanted: u32,
    },
    HoldRight {
        name: u8,
        holder: u64,
        lives: u64,
    },
    ReleaseRight {
        name: u8,
        holder: u64,
    },
    ClaimAndConclude {
        holder: u64,
        lives: u64,
        outcome: Option<u8>,
    },
    Jobs,
    AddKey {
        id: u8,
        purpose: u8,
        after: Option<u8>,
        lives: u64,
    },
    ListKeys {
        purpose: u8,
    },
    SweepKeys,
    PutDocument {
        name: u8,
        body: Vec<u8>,
    },
    FindDocument {
        name: u8,
    },
}

fn logins() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..60_u8, 0..3_u8, 0..90_u64)
            .prop_map(|(state, browser, lives)| Act::PutLogin { state, browser, lives }),
        4 => (0..60_u8, prop::option::weighted(0.9, 0..3_u8))
            .prop_map(|(state, browser)| Act::TakeLogin { state, browser }),
        1 => (0..30_u8, 0..90_u64).prop_map(|(id, lives)| Act::Park { id, lives }),
        1 => (0..30_u8).prop_map(|id| Act::TakeParked { id }),
        1 => Just(Act::SweepLogins),
        1 => (0..20_u64).prop_map(|seconds| Act::Wait { seconds }),
    ]
}

fn sessions() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..12_u8, prop::option::weighted(0.8, 0..2_u8), 0..5_usize, 0..90_u64)
            .prop_map(|(hash, member, max, lives)| Act::InsertSession { hash, member, max, lives }),
        3 => (0..12_u8).prop_map(|hash| Act::FindSession { hash }),
        2 => prop::collection::vec((0..12_u8, 0..90_u64), 0..4).prop_map(|seen| Act::Touch { seen }),
        1 => (0..12_u8).prop_map(|hash| Act::EndSession { hash }),
        1 => Just(Act::SweepSessions),
        1 => (0..20_u64).prop_map(|seconds| Act::Wait { seconds }),
    ]
}

fn members() -> impl Strategy<Value = Act> {
    let persons = prop::collection::hash_set(0..4_u8, 1..3).prop_map(|set| set.into_iter().collect());
    prop_oneof![
        2 => (0..4_u8).prop_map(|person| Act::FindMember { person }),
        1 => (0..4_u8).prop_map(|account| Act::FindAccount { account }),
        5 => (0..4_u8, 1..4_u64, 0..40_u64)
            .prop_map(|(person, holder, lives)| Act::Begin { person, holder, lives }),
        3 => (0..4_u8, 1..4_u64, 0..3_u8)
            .prop_map(|(person, holder, username)| Act::Intend { person, holder, username }),
        3 => (0..4_u8, persons, 0..4_u8, 1..4_u64)
            .prop_map(|(member, persons, account, holder)| Act::Finish { member, persons, account, holder }),
        2 => (0..4_u8, 1..4_u64, any::<bool>())
            .prop_map(|(person, holder, keep_intent)| Act::Abandon { person, holder, keep_intent }),
        2 => (0..4_u8, 0..4_u8, 0..3_u32)
            .prop_map(|(member, account, generation)| Act::RecordLogin { member, account, generation }),
        1 => (0..20_u64).prop_map(|seconds| Act::Wait { seconds }),
    ]
}

fn standing() -> impl Strategy<Value = Act> {
    let update = (0..2_u8, prop::option::weighted(0.8, 0..3_u8), prop::bool::weighted(0.1))
        .prop_flat_map(|(member, account, stale)| {
            let others = (prop::option::weighted(0.3, 1..3_u64), 0..3_u8, prop::option::of(0..40_u64));
            (Just((member, account, stale)), others)
        })
        .prop_map(|((member, account, stale), (holder, sessions, settle))| Act::Update {
            member,
            account,
            stale,
            holder,
            sessions,
            settle,
        });
    prop_oneof![
        2 => (0..2_u8, 1..3_u64).prop_map(|(person, holder)| Act::Begin { person, holder, lives: 20 }),
        2 => (0..2_u8, 0..3_u8, 1..3_u64).prop_map(|(member, account, holder)| {
            Act::Finish { member, persons: vec![member], account, holder }
        }),
        2 => (0..2_u8, 1..3_u64, 0..40_u64)
            .prop_map(|(member, holder, lives)| Act::Hold { member, holder, lives }),
        1 => (0..2_u8, 1..3_u64).prop_map(|(member, holder)| Act::Release { member, holder }),
        3 => update,
        2 => (0..2_u8, 0..3_u8).prop_map(|(member, account)| {
            Act::RecordLogin { member, account, generation: 1 }
        }),
        3 => (0..6_u8, 0..2_u8, 1..4_usize, 0..90_u64).prop_map(|(hash, member, max, lives)| {
            Act::InsertSession { hash, member: Some(member), max, lives }
        }),
        1 => (0..6_u8).prop_map(|hash| Act::EndSession { hash }),
        1 => Just(Act::SweepSessions),
        1 => (1..4_u32).prop_map(|wanted| Act::TakeRemovals { wanted }),
        2 => (0..2_u8, 1..4_u64, 0..40_u64)
            .prop_map(|(name, holder, lives)| Act::HoldRight { name, holder, lives }),
        1 => (0..2_u8, 1..4_u64).prop_map(|(name, holder)| Act::ReleaseRight { name, holder }),
        2 => (1..3_u64, 0..40_u64, prop::option::of(0..4_u8))
            .prop_map(|(holder, lives, outcome)| Act::ClaimAndConclude { holder, lives, outcome }),
        1 => Just(Act::Jobs),
        1 => (0..20_u64).prop_map(|seconds| Act::Wait { seconds }),
    ]
}

fn keys() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..6_u8, 0..2_u8, prop::option::of(0..6_u8), 0..90_u64)
            .prop_map(|(id, purpose, after, lives)| Act::AddKey { id, purpose, after, lives }),
        2 => (0..2_u8).prop_map(|purpose| Act::ListKeys { purpose }),
        1 => Just(Act::SweepKeys),
        1 => (0..3_u8, prop::collection::vec(any::<u8>(), 0..3))
            .prop_map(|(name, body)| Act::PutDocument { name, body }),
        1 => (0..3_u8).prop_map(|name| Act::FindDocument { name }),
        1 => (0..20_u64).prop_map(|seconds| Act::Wait { seconds }),
    ]
}

fn id(number: u8) -> MemberId {
    MemberId(uuid::Uuid::from_bytes([number; 16]))
}

fn idp(person: u8) -> IdpId {
    if person.is_multiple_of(2) { "corp".parse().unwrap() } else { "partner".parse().unwrap() }
}

fn subject(person: u8) -> Subject {
    Subject::parse(&format!("subject {}", person / 2)).unwrap()
}

fn attempt(state: u8, browser: u8, now: UnixTime, lives: u64) -> LoginAttempt {
    LoginAttempt {
        state: StateHash([state; 32]),
        browser: BrowserHash([browser; 32]),
        idp: idp(state),
        nonce: format!("nonce {now}"),
        pkce_verifier: Secret::new("verifier"),
        return_to: ReturnTo::parse(&format!("/{state}/{browser}")).unwrap(),
        begun_at: now,
        expires_at: now.after(Duration::from_secs(lives)),
    }
}

fn session(hash: u8, member: Option<u8>, now: UnixTime, lives: u64) -> SessionRecord {
    SessionRecord {
        hash: SessionHash([hash; 32]),
        content: SessionContent {
            idp: idp(hash),
            // Few, so that sessions without account meet too.
            subject: subject(hash % 4),
            logout_name: "ada".to_owned(),
            idp_session: None,
            account: member.map(|number| SessionAccount {
                member: MemberId(uuid::Uuid::from_bytes([number; 16])),
                id: AccountId(number.to_string()),
                profile: AccountProfile::default(),
            }),
            claims: Claims::default(),
            grant: Grant::default(),
            logout_hint: member.map(|number| vec![number]),
        },
        created_at: now,
        last_seen_at: now,
        expires_at: now.after(Duration::from_secs(lives)),
    }
}

fn member(number: u8, persons: &[u8], account: u8, generation: u32, now: UnixTime) -> Member {
    Member {
        identities: persons.iter().map(|person| (idp(*person), subject(*person))).collect(),
        account: Some(AccountId(account.to_string())),
        username: format!("user {account} {generation}"),
        email: (account > 1).then(|| format!("{account}@example.com")),
        origin: if account == 0 { Origin::Adopted } else { Origin::Jit },
        generation,
        ..Member::for_tests(number, now)
    }
}

/// Does `act` and puts into words what came of it. Lists have no order.
#[expect(clippy::too_many_lines, reason = "one arm for each act")]
async fn perform(store: &dyn Store, act: &Act, now: UnixTime) -> String {
    let after = |seconds: u64| now.after(Duration::from_secs(seconds));
    let hashes = |list: Vec<SessionHash>| list.into_iter().collect::<BTreeSet<_>>();
    match act {
        Act::Wait { .. } => String::new(),
        Act::PutLogin { state, browser, lives } => {
            format!("{:?}", store.put_login(&attempt(*state, *browser, now, *lives)).await)
        }
        Act::TakeLogin { state, browser } => {
            let browser = browser.map(|number| BrowserHash([number; 32]));
            format!("{:?}", store.take_login(&StateHash([*state; 32]), browser.as_ref(), now).await)
        }
        Act::Park { id, lives } => {
            format!("{:?}", store.park(&StateHash([*id; 32]), &[*id], after(*lives)).await)
        }
        Act::TakeParked { id } => format!("{:?}", store.take_parked(&StateHash([*id; 32]), now).await),
        Act::SweepLogins => format!("{:?}", store.sweep_logins(now).await),
        Act::InsertSession { hash, member, max, lives } => {
            let ended = store.insert_session(&session(*hash, *member, now, *lives), *max).await;
            format!("{:?}", ended.map(hashes))
        }
        Act::FindSession { hash } => format!("{:?}", store.find_session(&SessionHash([*hash; 32])).await),
        Act::Touch { seen } => {
            let seen: Vec<_> =
                seen.iter().map(|(hash, ahead)| (SessionHash([*hash; 32]), after(*ahead))).collect();
            format!("{:?}", store.touch_sessions(&seen).await)
        }
        Act::EndSession { hash } => format!("{:?}", store.end_session(&SessionHash([*hash; 32])).await),
        Act::SweepSessions => format!("{:?}", store.sweep_sessions(now, IDLE).await.map(hashes)),
        Act::FindMember { person } => {
            format!("{:?}", store.find_member(&idp(*person), &subject(*person)).await)
        }
        Act::FindAccount { account } => {
            format!("{:?}", store.find_member_by_account(&AccountId(account.to_string())).await)
        }
        Act::Begin { person, holder, lives } => {
            let (idp, subject) = (idp(*person), subject(*person));
            format!("{:?}", store.begin_creation(&idp, &subject, *holder, now, after(*lives)).await)
        }
        Act::Intend { person, holder, username } => {
            let (idp, subject) = (idp(*person), subject(*person));
            let intent = CreationIntent {
                intended_at: now,
                username: username.to_string(),
                email: None,
                clean_up_at: (username % 2 == 1).then_some(now),
            };
            format!("{:?}", store.intend_creation(&idp, &subject, *holder, &intent).await)
        }
        Act::Finish { member: number, persons, account, holder } => {
            let landing_until = (account % 2 == 1).then(|| after(20));
            let member = member(*number, persons, *account, 1, now);
            format!("{:?}", store.finish_creation(&member, *holder, landing_until).await)
        }
        Act::Abandon { person, holder, keep_intent } => {
            let (idp, subject) = (idp(*person), subject(*person));
            format!("{:?}", store.abandon_creation(&idp, &subject, *holder, *keep_intent).await)
        }
        Act::RecordLogin { member: number, account, generation } => {
            let landing = (*account > 0).then(|| Landing { holder: u64::from(*account), until: after(15) });
            format!(
                "{:?}",
                store.record_login(&member(*number, &[], *account, *generation, now), landing).await
            )
        }
        Act::Hold { member, holder, lives } => {
            format!("{:?}", store.hold_member(id(*member), *holder, now, after(*lives)).await)
        }
        Act::Release { member, holder } => format!("{:?}", store.release_member(id(*member), *holder).await),
        Act::Update { member, account, stale, holder, sessions, settle } => {
            let Some(known) = store.find_member_by_id(id(*member)).await.unwrap() else {
                return String::new();
            };
            let updated = Member {
                account: account.map(|account| AccountId(account.to_string())),
                account_state: if account.is_some() { AccountState::Present } else { AccountState::Deleted },
                generation: known.generation + 1,
                revision: known.revision.saturating_sub(u64::from(*stale)),
                ..known
            };
            let sessions = match sessions {
                0 => OnUpdate::Stay,
                1 => OnUpdate::End,
                _ => OnUpdate::MustBeNone { at: now },
            };
            let update = Update { holder: *holder, sessions, settle_at: settle.map(after) };
            match store.update_member(&updated, update).await {
                Ok(Updated { revision, ended }) => format!("{revision} {:?}", hashes(ended)),
                Err(error) => format!("{error:?}"),
            }
        }
        Act::HoldRight { name, holder, lives } => {
            let until = now.after(Duration::from_secs(*lives));
            format!("{:?}", store.hold_right(&name.to_string(), *holder, now, until).await)
        }
        Act::ReleaseRight { name, holder } => {
            format!("{:?}", store.release_right(&name.to_string(), *holder).await)
        }
        Act::TakeRemovals { wanted } => {
            format!("{:?}", store.take_removals(*wanted, now, Duration::from_secs(30), 6).await)
        }
        Act::ClaimAndConclude { holder, lives, outcome } => {
            let claimed = store.claim_job(*holder, now, after(*lives)).await.unwrap();
            if let (Some(claimed), Some(outcome)) = (&claimed, outcome) {
                let outcome = match outcome {
                    0 => JobOutcome::Done,
                    1 => JobOutcome::PutOff { until: after(10), reason: Some("x".to_owned()) },
                    2 => JobOutcome::PutOff { until: after(10), reason: None },
                    _ => JobOutcome::Parked { reason: "x".to_owned() },
                };
                store.conclude_job(claimed, &outcome).await.unwrap();
            }
            format!("{:?}", claimed.map(|claimed| (claimed.job, claimed.ticket)))
        }
        Act::Jobs => format!("{:?}", store.list_jobs(20).await),
        Act::AddKey { id, purpose, after: predecessor, lives } => {
            let key = StoredKey {
                id: id.to_string(),
                purpose: purpose.to_string(),
                sealed: vec![*id],
                published_at: now,
                active_at: now,
                retired_at: after(*lives),
            };
            let predecessor = predecessor.map(|id| id.to_string());
            format!("{:?}", store.add_key(&key, predecessor.as_deref()).await)
        }
        Act::ListKeys { purpose } => {
            let mut keys = store.list_keys(&purpose.to_string()).await.unwrap();
            keys.sort_by(|a, b| a.id.cmp(&b.id));
            format!("{keys:?}")
        }
        Act::SweepKeys => format!("{:?}", store.sweep_keys(now).await),
        Act::PutDocument { name, body } => {
            format!("{:?}", store.put_document(&name.to_string(), body, now).await)
        }
        Act::FindDocument { name } => format!("{:?}", store.find_document(&name.to_string()).await),
    }
}

/// What is held against the store in memory.
#[derive(Clone, Copy)]
enum Other {
    Sqlite,
    Postgres,
}

fn agree(other: Other, acts: &[Act]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        match other {
            Other::Sqlite => {
                let path = folder.path().join("narthex.db");
                let sqlite = Sqlite::open(&path).await.unwrap().with_max_in_flight(20);
                agrees(&sqlite, acts).await;
                sqlite.close().await;
            }
            Other::Postgres => {
                let postgres = scratch::open().await.with_max_in_flight(20);
                agrees(&postgres, acts).await;
                postgres.close().await;
            }
        }
    });
}

async fn agrees(store: &dyn Store, acts: &[Act]) {
    let memory = Memory::with_max_in_flight(20);
    let mut now = super::NOW;
    // Two who may have sessions from the beginning, but where members are what it is about.
    let with_members = !acts.iter().any(|act| matches!(act, Act::Begin { .. }));
    let both = (0..2_u8).filter(|_| with_members).flat_map(|person| {
        let finish = Act::Finish { member: person, persons: vec![person], account: person, holder: 1 };
        [Act::Begin { person, holder: 1, lives: 20 }, finish]
    });
    let acts: Vec<Act> = both.chain(acts.iter().cloned()).collect();
    for (number, act) in acts.iter().enumerate() {
        if let Act::Wait { seconds } = act {
            now = now.after(Duration::from_secs(*seconds));
        }
        let (expected, found) = (perform(&memory, act, now).await, perform(store, act, now).await);
        assert_eq!(found, expected, "act {number}: {act:?}");
    }
}

macro_rules! agreement {
    ($($topic:ident $acts:literal: $sqlite:ident $postgres:ident)*) => {$(
        proptest! {
            #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

            #[test]
            fn $sqlite(acts in prop::collection::vec($topic(), 1..$acts)) {
                agree(Other::Sqlite, &acts);
            }

            #[test]
            #[ignore = "real parties: tests/run"]
            fn $postgres(acts in prop::collection::vec($topic(), 1..$acts)) {
                agree(Other::Postgres, &acts);
            }
        }
    )*};
}

agreement! {
    logins 120: sqlite_and_memory_agree_on_logins postgres_and_memory_agree_on_logins
    sessions 80: sqlite_and_memory_agree_on_sessions postgres_and_memory_agree_on_sessions
    members 120: sqlite_and_memory_agree_on_members postgres_and_memory_agree_on_members
    standing 120: sqlite_and_memory_agree_on_standing postgres_and_memory_agree_on_standing
    keys 60: sqlite_and_memory_agree_on_keys postgres_and_memory_agree_on_keys
}
