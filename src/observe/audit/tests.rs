//! The log as those meet it who record, who verify, and who tamper with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;

use super::verify::{Fault, Finding, verify};
use super::*;
use crate::model::audit::{AuditQuery, PartKey};
use crate::model::letter::Letter;
use crate::model::{
    Account, AccountId, AccountProfile, AuditHead, AuditRecord, ChainId, Entitlements, ErrorId, Secret,
};
use crate::platform::entropy::NoEntropy;
use crate::platform::{Clock, Entropy, SystemEntropy};
use crate::store::memory::Memory;
use crate::store::sqlite::Sqlite;

/// A second later whenever it is asked, so that chains have the order of their beginnings.
#[derive(Default)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> UnixTime {
        UnixTime(1_800_000_000 + self.0.fetch_add(1, Ordering::SeqCst))
    }
}

fn platform() -> Platform {
    Platform { clock: Arc::<Ticking>::default(), entropy: Arc::new(SystemEntropy) }
}

/// A store in memory that can be away, lose its answers, and be tampered with.
#[derive(Default)]
struct Tampered {
    inner: Memory,
    away: AtomicBool,
    /// Writes arrive, and the answer does not.
    deaf: AtomicBool,
    /// Changes what is read.
    #[expect(clippy::type_complexity, reason = "said once")]
    forgery: Mutex<Option<Box<dyn Fn(Vec<AuditRecord>) -> Vec<AuditRecord> + Send>>>,
    forged_heads: Mutex<Option<Vec<AuditHead>>>,
}

impl Tampered {
    fn forge(&self, forgery: impl Fn(Vec<AuditRecord>) -> Vec<AuditRecord> + Send + 'static) {
        *self.forgery.lock().unwrap() = Some(Box::new(forgery));
    }

    fn near(&self) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { act: "append_audit", reason: "unplugged".to_owned() });
        }
        Ok(())
    }
}

#[async_trait]
impl AuditStore for Tampered {
    async fn append_audit_and_letters(
        &self,
        records: &[AuditRecord],
        links: &[AuditHead],
        letters: &[Letter],
    ) -> Result<(), StoreError> {
        self.near()?;
        self.inner.append_audit_and_letters(records, links, letters).await?;
        if self.deaf.swap(false, Ordering::SeqCst) {
            return Err(StoreError::Unavailable { act: "append_audit", reason: "no answer".to_owned() });
        }
        Ok(())
    }

    async fn audit_heads(&self) -> Result<Vec<AuditHead>, StoreError> {
        self.near()?;
        let forged = self.forged_heads.lock().unwrap().clone();
        match forged {
            Some(heads) => Ok(heads),
            None => self.inner.audit_heads().await,
        }
    }

    async fn loose_audit_heads(&self, own: ChainId, limit: usize) -> Result<Vec<AuditHead>, StoreError> {
        self.near()?;
        self.inner.loose_audit_heads(own, limit).await
    }

    async fn read_audit(
        &self,
        after: Option<(ChainId, u64)>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let all = self.inner.read_audit(None, usize::MAX).await?;
        let all = match &*self.forgery.lock().unwrap() {
            Some(forgery) => forgery(all),
            None => all,
        };
        let behind =
            all.into_iter().filter(|one| after.is_none_or(|after| (one.chain, one.sequence) > after));
        Ok(behind.take(limit).collect())
    }

    async fn list_audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        self.inner.list_audit(query).await
    }

    async fn find_audit_parts(
        &self,
        member: Option<MemberId>,
        identities: &[(IdpId, Subject)],
        words: &[String],
    ) -> Result<Vec<PartKey>, StoreError> {
        self.inner.find_audit_parts(member, identities, words).await
    }

    async fn erase_audit_parts(&self, keys: &[PartKey]) -> Result<u64, StoreError> {
        self.inner.erase_audit_parts(keys).await
    }
}

fn idp() -> IdpId {
    "corp".parse().unwrap()
}

fn ada() -> Subject {
    Subject::parse("ada").unwrap()
}

fn member(number: u8) -> MemberId {
    MemberId(uuid::Uuid::from_bytes([number; 16]))
}

fn login() -> Entry {
    Entry::new(Event::Login)
        .by_person(&idp(), &ada())
        .member(member(7))
        .from(std::net::IpAddr::from([192, 0, 2, 1]))
}

fn account(username: &str, role: &str) -> Account {
    Account {
        id: AccountId("42".to_owned()),
        profile: AccountProfile {
            username: username.to_owned(),
            email: Some("ada@example.com".to_owned()),
            ..AccountProfile::default()
        },
        active: true,
        privileged: false,
        entitlements: Entitlements { role: Some(role.to_owned()), ..Entitlements::default() },
    }
}

/// A log with some entries in a chain, and a second chain after it.
async fn written() -> Arc<Tampered> {
    let store = Arc::new(Tampered::default());
    let platform = platform();
    for _ in 0..2 {
        let (audit, writer) = Audit::start(store.clone(), platform.clone(), Handle::current());
        audit.record(login());
        audit.record(Entry::new(Event::AccountCreated).about(&idp(), &ada()).after(&account("ada", "user")));
        audit.record(Entry::new(Event::Logout).by_person(&idp(), &ada()).member(member(7)));
        writer.finish().await;
    }
    assert_eq!(names(&store).await.len(), 10);
    store
}

async fn all(store: &Arc<Tampered>) -> Vec<AuditRecord> {
    store.read_audit(None, 10_000).await.unwrap()
}

async fn names(store: &Arc<Tampered>) -> Vec<String> {
    all(store).await.into_iter().map(|one| one.event).collect()
}

async fn findings(store: &Arc<Tampered>) -> Vec<Finding> {
    verify(store.as_ref(), &[]).await.unwrap().findings
}

/// What is found where the first chain is forged like this.
async fn found(forgery: impl Fn(&mut Vec<AuditRecord>) + Send + 'static) -> Vec<(u64, Fault)> {
    let store = written().await;
    assert_eq!(findings(&store).await, []);
    store.forge(move |all| {
        let second = all.iter().position(|one| one.chain != all[0].chain).unwrap();
        let (mut first, second) = (all[..second].to_vec(), all[second..].to_vec());
        forgery(&mut first);
        [first, second].concat()
    });
    let chain = store.audit_heads().await.unwrap()[0].chain;
    let findings = findings(&store).await;
    assert!(findings.iter().all(|one| one.chain == Some(chain)), "{findings:?}");
    findings.into_iter().map(|one| (one.sequence, one.fault)).collect()
}

/// The hashes anew, as whoever knows how they are made would.
fn rehash(records: &mut [AuditRecord]) {
    let mut previous = chain::NOTHING_BEFORE;
    for record in records {
        record.previous = previous;
        record.hash = chain::entry_hash(record);
        previous = record.hash;
    }
}

#[tokio::test]
async fn s3_a_log_that_nobody_touched_is_intact_and_its_chains_are_linked() {
    let store = written().await;
    let report = verify(store.as_ref(), &[]).await.unwrap();
    assert_eq!((report.findings.as_slice(), report.entries, report.erased), ([].as_slice(), 10, 0));
    assert_eq!(
        names(&store).await[..5],
        ["audit_chain_began", "login", "account_created", "logout", "audit_chain_ended"]
    );
    let heads = store.audit_heads().await.unwrap();
    assert_eq!(report.heads, heads);
    let began = &all(&store).await[5];
    assert!(began.body.contains(&heads[0].to_string()), "{}", began.body);
    assert_eq!(verify(store.as_ref(), &heads).await.unwrap().findings, []);
}

#[tokio::test]
async fn s3_a_changed_entry_is_found_whatever_was_changed() {
    let changes: [fn(&mut AuditRecord); 4] = [
        |one| one.body = one.body.replace("person", "administrator"),
        |one| one.at = UnixTime(1_700_000_000),
        |one| one.event = "logout".to_owned(),
        |one| one.member = Some(member(8)),
    ];
    for change in changes {
        assert_eq!(found(move |all| change(&mut all[1])).await, [(2, Fault::EntryChanged)]);
    }
}

#[tokio::test]
async fn s3_an_entry_changed_with_its_hash_no_longer_fits_the_next() {
    let faults = found(|all| {
        all[1].body = "{}".to_owned();
        all[1].hash = chain::entry_hash(&all[1]);
    });
    assert_eq!(faults.await, [(3, Fault::NotLinked)]);
}

#[tokio::test]
async fn s3_a_chain_written_anew_is_found_by_the_chain_after_it() {
    let faults = found(|all| {
        all[1].body = "{}".to_owned();
        rehash(all);
    });
    let faults = faults.await;
    assert!(matches!(faults.as_slice(), [(5, Fault::Replaced { .. })]), "{faults:?}");
}

#[tokio::test]
async fn s3_a_removed_entry_is_found() {
    assert_eq!(found(|all| drop(all.remove(2))).await, [(4, Fault::Missing { from: 3 })]);
    assert_eq!(found(|all| drop(all.remove(0))).await, [(2, Fault::Missing { from: 1 })]);
}

#[tokio::test]
async fn s3_entries_in_another_order_are_found() {
    let faults = found(|all| {
        let (one, other) = (all[1].sequence, all[2].sequence);
        all.swap(1, 2);
        (all[1].sequence, all[2].sequence) = (one, other);
    });
    assert_eq!(faults.await, [(2, Fault::NotLinked)]);
}

#[tokio::test]
async fn s3_a_chain_that_was_cut_off_or_removed_whole_is_found() {
    let faults = found(|all| all.truncate(3)).await;
    assert!(matches!(faults.as_slice(), [(4, Fault::CutOff { .. })]), "{faults:?}");
    let faults = found(Vec::clear).await;
    assert!(matches!(faults.as_slice(), [(1, Fault::CutOff { .. })]), "{faults:?}");
}

#[tokio::test]
async fn s3_a_cut_with_the_stores_own_heads_is_found_by_the_head_that_was_noted() {
    let store = written().await;
    let noted = store.audit_heads().await.unwrap()[1];
    let whole = all(&store).await;
    let kept = whole[..8].to_vec();
    *store.forged_heads.lock().unwrap() = Some(vec![kept[4].head(), kept[7].head()]);
    store.forge(move |_| kept.clone());
    assert_eq!(findings(&store).await, [], "nothing in the store tells of it");
    let findings = verify(store.as_ref(), &[noted]).await.unwrap().findings;
    let fault = Fault::CutOff { noted_by: "the head noted".to_owned() };
    assert_eq!(findings, [Finding { chain: Some(noted.chain), sequence: 4, fault }]);
}

#[tokio::test]
async fn s3_entries_added_behind_the_stores_head_are_found() {
    let store = written().await;
    store.forge(|mut all| {
        let mut more = all[9].clone();
        (more.sequence, more.previous) = (6, all[9].hash);
        more.hash = chain::entry_hash(&more);
        all.push(more);
        all
    });
    let findings = findings(&store).await;
    assert!(
        matches!(findings.as_slice(), [Finding { sequence: 6, fault: Fault::HeadLost, .. }]),
        "{findings:?}"
    );
}

#[tokio::test]
async fn s3_changed_words_about_a_person_are_found() {
    let faults = found(|all| {
        let part = all[2].about.as_mut().unwrap();
        let said = part.said.as_mut().unwrap();
        said.text = said.text.replace("ada", "eve");
    });
    assert_eq!(faults.await, [(3, Fault::WordsChanged { role: "about" })]);
}

#[tokio::test]
async fn e6_an_erased_person_leaves_entries_that_verify_and_words_gone_otherwise_are_found() {
    let store = written().await;
    let (audit, writer) = Audit::start(store.clone(), platform(), Handle::current());
    let by = Actor::Administrator { name: "root".to_owned(), identity: None };
    let identities = [(idp(), ada())];
    let erased = audit.erase_person(store.as_ref(), by, Some(member(7)), &identities, &[]).await.unwrap();
    assert_eq!(erased, 6);
    writer.finish().await;
    let report = verify(store.as_ref(), &[]).await.unwrap();
    assert_eq!((report.findings.as_slice(), report.erased), ([].as_slice(), 6));
    // The words, not the digests: `ada` is good hexadecimal.
    let words = |one: AuditRecord| {
        let said = [&one.actor, &one.about].map(|part| part.as_ref()?.said.clone());
        said.into_iter().flatten().fold(one.body.clone(), |words, said| words + &said.text)
    };
    let left: String = all(&store).await.into_iter().map(words).collect();
    // Whole words: ids are hexadecimal, and some hold these letters.
    let words: Vec<&str> = left.split(|c: char| !c.is_ascii_alphanumeric() && c != '@' && c != '.').collect();
    for gone in ["ada", "192.0.2.1", "ada@example.com"] {
        assert!(!words.contains(&gone), "{gone}");
    }
    let kept = all(&store).await.into_iter().find(|one| one.event == "account_created").unwrap();
    assert!(kept.body.contains("\"role\":\"user\""), "{}", kept.body);

    let root = all(&store).await.into_iter().find(|one| one.event == "member_erased").unwrap();
    let key =
        PartKey { chain: root.chain, sequence: root.sequence, role: crate::model::audit::PartRole::Actor };
    assert_eq!(store.erase_audit_parts(&[key]).await.unwrap(), 1);
    let fault = Fault::WordsGone { missing: 7, told_of: 6 };
    assert_eq!(findings(&store).await, [Finding { chain: None, sequence: 0, fault }]);
}

#[tokio::test]
async fn s3_while_the_store_is_away_entries_wait_and_a_gap_tells_of_those_beyond_the_queue() {
    let store = Arc::new(Tampered::default());
    store.away.store(true, Ordering::SeqCst);
    // Nobody but those who wait has the store tried again.
    let pace = Pace { first_retry: Duration::from_hours(1), ..Pace::default() };
    let (audit, writer) =
        Audit::paced(store.clone(), platform(), Handle::current(), Announcing::default(), (2, pace));
    // On one thread the writer takes nothing meanwhile.
    for _ in 0..5 {
        audit.record(login());
    }
    let full = audit.record_durably(Entry::new(Event::JitEnabled)).await;
    assert!(matches!(full, Err(AuditError::QueueFull)), "{full:?}");
    assert!(audit.flush().await.is_err(), "the store is away");
    assert_eq!(names(&store).await, [""; 0]);
    store.away.store(false, Ordering::SeqCst);
    audit.flush().await.unwrap();
    assert_eq!(names(&store).await, ["audit_chain_began", "audit_gap", "login", "login"]);
    assert!(all(&store).await[1].body.contains("\"lost\":3"), "{}", all(&store).await[1].body);
    writer.finish().await;
    assert_eq!(findings(&store).await, []);
}

#[tokio::test]
async fn s3_what_must_be_recorded_first_is_refused_while_the_store_is_away_and_never_appears() {
    let store = Arc::new(Tampered::default());
    let (audit, writer) = Audit::start(store.clone(), platform(), Handle::current());
    audit.record_durably(Entry::new(Event::JitEnabled)).await.unwrap();
    assert_eq!(names(&store).await, ["audit_chain_began", "jit_enabled"], "it is there when it returns");
    store.away.store(true, Ordering::SeqCst);
    audit.record(login());
    let refused = audit.record_durably(Entry::new(Event::JitDisabled)).await;
    assert!(matches!(refused, Err(AuditError::Store(StoreError::Unavailable { .. }))), "{refused:?}");
    store.away.store(false, Ordering::SeqCst);
    audit.record_durably(Entry::new(Event::TeamCreated)).await.unwrap();
    writer.finish().await;
    let expected = ["audit_chain_began", "jit_enabled", "login", "team_created", "audit_chain_ended"];
    assert_eq!(names(&store).await, expected);
    let late = audit.record_durably(login()).await;
    assert!(matches!(late, Err(AuditError::Ended)), "{late:?}");
}

#[tokio::test]
async fn s3_a_batch_whose_answer_was_lost_is_in_the_chain_once() {
    let store = Arc::new(Tampered::default());
    let (audit, writer) = Audit::start(store.clone(), platform(), Handle::current());
    audit.flush().await.unwrap();
    store.deaf.store(true, Ordering::SeqCst);
    audit.record(login());
    audit.record(Entry::new(Event::TeamCreated));
    assert!(audit.flush().await.is_err());
    audit.record(Entry::new(Event::Logout));
    audit.flush().await.unwrap();
    writer.finish().await;
    let expected = ["audit_chain_began", "login", "team_created", "logout", "audit_chain_ended"];
    assert_eq!(names(&store).await, expected);
    assert_eq!(findings(&store).await, []);
}

#[tokio::test]
async fn s3_a_chain_that_another_has_written_to_ends_and_a_new_one_begins() {
    let store = Arc::new(Tampered::default());
    let (audit, writer) = Audit::start(store.clone(), platform(), Handle::current());
    audit.flush().await.unwrap();
    let [first] = all(&store).await.try_into().unwrap();
    let mut other = first.clone();
    (other.sequence, other.previous) = (2, first.hash);
    other.hash = chain::entry_hash(&other);
    store.inner.append_audit(&[other], &[]).await.unwrap();
    audit.record(login());
    writer.finish().await;
    let by_chain: Vec<_> =
        all(&store).await.iter().map(|one| (one.chain == first.chain, one.event.clone())).collect();
    let logins: Vec<_> = by_chain.iter().filter(|(_, event)| event == "login").collect();
    assert_eq!(logins, [&(false, "login".to_owned())], "{by_chain:?}");
    assert_eq!(findings(&store).await, []);
}

#[tokio::test]
async fn s3_refusals_of_nobody_known_are_one_entry_for_each_reason_and_minute() {
    let store = Arc::new(Tampered::default());
    let (audit, writer) = Audit::start(store.clone(), platform(), Handle::current());
    for _ in 0..10_000 {
        audit.refused(Event::LoginsRefused, "state_unknown");
    }
    audit.refused(Event::RequestsRefused, "misdirected");
    audit.flush().await.unwrap();
    audit.refused(Event::LoginsRefused, "state_unknown");
    writer.finish().await;
    let entries = all(&store).await.into_iter();
    let counted: Vec<String> =
        entries.filter(|one| one.event.ends_with("_refused")).map(|one| one.body).collect();
    let body = |code: &str, count: u64| {
        format!("{{\"actor\":{{\"kind\":\"narthex\"}},\"code\":\"{code}\",\"count\":{count}}}")
    };
    assert_eq!(counted, [body("state_unknown", 10_000), body("misdirected", 1), body("state_unknown", 1)]);
}

#[tokio::test]
async fn s3_refusals_are_counted_up_and_heads_noted_without_anybody_asking() {
    let store = Arc::new(Tampered::default());
    let often =
        || Pace { linking: Duration::from_millis(1), counting: Duration::from_millis(1), ..Pace::default() };
    let start = || {
        Audit::paced(store.clone(), platform(), Handle::current(), Announcing::default(), (QUEUE, often()))
    };
    let (one, first) = start();
    let (other, second) = start();
    one.record_durably(login()).await.unwrap();
    other.record_durably(login()).await.unwrap();
    one.refused(Event::LoginsRefused, "state_unknown");
    let has = async |name: &str| names(&store).await.iter().any(|one| one == name);
    while !(has("audit_heads").await && has("logins_refused").await) {
        tokio::task::yield_now().await;
    }
    first.finish().await;
    second.finish().await;
    assert_eq!(findings(&store).await, []);
}

#[tokio::test]
async fn s3_before_and_after_of_an_account_are_in_the_entry_and_who_it_is_stands_apart() {
    let store = Arc::new(Tampered::default());
    let (audit, writer) = Audit::start(store.clone(), platform(), Handle::current());
    let updated = Entry::new(Event::AccountUpdated).member(member(7)).about(&idp(), &ada());
    audit.record(updated.before(&account("ada", "user")).after(&account("ada", "admin")));
    writer.finish().await;
    let entry = all(&store).await.into_iter().find(|one| one.event == "account_updated").unwrap();
    let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
    assert_eq!(body["before"]["entitlements"]["role"], "user");
    assert_eq!(body["after"]["entitlements"]["role"], "admin");
    // As a value, or in an address: ids are hexadecimal, and some hold these letters.
    assert!(!entry.body.contains("ada\"") && !entry.body.contains("ada@"), "{}", entry.body);
    let said = entry.about.unwrap().said.unwrap();
    assert_eq!(said.whose.member, Some(member(7)));
    let said: serde_json::Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!(said["after"]["profile"]["email"], "ada@example.com");
    assert_eq!(said["account"]["id"], "42");
}

#[tokio::test]
async fn s3_texts_and_entries_have_bounds() {
    let store = Arc::new(Tampered::default());
    let (audit, writer) = Audit::start(store.clone(), platform(), Handle::current());
    let long = "ü".repeat(100_000);
    let teams = (0..20_000).map(|number| (format!("team {number}"), None)).collect();
    let many =
        Account { entitlements: Entitlements { teams, ..Entitlements::default() }, ..account("ada", "x") };
    audit.record(
        Entry::new(Event::AccountUpdated).personal("reason", &long).field("count", 1_u64).after(&many),
    );
    writer.finish().await;
    let entry = all(&store).await.into_iter().find(|one| one.event == "account_updated").unwrap();
    let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
    assert_eq!((&body["count"], &body["too_long"]), (&1.into(), &serde_json::json!(["after"])));
    assert!(entry.about.unwrap().said.unwrap().text.len() < 4096);
}

#[tokio::test]
async fn without_randomness_nothing_is_recorded_unsalted() {
    struct Dry;
    impl Entropy for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), NoEntropy> {
            Err(NoEntropy)
        }
    }
    let store = Arc::new(Tampered::default());
    let dry = Platform { clock: Arc::<Ticking>::default(), entropy: Arc::new(Dry) };
    let (audit, writer) = Audit::start(store.clone(), dry, Handle::current());
    let refused = audit.record_durably(login()).await;
    assert!(matches!(refused, Err(AuditError::NoEntropy)), "{refused:?}");
    writer.finish().await;
    assert_eq!(all(&store).await, []);
}

#[tokio::test]
async fn s3_no_byte_of_the_store_holds_a_secret_that_an_entry_was_built_beside() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Sqlite::open(&folder.path().join("narthex.db")).await.unwrap());
    let (audit, writer) = Audit::start(store.clone(), platform(), Handle::current());
    let secret = Secret::new("hunter2-planted");
    // The only ways in are texts and typed values: of a secret, there is its Debug form.
    audit.record(login().personal("reason", &format!("refused with {secret:?}")));
    audit.record(Entry::new(Event::LoginRefused).error_id(&ErrorId::from_random([7; 8])).code("denied"));
    writer.finish().await;
    store.close().await;
    let bytes = std::fs::read(folder.path().join("narthex.db")).unwrap();
    let holds = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(holds("refused with") && !holds(secret.expose()));
}
