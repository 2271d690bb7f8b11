//! What every store does with what SCIM clients keep.

use std::sync::Arc;

use super::{NOW, a_hundred_times};
use crate::model::scim::{ScimKind, ScimLink, ScimResource};
use crate::model::{IdpId, Member, Subject, Task, UnixTime};
use crate::store::{JobOutcome, ScimWhich, ScimWrite, Store};

fn user(id: &str, name: &str) -> ScimResource {
    ScimResource {
        id: id.to_owned(),
        kind: ScimKind::User,
        revision: 1,
        body: format!("{{\"userName\":\"{name}\"}}"),
        user_name: Some(name.to_owned()),
        external_id: Some(format!("X-{name}")),
        email: Some(format!("{name}@example.com")),
        display_name: Some(name.to_uppercase()),
        display_key: Some(name.to_owned()),
        created_at: NOW,
        modified_at: UnixTime(NOW.0 + 1),
    }
}

fn group(id: &str, name: &str) -> ScimResource {
    ScimResource { kind: ScimKind::Group, user_name: None, external_id: None, email: None, ..user(id, name) }
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

async fn made(store: &Arc<dyn Store>, resource: &ScimResource, members: &[&str]) {
    assert_eq!(store.create_scim(resource, &ids(members)).await.unwrap(), ScimWrite::Done);
}

async fn members(store: &Arc<dyn Store>, group: &str) -> Vec<String> {
    let links = store.list_scim_links(ScimKind::Group, &ids(&[group]), 1000).await.unwrap();
    links.into_iter().map(|link| link.user).collect()
}

pub(super) async fn a_resource_is_found_as_it_was_made(store: &Arc<dyn Store>) {
    let (ada, makers) = (user("u1", "ada"), group("g1", "makers"));
    made(store, &ada, &[]).await;
    made(store, &makers, &["u1"]).await;
    assert_eq!(store.find_scim(ScimKind::User, "u1").await.unwrap(), Some(ada));
    assert_eq!(store.find_scim(ScimKind::Group, "g1").await.unwrap(), Some(makers));
    assert_eq!(store.find_scim(ScimKind::Group, "u1").await.unwrap(), None);
    assert_eq!(store.find_scim(ScimKind::User, "u2").await.unwrap(), None);
}

pub(super) async fn a_user_name_is_had_once(store: &Arc<dyn Store>) {
    made(store, &user("u1", "ada"), &[]).await;
    let rival = store.create_scim(&user("u2", "ada"), &[]).await.unwrap();
    assert_eq!(rival, ScimWrite::Taken);
    assert_eq!(store.create_scim(&user("u1", "bob"), &[]).await.unwrap(), ScimWrite::Taken);
    assert_eq!(store.count_scim(ScimKind::User).await.unwrap(), 1);
    // Groups may be called alike.
    made(store, &group("g1", "makers"), &[]).await;
    made(store, &group("g2", "makers"), &[]).await;
}

pub(super) async fn of_a_hundred_creations_of_one_user_name_exactly_one_is_done(store: &Arc<dyn Store>) {
    let results = a_hundred_times(store, |store, number| async move {
        store.create_scim(&user(&format!("u{number}"), "ada"), &[]).await
    })
    .await;
    assert_eq!(results.iter().filter(|result| **result == ScimWrite::Done).count(), 1);
    assert_eq!(store.count_scim(ScimKind::User).await.unwrap(), 1);
}

pub(super) async fn a_change_wants_the_revision_that_there_is(store: &Arc<dyn Store>) {
    made(store, &user("u1", "ada"), &[]).await;
    let changed = ScimResource {
        revision: 2,
        body: "{}".to_owned(),
        created_at: UnixTime(5),
        modified_at: UnixTime(NOW.0 + 9),
        ..user("u1", "augusta")
    };
    assert_eq!(store.replace_scim(&changed, 2, None).await.unwrap(), ScimWrite::Stale);
    assert_eq!(store.replace_scim(&changed, 1, None).await.unwrap(), ScimWrite::Done);
    let found = store.find_scim(ScimKind::User, "u1").await.unwrap().unwrap();
    assert_eq!(found, ScimResource { created_at: NOW, ..changed.clone() });
    let absent = store.replace_scim(&user("u9", "x"), 1, None).await.unwrap();
    assert_eq!(absent, ScimWrite::Absent);
    let other_kind = ScimResource { kind: ScimKind::Group, user_name: None, ..changed };
    assert_eq!(store.replace_scim(&other_kind, 2, None).await.unwrap(), ScimWrite::Absent);
    let stale = store.delete_scim(ScimKind::User, "u1", Some(1), NOW).await.unwrap();
    assert_eq!(stale, ScimWrite::Stale);
    assert_eq!(store.delete_scim(ScimKind::User, "u1", Some(2), NOW).await.unwrap(), ScimWrite::Done);
    assert_eq!(store.delete_scim(ScimKind::User, "u1", None, NOW).await.unwrap(), ScimWrite::Absent);
}

pub(super) async fn of_a_hundred_changes_of_one_revision_exactly_one_is_done(store: &Arc<dyn Store>) {
    made(store, &user("u1", "ada"), &[]).await;
    let results = a_hundred_times(store, |store, number| async move {
        let changed = ScimResource { revision: 2, body: number.to_string(), ..user("u1", "ada") };
        store.replace_scim(&changed, 1, None).await
    })
    .await;
    assert_eq!(results.iter().filter(|result| **result == ScimWrite::Done).count(), 1);
    assert_eq!(results.iter().filter(|result| **result == ScimWrite::Stale).count(), 99);
}

pub(super) async fn a_change_does_not_take_another_users_name(store: &Arc<dyn Store>) {
    made(store, &user("u1", "ada"), &[]).await;
    made(store, &user("u2", "bob"), &[]).await;
    let renamed = ScimResource { revision: 2, ..user("u2", "ada") };
    assert_eq!(store.replace_scim(&renamed, 1, None).await.unwrap(), ScimWrite::Taken);
    assert_eq!(store.find_scim(ScimKind::User, "u2").await.unwrap().unwrap().revision, 1);
}

pub(super) async fn members_are_users_that_are_there(store: &Arc<dyn Store>) {
    made(store, &user("u1", "ada"), &[]).await;
    made(store, &group("g1", "makers"), &["u1"]).await;
    for (stranger, expected) in [("u9", "u9"), ("g1", "g1")] {
        let refused = store.create_scim(&group("g2", "x"), &ids(&["u1", stranger])).await.unwrap();
        assert_eq!(refused, ScimWrite::NoSuchMember(expected.to_owned()));
        let changed = ScimResource { revision: 2, ..group("g1", "makers") };
        let refused = store.replace_scim(&changed, 1, Some(&ids(&[stranger]))).await.unwrap();
        assert_eq!(refused, ScimWrite::NoSuchMember(expected.to_owned()));
    }
    assert_eq!(store.find_scim(ScimKind::Group, "g2").await.unwrap(), None);
    assert_eq!(store.find_scim(ScimKind::Group, "g1").await.unwrap().unwrap().revision, 1);
    assert_eq!(members(store, "g1").await, ["u1"], "nothing was written");
    let changed = ScimResource { revision: 2, ..group("g1", "makers") };
    assert_eq!(store.replace_scim(&changed, 1, None).await.unwrap(), ScimWrite::Done);
    assert_eq!(members(store, "g1").await, ["u1"]);
    let changed = ScimResource { revision: 3, ..changed };
    assert_eq!(store.replace_scim(&changed, 2, Some(&[])).await.unwrap(), ScimWrite::Done);
    assert_eq!(members(store, "g1").await, Vec::<String>::new());
}

pub(super) async fn of_a_hundred_changes_of_members_none_is_lost(store: &Arc<dyn Store>) {
    made(store, &group("g1", "makers"), &[]).await;
    a_hundred_times(store, |store, number| async move {
        let id = format!("u{number:03}");
        store.create_scim(&user(&id, &id), &[]).await?;
        loop {
            let group = store.find_scim(ScimKind::Group, "g1").await?.unwrap();
            let mut members = members(&store, "g1").await;
            members.push(id.clone());
            let changed = ScimResource { revision: group.revision + 1, ..group };
            if store.replace_scim(&changed, changed.revision - 1, Some(&members)).await? == ScimWrite::Done {
                return Ok(());
            }
        }
    })
    .await;
    assert_eq!(members(store, "g1").await.len(), 100);
    assert_eq!(store.find_scim(ScimKind::Group, "g1").await.unwrap().unwrap().revision, 101);
}

pub(super) async fn a_deleted_user_leaves_its_groups(store: &Arc<dyn Store>) {
    made(store, &user("u1", "ada"), &[]).await;
    made(store, &user("u2", "bob"), &[]).await;
    made(store, &group("g1", "makers"), &["u1", "u2"]).await;
    made(store, &group("g2", "others"), &["u2"]).await;
    let later = UnixTime(NOW.0 + 50);
    assert_eq!(store.delete_scim(ScimKind::User, "u1", None, later).await.unwrap(), ScimWrite::Done);
    assert_eq!(members(store, "g1").await, ["u2"]);
    let makers = store.find_scim(ScimKind::Group, "g1").await.unwrap().unwrap();
    assert_eq!((makers.revision, makers.modified_at), (2, later));
    assert_eq!(store.find_scim(ScimKind::Group, "g2").await.unwrap().unwrap().revision, 1);
    // The name is free again.
    made(store, &user("u3", "ada"), &[]).await;
}

pub(super) async fn a_deleted_group_lets_its_members_be(store: &Arc<dyn Store>) {
    made(store, &user("u1", "ada"), &[]).await;
    made(store, &group("g1", "makers"), &["u1"]).await;
    assert_eq!(store.delete_scim(ScimKind::User, "g1", None, NOW).await.unwrap(), ScimWrite::Absent);
    assert_eq!(store.delete_scim(ScimKind::Group, "g1", None, NOW).await.unwrap(), ScimWrite::Done);
    assert_eq!(store.find_scim(ScimKind::User, "u1").await.unwrap().unwrap().revision, 1);
    assert_eq!(store.list_scim_links(ScimKind::User, &ids(&["u1"]), 10).await.unwrap(), []);
}

pub(super) async fn resources_are_listed_page_by_page(store: &Arc<dyn Store>) {
    for number in 1..=5 {
        made(store, &user(&format!("u{number}"), &format!("n{number}")), &[]).await;
    }
    made(store, &group("g1", "makers"), &[]).await;
    let list = |after: &'static str, skip, limit| async move {
        let page = store.list_scim(ScimKind::User, &ScimWhich::All, after, skip, limit).await.unwrap();
        page.into_iter().map(|resource| resource.id).collect::<Vec<_>>()
    };
    assert_eq!(list("", 0, 2).await, ["u1", "u2"]);
    assert_eq!(list("u2", 0, 2).await, ["u3", "u4"]);
    assert_eq!(list("", 3, 9).await, ["u4", "u5"]);
    assert_eq!(list("u5", 0, 9).await, Vec::<String>::new());
    assert_eq!(list("", 0, 0).await, Vec::<String>::new());
    assert_eq!(store.count_scim(ScimKind::User).await.unwrap(), 5);
    assert_eq!(store.count_scim(ScimKind::Group).await.unwrap(), 1);
}

pub(super) async fn resources_are_found_by_what_is_indexed(store: &Arc<dyn Store>) {
    made(store, &user("u1", "ada"), &[]).await;
    made(store, &user("u2", "bob"), &[]).await;
    made(store, &group("g1", "ada"), &["u2"]).await;
    for (kind, which, expected) in [
        (ScimKind::User, ScimWhich::UserName("ada".to_owned()), vec!["u1"]),
        (ScimKind::User, ScimWhich::UserName("ADA".to_owned()), vec![]),
        (ScimKind::User, ScimWhich::ExternalId("X-bob".to_owned()), vec!["u2"]),
        (ScimKind::User, ScimWhich::ExternalId("x-bob".to_owned()), vec![]),
        (ScimKind::User, ScimWhich::Email("bob@example.com".to_owned()), vec!["u2"]),
        (ScimKind::User, ScimWhich::DisplayName("ada".to_owned()), vec!["u1"]),
        (ScimKind::Group, ScimWhich::DisplayName("ada".to_owned()), vec!["g1"]),
        (ScimKind::Group, ScimWhich::WithMember("u2".to_owned()), vec!["g1"]),
        (ScimKind::Group, ScimWhich::WithMember("u1".to_owned()), vec![]),
        (ScimKind::User, ScimWhich::InGroup("g1".to_owned()), vec!["u2"]),
        (ScimKind::Group, ScimWhich::InGroup("g1".to_owned()), vec![]),
    ] {
        let found = store.list_scim(kind, &which, "", 0, 10).await.unwrap();
        let found: Vec<&str> = found.iter().map(|resource| resource.id.as_str()).collect();
        assert_eq!(found, expected, "{which:?}");
    }
}

pub(super) async fn links_are_told_of_either_side(store: &Arc<dyn Store>) {
    made(store, &user("u1", "ada"), &[]).await;
    made(store, &user("u2", "bob"), &[]).await;
    made(store, &group("g1", "makers"), &["u1", "u2"]).await;
    made(store, &group("g2", "others"), &["u2"]).await;
    let link = |group: &str, user: &str, name: &str| ScimLink {
        group: group.to_owned(),
        user: user.to_owned(),
        group_name: name.to_owned(),
    };
    let of_users = store.list_scim_links(ScimKind::User, &ids(&["u2", "u1"]), 10).await.unwrap();
    assert_eq!(
        of_users,
        [link("g1", "u2", "MAKERS"), link("g2", "u2", "OTHERS"), link("g1", "u1", "MAKERS")]
    );
    let of_groups = store.list_scim_links(ScimKind::Group, &ids(&["g1", "g2", "g9"]), 10).await.unwrap();
    assert_eq!(
        of_groups,
        [link("g1", "u1", "MAKERS"), link("g1", "u2", "MAKERS"), link("g2", "u2", "OTHERS")]
    );
    let cut = store.list_scim_links(ScimKind::Group, &ids(&["g1", "g2"]), 2).await.unwrap();
    assert_eq!(cut.len(), 2);
}

/// The users whose accounts are to be seen to; their jobs are taken.
async fn pushed(store: &Arc<dyn Store>) -> Vec<String> {
    let mut users = Vec::new();
    let later = UnixTime(NOW.0 + 1000);
    while let Some(claimed) = store.claim_job(7, later, UnixTime(later.0 + 1)).await.unwrap() {
        let Task::Push { user } = &claimed.job.task else { panic!("{claimed:?}") };
        users.push(user.clone());
        store.conclude_job(&claimed, &JobOutcome::Done).await.unwrap();
    }
    users.sort();
    users
}

pub(super) async fn e2_each_write_puts_a_job_for_each_user_whom_it_concerns(store: &Arc<dyn Store>) {
    for (id, name) in [("u1", "ada"), ("u2", "bob"), ("u3", "cleo")] {
        made(store, &user(id, name), &[]).await;
    }
    assert_eq!(pushed(store).await, ["u1", "u2", "u3"]);
    made(store, &group("g1", "makers"), &["u1", "u2"]).await;
    assert_eq!(pushed(store).await, ["u1", "u2"]);
    let replace = |resource: ScimResource, members: Option<Vec<String>>| async move {
        let expected = resource.revision - 1;
        store.replace_scim(&resource, expected, members.as_deref()).await.unwrap()
    };
    let makers = |revision, name: &str| ScimResource { revision, ..group("g1", name) };
    assert_eq!(replace(makers(2, "makers"), Some(ids(&["u2", "u3"]))).await, ScimWrite::Done);
    assert_eq!(pushed(store).await, ["u1", "u3"], "who left and who joined");
    assert_eq!(replace(makers(3, "crafters"), None).await, ScimWrite::Done);
    assert_eq!(pushed(store).await, ["u2", "u3"], "whose group is called otherwise");
    assert_eq!(replace(makers(3, "x"), None).await, ScimWrite::Stale);
    assert_eq!(
        replace(makers(4, "x"), Some(ids(&["nobody"]))).await,
        ScimWrite::NoSuchMember("nobody".to_owned())
    );
    assert_eq!(pushed(store).await, Vec::<String>::new(), "what is not written is not pushed");
    assert_eq!(replace(ScimResource { revision: 2, ..user("u1", "ada") }, None).await, ScimWrite::Done);
    assert_eq!(pushed(store).await, ["u1"]);
    store.delete_scim(ScimKind::User, "u2", None, NOW).await.unwrap();
    assert_eq!(pushed(store).await, ["u2"]);
    store.delete_scim(ScimKind::Group, "g1", None, NOW).await.unwrap();
    assert_eq!(pushed(store).await, ["u3"]);
}

pub(super) async fn an_identity_is_linked_to_one_member(store: &Arc<dyn Store>) {
    let (idp, scim) = ("corp".parse().unwrap(), IdpId::scim());
    let subject = |text: &str| Subject::parse(text).unwrap();
    let mut all = Vec::new();
    for (number, name) in [(1, "u1"), (2, "u2")] {
        let member =
            Member { identities: vec![(scim.clone(), subject(name))], ..Member::for_tests(number, NOW) };
        let until = UnixTime(NOW.0 + 10);
        store.begin_creation(&scim, &subject(name), 1, NOW, until).await.unwrap();
        store.finish_creation(&member, 1, None).await.unwrap().unwrap();
        all.push(member);
    }
    assert!(store.link_identity(all[0].id, &idp, &subject("ada")).await.unwrap());
    assert!(!store.link_identity(all[0].id, &idp, &subject("ada")).await.unwrap());
    assert!(!store.link_identity(all[1].id, &idp, &subject("ada")).await.unwrap());
    let stranger = Member::for_tests(9, NOW).id;
    assert!(!store.link_identity(stranger, &idp, &subject("eve")).await.unwrap());
    let found = store.find_member(&idp, &subject("ada")).await.unwrap().unwrap();
    assert_eq!(found.id, all[0].id);
    assert_eq!(found.identities, [(scim, subject("u1")), (idp.clone(), subject("ada"))]);
    assert_eq!(store.find_member(&idp, &subject("eve")).await.unwrap(), None);
}
