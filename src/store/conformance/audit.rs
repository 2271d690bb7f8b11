//! What every store does with the audit log.

use std::sync::Arc;

use super::{NOW, a_hundred_times};
use crate::model::audit::{AuditPart, AuditQuery, PartKey, PartRole, Said, Whose};
use crate::model::letter::{Channel, Letter};
use crate::model::{AuditHead, AuditRecord, ChainId, IdpId, MemberId, Subject, UnixTime};
use crate::store::{Store, StoreError};

fn chain(number: u8) -> ChainId {
    ChainId(uuid::Uuid::from_bytes([number; 16]))
}

fn member(number: u8) -> MemberId {
    MemberId(uuid::Uuid::from_bytes([number; 16]))
}

fn identity(subject: &str) -> (IdpId, Subject) {
    ("corp".parse().unwrap(), Subject::parse(subject).unwrap())
}

fn part(member: Option<MemberId>, subject: Option<&str>) -> AuditPart {
    let whose = Whose { member, identity: subject.map(identity) };
    AuditPart {
        digest: [0xd1; 32],
        said: Some(Said { whose, salt: [0x5a; 32], text: "{\"name\":\"Ädä\"}".to_owned() }),
    }
}

/// An entry without people; its hash is its sequence.
fn entry(of: u8, sequence: u8) -> AuditRecord {
    AuditRecord {
        chain: chain(of),
        sequence: sequence.into(),
        at: UnixTime(NOW.0 + i64::from(sequence)),
        event: "login".to_owned(),
        member: None,
        body: "{}".to_owned(),
        actor: None,
        about: None,
        previous: [sequence - 1; 32],
        hash: [sequence; 32],
    }
}

fn conflict(result: &Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict { act: "append_audit", .. }))
}

async fn everything(store: &Arc<dyn Store>) -> Vec<AuditRecord> {
    store.read_audit(None, 1000).await.unwrap()
}

async fn places(store: &Arc<dyn Store>, query: AuditQuery) -> Vec<(u8, u64)> {
    let found = store.list_audit(&query).await.unwrap();
    found.iter().map(|one| (one.chain.0.as_bytes()[0], one.sequence)).collect()
}

pub(super) async fn s3_an_entry_is_read_as_it_was_appended(store: &Arc<dyn Store>) {
    let whole = AuditRecord {
        member: Some(member(9)),
        body: "{\"a\":\"\u{1f980}\"}".to_owned(),
        actor: Some(part(None, Some("root"))),
        about: Some(part(Some(member(9)), None)),
        ..entry(1, 1)
    };
    let bare = entry(1, 2);
    store.append_audit(&[whole.clone(), bare.clone()], &[]).await.unwrap();
    assert_eq!(everything(store).await, [whole.clone(), bare.clone()]);
    assert_eq!(store.list_audit(&AuditQuery::default()).await.unwrap(), [whole, bare]);
}

pub(super) async fn s4_letters_are_put_with_the_entries_that_they_tell_of(store: &Arc<dyn Store>) {
    let letter = |number: u8| Letter {
        id: uuid::Uuid::from_bytes([number; 16]),
        channel: Channel::Email,
        recipient: "root@example.com".to_owned(),
        subject: "an account was made".to_owned(),
        body: "text".to_owned(),
        written_at: NOW,
    };
    store.append_audit_and_letters(&[entry(1, 1)], &[], &[letter(1), letter(2)]).await.unwrap();
    assert!(conflict(&store.append_audit_and_letters(&[entry(1, 1)], &[], &[letter(3)]).await));
    let claimed = store.claim_letters(7, NOW, UnixTime(NOW.0 + 60), 10).await.unwrap();
    let claimed: Vec<Letter> = claimed.into_iter().map(|one| one.letter).collect();
    assert_eq!(claimed, [letter(1), letter(2)], "none of an entry that is not there");
}

pub(super) async fn s3_a_chain_is_appended_to_at_its_end_only(store: &Arc<dyn Store>) {
    assert!(conflict(&store.append_audit(&[entry(1, 2)], &[]).await), "a chain begins with its first");
    store.append_audit(&[entry(1, 1), entry(1, 2)], &[]).await.unwrap();
    for (why, wrong) in [
        ("the first again", entry(1, 1)),
        ("the last again", entry(1, 2)),
        ("a gap", entry(1, 4)),
        ("another predecessor", AuditRecord { previous: [9; 32], ..entry(1, 3) }),
    ] {
        assert!(conflict(&store.append_audit(&[wrong], &[]).await), "{why}");
    }
    assert_eq!(everything(store).await.len(), 2);
    store.append_audit(&[entry(1, 3)], &[]).await.unwrap();
    store.append_audit(&[], &[]).await.unwrap();
    assert_eq!(everything(store).await.len(), 3);
}

pub(super) async fn s3_of_a_hundred_appended_at_once_exactly_one_goes_on(store: &Arc<dyn Store>) {
    store.append_audit(&[entry(1, 1)], &[]).await.unwrap();
    let appended = a_hundred_times(store, |store, number| async move {
        let one = AuditRecord { body: number.to_string(), ..entry(1, 2) };
        match store.append_audit(&[one], &[]).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    })
    .await;
    assert_eq!(appended.iter().filter(|went| **went).count(), 1);
    assert_eq!(everything(store).await.len(), 2);
}

pub(super) async fn s3_heads_tell_how_far_each_chain_has_come(store: &Arc<dyn Store>) {
    assert_eq!(store.audit_heads().await.unwrap(), []);
    store.append_audit(&[entry(2, 1)], &[]).await.unwrap();
    store.append_audit(&[entry(1, 1), entry(1, 2)], &[]).await.unwrap();
    store.append_audit(&[entry(1, 3)], &[]).await.unwrap();
    let head =
        |of, sequence: u8| AuditHead { chain: chain(of), sequence: sequence.into(), hash: [sequence; 32] };
    assert_eq!(store.audit_heads().await.unwrap(), [head(1, 3), head(2, 1)]);
}

pub(super) async fn s3_a_head_is_loose_until_another_chain_has_noted_it(store: &Arc<dyn Store>) {
    store.append_audit(&[entry(1, 1)], &[]).await.unwrap();
    store.append_audit(&[entry(2, 1)], &[]).await.unwrap();
    let loose = async |own| -> Vec<u8> {
        let heads = store.loose_audit_heads(chain(own), 10).await.unwrap();
        heads.iter().map(|head| head.chain.0.as_bytes()[0]).collect()
    };
    assert_eq!(loose(3).await, [1, 2]);
    assert_eq!(loose(1).await, [2], "its own head is no news to a chain");
    assert_eq!(store.loose_audit_heads(chain(3), 1).await.unwrap().len(), 1);
    store.append_audit(&[entry(3, 1)], &[entry(1, 1).head(), entry(2, 1).head()]).await.unwrap();
    assert_eq!(loose(3).await, [0_u8; 0]);
    store.append_audit(&[entry(1, 2)], &[]).await.unwrap();
    assert_eq!(loose(3).await, [1], "it has moved on");
    assert!(conflict(&store.append_audit(&[entry(3, 3)], &[entry(1, 2).head()]).await));
    assert_eq!(loose(3).await, [1], "what is not appended notes nothing");
    store.append_audit(&[entry(3, 2)], &[entry(1, 1).head()]).await.unwrap();
    assert_eq!(loose(3).await, [1], "an older head takes nothing back");
}

pub(super) async fn s3_the_log_is_read_page_by_page_by_chain(store: &Arc<dyn Store>) {
    store.append_audit(&[entry(2, 1), entry(2, 2)], &[]).await.unwrap();
    store.append_audit(&[entry(1, 1), entry(1, 2)], &[]).await.unwrap();
    let mut after = None;
    let mut read = Vec::new();
    loop {
        let page = store.read_audit(after, 1).await.unwrap();
        let [one] = page.as_slice() else { break };
        read.push((one.chain, one.sequence));
        after = read.last().copied();
    }
    assert_eq!(read, [(chain(1), 1), (chain(1), 2), (chain(2), 1), (chain(2), 2)]);
}

pub(super) async fn s3_entries_are_listed_by_time_member_and_event(store: &Arc<dyn Store>) {
    let of_member = AuditRecord { member: Some(member(7)), ..entry(2, 2) };
    let logout = AuditRecord { event: "logout".to_owned(), ..entry(2, 3) };
    store.append_audit(&[entry(2, 1), of_member, logout], &[]).await.unwrap();
    store.append_audit(&[entry(1, 1), entry(1, 2)], &[]).await.unwrap();
    let all = AuditQuery::default;
    assert_eq!(places(store, all()).await, [(1, 1), (2, 1), (1, 2), (2, 2), (2, 3)]);
    let newest = AuditQuery { newest_first: true, ..all() };
    assert_eq!(places(store, newest.clone()).await, [(2, 3), (2, 2), (1, 2), (2, 1), (1, 1)]);
    let second = UnixTime(NOW.0 + 2);
    assert_eq!(places(store, AuditQuery { since: second, ..all() }).await, [(1, 2), (2, 2), (2, 3)]);
    assert_eq!(places(store, AuditQuery { until: second, ..all() }).await, [(1, 1), (2, 1)]);
    assert_eq!(places(store, AuditQuery { member: Some(member(7)), ..all() }).await, [(2, 2)]);
    let event = Some("logout".to_owned());
    assert_eq!(places(store, AuditQuery { event, ..all() }).await, [(2, 3)]);
    let place = Some((second, chain(1), 2));
    assert_eq!(places(store, AuditQuery { after: place, limit: 1, ..all() }).await, [(2, 2)]);
    assert_eq!(places(store, AuditQuery { after: place, limit: 1, ..newest }).await, [(2, 1)]);
}

pub(super) async fn e6_what_is_said_of_a_person_is_found_and_erased_and_the_digests_stay(
    store: &Arc<dyn Store>,
) {
    let signed_in = AuditRecord { actor: Some(part(Some(member(7)), Some("ada"))), ..entry(1, 1) };
    let before_membership = AuditRecord { actor: Some(part(None, Some("ada"))), ..entry(1, 2) };
    let by_bob = AuditRecord {
        actor: Some(part(None, Some("bob"))),
        about: Some(part(Some(member(7)), None)),
        ..entry(1, 3)
    };
    let records = [signed_in, before_membership, by_bob];
    store.append_audit(&records, &[]).await.unwrap();
    let key = |sequence, role| PartKey { chain: chain(1), sequence, role };
    let hers = [key(1, PartRole::Actor), key(2, PartRole::Actor), key(3, PartRole::About)];
    let ada = [identity("ada")];
    assert_eq!(store.find_audit_parts(Some(member(7)), &ada, &[]).await.unwrap(), hers);
    assert_eq!(store.find_audit_parts(None, &ada, &[]).await.unwrap(), hers[..2]);
    assert_eq!(
        store.find_audit_parts(None, &[], &[]).await.unwrap(),
        [],
        "what is nobody's is not everybody's"
    );
    assert_eq!(store.find_audit_parts(Some(member(8)), &[identity("eve")], &[]).await.unwrap(), []);

    assert_eq!(store.erase_audit_parts(&hers).await.unwrap(), 3);
    assert_eq!(store.erase_audit_parts(&hers).await.unwrap(), 0, "it is erased once");
    assert_eq!(store.find_audit_parts(Some(member(7)), &ada, &[]).await.unwrap(), []);
    let mut expected = records;
    expected[0].actor.as_mut().unwrap().said = None;
    expected[1].actor.as_mut().unwrap().said = None;
    expected[2].about.as_mut().unwrap().said = None;
    assert_eq!(everything(store).await, expected, "bob's part is there, and so are all digests");
}

pub(super) async fn e6_what_names_nobody_is_found_by_a_word_that_stands_there_whole(store: &Arc<dyn Store>) {
    let said = |text: &str, of: Option<&str>| {
        let mut part = part(None, of);
        part.said.as_mut().unwrap().text = text.to_owned();
        Some(part)
    };
    let records = [
        AuditRecord { about: said("{\"email\":\"Ada_L@example.com\"}", None), ..entry(1, 1) },
        AuditRecord { about: said("{\"email\":\"Ada_L@example.com\"}", Some("bob")), ..entry(1, 2) },
        AuditRecord { about: said("{\"email\":\"AdaXL@example.com\"}", None), ..entry(1, 3) },
        AuditRecord { actor: said("{\"name\":\"an ada_l@example.com\"}", None), ..entry(1, 4) },
    ];
    store.append_audit(&records, &[]).await.unwrap();
    let words = ["ada_l@EXAMPLE.com".to_owned(), "nobody".to_owned()];
    let key = PartKey { chain: chain(1), sequence: 1, role: PartRole::About };
    assert_eq!(store.find_audit_parts(None, &[], &words).await.unwrap(), [key]);
    let bob = store.find_audit_parts(None, &[identity("bob")], &words).await.unwrap();
    assert_eq!(bob.iter().map(|key| key.sequence).collect::<Vec<_>>(), [1, 2]);
}
