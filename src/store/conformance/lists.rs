//! What every store does with what administrators look at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::NOW;
use crate::model::invite::{Invite, InviteId, InviteTerms};
use crate::model::letter::{Channel, Letter};
use crate::model::session::{SessionAccount, SessionContent};
use crate::model::{
    AccountId, AccountProfile, AccountState, Claims, EmailAddress, Grant, Identity, IdpId, Item, Leaving,
    Loan, Loans, Member, MemberId, MemberStatus, Origin, SessionHash, SessionRecord, Subject, Task,
};
use crate::store::lists::{MembersLike, Owed, SessionsOf};
use crate::store::{JobOutcome, Store, StoreError, Update};

const NONE: [u8; 0] = [];
const NONE_ENDED: [SessionHash; 0] = [];

fn idp(name: &str) -> IdpId {
    name.parse().unwrap()
}

fn subject(name: &str) -> Subject {
    Subject::parse(name).unwrap()
}

fn id(number: u8) -> MemberId {
    MemberId(uuid::Uuid::from_bytes([number; 16]))
}

fn session(number: u8, provider: &str, member: Option<u8>) -> SessionRecord {
    let account = member.map(|member| SessionAccount {
        member: id(member),
        id: AccountId(format!("account {member}")),
        profile: AccountProfile {
            username: format!("user {member}"),
            email: None,
            display_name: None,
            attributes: BTreeMap::new(),
        },
    });
    SessionRecord {
        hash: SessionHash([number; 32]),
        content: SessionContent {
            idp: idp(provider),
            subject: subject("ada"),
            logout_name: "ada".to_owned(),
            idp_session: None,
            account,
            claims: Claims::default(),
            grant: Grant::default(),
            logout_hint: None,
        },
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: NOW.after(Duration::from_hours(12)),
    }
}

/// Sessions 1 to 6: member 7's, member 8's, and none's in turns; the last three by another provider.
async fn six_sessions(store: &Arc<dyn Store>) {
    member(store, 7, "seven", None).await;
    member(store, 8, "eight", None).await;
    for (number, provider, member) in [
        (1, "corp", Some(7)),
        (2, "corp", Some(8)),
        (3, "corp", None),
        (4, "partner", Some(7)),
        (5, "partner", Some(8)),
        (6, "partner", None),
    ] {
        store.insert_session(&session(number, provider, member), 20).await.unwrap();
    }
}

async fn listed(
    store: &Arc<dyn Store>,
    of: &SessionsOf,
    before: Option<i64>,
    limit: usize,
) -> Vec<(u8, i64)> {
    let rows = store.list_sessions(of, before, limit).await.unwrap();
    rows.iter().map(|row| (row.hash.0[0], row.ordinal)).collect()
}

fn numbers(listed: &[(u8, i64)]) -> Vec<u8> {
    listed.iter().map(|(number, _)| *number).collect()
}

pub(super) async fn sessions_are_listed_newest_first_and_in_pages(store: &Arc<dyn Store>) {
    six_sessions(store).await;
    let all = listed(store, &SessionsOf::Everybody, None, 10).await;
    assert_eq!(numbers(&all), [6, 5, 4, 3, 2, 1]);
    let first = listed(store, &SessionsOf::Everybody, None, 4).await;
    assert_eq!(numbers(&first), [6, 5, 4, 3]);
    let second = listed(store, &SessionsOf::Everybody, Some(first[3].1), 4).await;
    assert_eq!(numbers(&second), [2, 1]);
    store.end_session(&SessionHash([5; 32])).await.unwrap();
    assert_eq!(numbers(&listed(store, &SessionsOf::Everybody, None, 2).await), [6, 4]);
}

pub(super) async fn sessions_are_listed_by_member_and_by_identity(store: &Arc<dyn Store>) {
    six_sessions(store).await;
    assert_eq!(numbers(&listed(store, &SessionsOf::Member(id(7)), None, 10).await), [4, 1]);
    assert_eq!(numbers(&listed(store, &SessionsOf::Member(id(9)), None, 10).await), NONE);
    let of = SessionsOf::Identity(idp("partner"), subject("ada"));
    assert_eq!(numbers(&listed(store, &of, None, 10).await), [6, 5, 4]);
    let of = SessionsOf::Identity(idp("partner"), subject("bob"));
    assert_eq!(numbers(&listed(store, &of, None, 10).await), NONE);
    let rows = store.list_sessions(&SessionsOf::Everybody, None, 2).await.unwrap();
    assert_eq!((rows[0].member, rows[0].username.as_deref()), (None, None));
    assert_eq!((rows[1].member, rows[1].username.as_deref()), (Some(id(8)), Some("user 8")));
    assert_eq!((rows[1].idp.as_str(), rows[1].subject.as_str()), ("partner", "ada"));
    assert_eq!((rows[1].created_at, rows[1].expires_at), (NOW, NOW.after(Duration::from_hours(12))));
}

pub(super) async fn e4_all_sessions_of_a_member_end_and_no_others(store: &Arc<dyn Store>) {
    six_sessions(store).await;
    let mut ended = store.end_sessions_of_member(id(7)).await.unwrap();
    ended.sort_unstable();
    assert_eq!(ended, [SessionHash([1; 32]), SessionHash([4; 32])]);
    assert_eq!(numbers(&listed(store, &SessionsOf::Everybody, None, 10).await), [6, 5, 3, 2]);
    assert_eq!(store.end_sessions_of_member(id(7)).await.unwrap(), NONE_ENDED);
}

pub(super) async fn all_sessions_of_a_provider_end_and_no_others(store: &Arc<dyn Store>) {
    six_sessions(store).await;
    let mut ended = store.end_sessions_of_idp(&idp("partner")).await.unwrap();
    ended.sort_unstable();
    assert_eq!(ended, [4, 5, 6].map(|number| SessionHash([number; 32])));
    assert_eq!(numbers(&listed(store, &SessionsOf::Everybody, None, 10).await), [3, 2, 1]);
    assert_eq!(store.end_sessions_of_idp(&idp("partner")).await.unwrap(), NONE_ENDED);
    assert_eq!(store.end_sessions_of_idp(&idp("nobody")).await.unwrap(), NONE_ENDED);
}

pub(super) async fn all_sessions_end_at_once(store: &Arc<dyn Store>) {
    six_sessions(store).await;
    assert_eq!(store.end_all_sessions().await.unwrap().len(), 6);
    assert_eq!(numbers(&listed(store, &SessionsOf::Everybody, None, 10).await), NONE);
    assert_eq!(store.end_all_sessions().await.unwrap(), NONE_ENDED);
}

async fn member(store: &Arc<dyn Store>, number: u8, username: &str, email: Option<&str>) {
    let identities = vec![(idp("corp"), subject(username)), (idp("partner"), subject(&format!("p{number}")))];
    let member = Member {
        identities,
        username: username.to_owned(),
        email: email.map(str::to_owned),
        origin: Origin::Adopted,
        generation: 3,
        last_login_at: NOW.after(Duration::from_secs(u64::from(number))),
        ..Member::for_tests(number, NOW)
    };
    let (provider, name) = &member.identities[0];
    store.begin_creation(provider, name, 1, NOW, NOW.after(Duration::from_mins(1))).await.unwrap();
    store.finish_creation(&member, 1, None).await.unwrap().unwrap();
}

async fn four_members(store: &Arc<dyn Store>) {
    member(store, 1, "Ada", Some("ada@example.com")).await;
    member(store, 2, "bob", Some("Adam@example.com")).await;
    member(store, 3, "adele", None).await;
    member(store, 4, "Ädel_%", Some("x@example.com")).await;
}

async fn found(store: &Arc<dyn Store>, like: MembersLike, after: Option<MemberId>, limit: usize) -> Vec<u8> {
    let rows = store.list_members(&like, after, limit).await.unwrap();
    rows.iter().map(|row| row.id.0.as_bytes()[0]).collect()
}

pub(super) async fn members_are_listed_by_id_and_in_pages(store: &Arc<dyn Store>) {
    four_members(store).await;
    assert_eq!(found(store, MembersLike::Everybody, None, 3).await, [1, 2, 3]);
    assert_eq!(found(store, MembersLike::Everybody, Some(id(3)), 3).await, [4]);
    assert_eq!(store.count_members().await.unwrap(), 4);
    assert_eq!(found(store, MembersLike::Id(id(2)), None, 3).await, [2]);
    assert_eq!(found(store, MembersLike::Id(id(9)), None, 3).await, NONE);
    let rows = store.list_members(&MembersLike::Id(id(2)), None, 1).await.unwrap();
    let row = &rows[0];
    assert_eq!((row.username.as_str(), row.email.as_deref()), ("bob", Some("Adam@example.com")));
    assert_eq!(row.identities, [(idp("corp"), subject("bob")), (idp("partner"), subject("p2"))]);
    assert_eq!((row.origin, row.status, row.generation), (Origin::Adopted, MemberStatus::Active, 3));
    assert_eq!((row.created_at, row.last_login_at), (NOW, NOW.after(Duration::from_secs(2))));
}

pub(super) async fn members_are_found_by_the_beginning_of_address_or_username(store: &Arc<dyn Store>) {
    four_members(store).await;
    let like = |text: &str| MembersLike::Beginning(text.to_owned());
    assert_eq!(found(store, like("ad"), None, 9).await, [1, 2, 3]);
    assert_eq!(found(store, like("ADA"), None, 9).await, [1, 2]);
    assert_eq!(found(store, like("ad"), Some(id(1)), 1).await, [2]);
    assert_eq!(found(store, like("Ädel_"), None, 9).await, [4]);
    // Neither folded beyond ASCII, nor a pattern, nor found in the middle.
    for none in ["ädel", "Ädel__", "a%", "dam", "example.com", "zz"] {
        assert_eq!(found(store, like(none), None, 9).await, NONE, "{none}");
    }
    assert_eq!(found(store, like(""), None, 9).await, [1, 2, 3, 4]);
}

pub(super) async fn members_are_found_by_account_and_by_identity(store: &Arc<dyn Store>) {
    four_members(store).await;
    let account = |text: &str| MembersLike::Account(AccountId(text.to_owned()));
    assert_eq!(found(store, account("account 3"), None, 9).await, [3]);
    assert_eq!(found(store, account("Account 3"), None, 9).await, NONE);
    let identity = |provider, name| MembersLike::Identity(idp(provider), subject(name));
    assert_eq!(found(store, identity("partner", "p4"), None, 9).await, [4]);
    assert_eq!(found(store, identity("corp", "p4"), None, 9).await, NONE);
}

pub(super) async fn f8_whether_a_member_came_with_an_address_is_known(store: &Arc<dyn Store>) {
    four_members(store).await;
    let address = |text: &str| EmailAddress::parse(text).unwrap();
    let came = async |number: u8, text: &str| store.came_with(id(number), &address(text)).await.unwrap();
    assert!(!came(1, "ada@example.com").await, "what the application has is nobody's word");
    store.note_email(&idp("partner"), &subject("p1"), &address("Ada@Example.com")).await.unwrap();
    assert!(came(1, "ada@example.com").await && came(1, "ADA@example.com").await);
    assert!(!came(2, "ada@example.com").await && !came(9, "ada@example.com").await);
    assert!(!came(1, "xada@example.com").await);
    store.note_email(&idp("partner"), &subject("p1"), &address("ida@example.com")).await.unwrap();
    assert!(!came(1, "ada@example.com").await, "it came with another since");
}

/// A member with a session, an unfinished creation's job and one of its own, an invite, and letters.
async fn with_traces(store: &Arc<dyn Store>, number: u8, name: &str) -> Member {
    let identity = (idp("corp"), subject(name));
    let member = Member {
        identities: vec![identity.clone()],
        email: Some(format!("{name}@example.com")),
        ..Member::for_tests(number, NOW)
    };
    let until = NOW.after(Duration::from_mins(1));
    store.begin_creation(&identity.0, &identity.1, 1, NOW, until).await.unwrap();
    store.finish_creation(&member, 1, Some(until)).await.unwrap().unwrap();
    let account = SessionAccount {
        member: member.id,
        id: member.account.clone().unwrap(),
        profile: AccountProfile::default(),
    };
    let mut record = session(number, "corp", None);
    record.content = SessionContent { subject: identity.1.clone(), account: Some(account), ..record.content };
    store.insert_session(&record, 20).await.unwrap();
    let mut alone = session(number + 100, "corp", None);
    alone.content.subject = identity.1.clone();
    store.insert_session(&alone, 20).await.unwrap();
    let address = EmailAddress::parse(&format!("{name}@Work.example")).unwrap();
    store.note_email(&identity.0, &identity.1, &address).await.unwrap();
    let invite = Invite {
        id: InviteId(uuid::Uuid::from_bytes([number; 16])),
        terms: InviteTerms {
            email: address,
            idp: None,
            entitlements: crate::model::Entitlements::default(),
            cloned_from: None,
        },
        invited_by: "anna".to_owned(),
        changed_by: Vec::new(),
        created_at: NOW,
        expires_at: until,
        revision: 1,
        claimed: None,
        member: None,
        revoked_at: None,
        sends: 0,
        sent_at: None,
    };
    store.add_invite(&invite).await.unwrap();
    let letter = |place: u8, recipient: &str, body: String| Letter {
        id: uuid::Uuid::from_bytes([number * 10 + place; 16]),
        channel: Channel::Email,
        recipient: recipient.to_owned(),
        subject: String::new(),
        body,
        written_at: NOW,
    };
    let letters = [
        letter(1, &format!("{name}@EXAMPLE.com"), String::new()),
        letter(2, "root@example.com", format!("subject: {name}\nrest")),
        letter(3, "root@example.com", format!("member: {}", member.id)),
        letter(4, "root@example.com", format!("{{\"subject\":\"{name}\"}}")),
    ];
    store.put_letters(&letters).await.unwrap();
    let (idp, subject) = identity;
    let task = Task::AbandonedCreation { idp, subject, username: name.to_owned(), email: None };
    store.put_job(&task, until).await.unwrap();
    let identity = Identity {
        idp: member.identities[0].0.clone(),
        subject: member.identities[0].1.clone(),
        logout_name: name.to_owned(),
        idp_session: None,
        authenticated_at: None,
        claims: Claims::default(),
        ends_at: None,
    };
    let task = Task::CatchUp { member: member.id, generation: 1, at: NOW, identity: Box::new(identity) };
    store.put_job(&task, until).await.unwrap();
    member
}

pub(super) async fn e6_of_an_erased_member_nothing_is_left_and_of_others_everything(store: &Arc<dyn Store>) {
    // Nor is a name taken for a pattern, or for the beginning of another.
    let (ada, other) = (with_traces(store, 1, "a_a").await, with_traces(store, 2, "aaa").await);
    with_traces(store, 3, "a_aa").await;
    let addresses = store.addresses_of(ada.id).await.unwrap();
    let erased = store.erase_member(ada.id, NOW).await.unwrap().unwrap();
    assert_eq!(addresses, erased.emails);
    assert!(store.addresses_of(ada.id).await.unwrap().is_empty());
    assert_eq!(erased.identities, ada.identities);
    let mut sessions = erased.sessions;
    sessions.sort();
    assert_eq!(sessions, [SessionHash([1; 32]), SessionHash([101; 32])]);
    let emails: Vec<&str> = erased.emails.iter().map(String::as_str).collect();
    assert_eq!(emails, ["a_a@example.com", "a_a@work.example"]);
    assert_eq!((erased.invites, erased.letters), (1, 4));

    let (provider, person) = &ada.identities[0];
    assert_eq!(store.find_member(provider, person).await.unwrap(), None);
    assert_eq!(store.find_member_by_id(ada.id).await.unwrap(), None);
    assert_eq!(store.find_member_by_account(ada.account.as_ref().unwrap()).await.unwrap(), None);
    for number in [1, 101] {
        assert_eq!(store.find_session(&SessionHash([number; 32])).await.unwrap(), None);
    }
    assert_eq!(store.find_member_by_id(other.id).await.unwrap(), Some(other.clone()));
    for number in [2, 102, 3, 103] {
        assert!(store.find_session(&SessionHash([number; 32])).await.unwrap().is_some());
    }
    assert_eq!(store.list_jobs(9).await.unwrap().len(), 6, "three of each of the others");
    assert_eq!(store.list_invites(None, 9).await.unwrap().len(), 2);
    let left = store.claim_letters(1, NOW, NOW.after(Duration::from_mins(1)), 99).await.unwrap();
    assert_eq!(left.len(), 8);
    let again = store.erase_member(ada.id, NOW).await;
    assert!(matches!(again, Err(StoreError::Gone { act: "erase_member", .. })), "{again:?}");
    // The identity begins anew, and the account may be another member's.
    let anew = Member { id: id(9), ..ada };
    let (provider, person) = &anew.identities[0];
    let until = NOW.after(Duration::from_mins(1));
    store.begin_creation(provider, person, 1, NOW, until).await.unwrap();
    store.finish_creation(&anew, 1, None).await.unwrap().unwrap();
    let blocked = Member { status: MemberStatus::Blocked, ..anew.clone() };
    store.update_member(&blocked, Update::default()).await.unwrap();
    assert!(
        !store.is_blocked_email("a_a@work.example").await.unwrap(),
        "what it came with is forgotten, too"
    );
}

pub(super) async fn g6_a_blocked_member_is_not_erased(store: &Arc<dyn Store>) {
    let ada = with_traces(store, 1, "ada").await;
    let blocked = Member { status: MemberStatus::Blocked, ..ada };
    store.update_member(&blocked, Update::default()).await.unwrap();
    let refused = store.erase_member(blocked.id, NOW).await;
    assert!(matches!(refused, Err(StoreError::Conflict { act: "erase_member", .. })), "{refused:?}");
    let (provider, person) = &blocked.identities[0];
    assert!(store.find_member(provider, person).await.unwrap().is_some());
    assert!(store.find_session(&SessionHash([1; 32])).await.unwrap().is_some());
    assert_eq!(store.list_invites(None, 9).await.unwrap().len(), 1);
}

pub(super) async fn e6_a_member_for_whom_something_is_owed_to_the_application_is_not_erased(
    store: &Arc<dyn Store>,
) {
    let ada = with_traces(store, 1, "ada").await;
    let refused = async |expected: Owed| {
        let refused = store.erase_member(ada.id, NOW).await.unwrap();
        assert_eq!(refused, Err(expected));
        let left = store.find_member_by_id(ada.id).await.unwrap().unwrap();
        assert!(store.find_session(&SessionHash([1; 32])).await.unwrap().is_some());
        assert_eq!(store.list_jobs(9).await.unwrap().len(), 3);
        left.revision
    };
    let loan = Loan { before: Some("user".to_owned()), put: [Some("admin".to_owned())].into() };
    let lent = Loans([(Item::Role, loan)].into());
    let mut revision = ada.revision;
    for (owing, expected) in [
        (Member { leaving: Some(Leaving::Deactivate), ..ada.clone() }, Owed::Leaving),
        (Member { account_state: AccountState::Leaving, ..ada.clone() }, Owed::Leaving),
        (Member { borrowed: lent.clone(), ..ada.clone() }, Owed::Loans),
        (Member { ephemeral_until: Some(NOW), ..ada.clone() }, Owed::Ephemeral),
        (
            Member {
                leaving: Some(Leaving::Delete),
                account_state: AccountState::Deactivated,
                ..ada.clone()
            },
            Owed::Leaving,
        ),
    ] {
        let owing = Member { revision, ..owing };
        revision = store.update_member(&owing, Update::default()).await.unwrap().revision;
        assert_eq!(refused(expected).await, revision, "nothing was written");
    }
    let nothing = [
        Member { ephemeral_until: Some(NOW), origin: Origin::Adopted, ..ada.clone() },
        Member {
            leaving: Some(Leaving::Deactivate),
            account_state: AccountState::Deactivated,
            ..ada.clone()
        },
        Member { account: None, account_state: AccountState::Deleted, borrowed: lent, ..ada.clone() },
    ];
    for member in nothing {
        assert_eq!(Owed::of(&member), None, "{member:?}");
    }
    store.update_member(&Member { revision, ..ada.clone() }, Update::default()).await.unwrap();
    // Somebody is at work on the account.
    let until = NOW.after(Duration::from_mins(1));
    store.hold_member(ada.id, 7, NOW, until).await.unwrap();
    refused(Owed::Work { until }).await;
    store.release_member(ada.id, 7).await.unwrap();
    store.hold_member(ada.id, 7, NOW.before(Duration::from_mins(1)), NOW).await.unwrap();
    store.erase_member(ada.id, NOW).await.unwrap().unwrap();
    assert_eq!(store.find_member_by_id(ada.id).await.unwrap(), None);

    // M3: what the SCIM client said last.
    let pushed = Member { identities: vec![(IdpId::scim(), subject("u1"))], ..Member::for_tests(2, NOW) };
    let (provider, person) = &pushed.identities[0];
    store.begin_creation(provider, person, 1, NOW, until).await.unwrap();
    store.finish_creation(&pushed, 1, None).await.unwrap().unwrap();
    store.put_job(&Task::Push { user: "u2".to_owned() }, NOW).await.unwrap();
    let push = Task::Push { user: "u1".to_owned() };
    store.put_job(&push, NOW.before(Duration::from_secs(1))).await.unwrap();
    assert_eq!(store.erase_member(pushed.id, NOW).await.unwrap(), Err(Owed::Push));
    let claimed = store.claim_job(1, NOW, until).await.unwrap().unwrap();
    assert_eq!(claimed.job.task, push);
    store.conclude_job(&claimed, &JobOutcome::Done).await.unwrap();
    store.erase_member(pushed.id, NOW).await.unwrap().unwrap();
}
