//! What every store does with messages that wait to be sent.

use std::sync::Arc;
use std::time::Duration;

use super::{NOW, a_hundred_times};
use crate::model::UnixTime;
use crate::model::letter::{Channel, Letter};
use crate::store::Store;

const LATER: UnixTime = UnixTime(NOW.0 + 60);

fn letter(number: u8) -> Letter {
    Letter {
        id: uuid::Uuid::from_bytes([number; 16]),
        channel: if number.is_multiple_of(2) { Channel::Email } else { Channel::Webhook },
        recipient: "root@example.com".to_owned(),
        subject: "an account was made".to_owned(),
        body: "{\"name\":\"Ädä\"}\n".to_owned(),
        written_at: UnixTime(NOW.0 - 10 + i64::from(number)),
    }
}

async fn claimed(store: &Arc<dyn Store>, holder: u64, now: UnixTime) -> Vec<(u8, u32)> {
    let found = store.claim_letters(holder, now, now.after(Duration::from_mins(1)), 10).await.unwrap();
    found.iter().map(|one| (one.letter.id.as_bytes()[0], one.attempts)).collect()
}

pub(super) async fn s4_a_letter_is_claimed_as_it_was_put(store: &Arc<dyn Store>) {
    store.put_letters(&[letter(2), letter(1)]).await.unwrap();
    let found = store.claim_letters(7, NOW, LATER, 10).await.unwrap();
    let found: Vec<Letter> = found.into_iter().map(|one| one.letter).collect();
    assert_eq!(found, [letter(1), letter(2)]);
}

pub(super) async fn s4_a_letter_is_put_once(store: &Arc<dyn Store>) {
    store.put_letters(&[letter(1)]).await.unwrap();
    store.put_letters(&[Letter { body: "other".to_owned(), ..letter(1) }]).await.unwrap();
    let found = store.claim_letters(7, NOW, LATER, 10).await.unwrap();
    assert_eq!(found.iter().map(|one| one.letter.clone()).collect::<Vec<_>>(), [letter(1)]);
}

pub(super) async fn s4_what_one_sender_has_no_other_gets_until_its_time_is_over(store: &Arc<dyn Store>) {
    store.put_letters(&[letter(1)]).await.unwrap();
    assert_eq!(claimed(store, 7, NOW).await, [(1, 0)]);
    assert_eq!(claimed(store, 8, NOW).await, []);
    assert_eq!(claimed(store, 7, NOW).await, [], "not even itself, twice");
    assert_eq!(claimed(store, 8, LATER).await, [(1, 0)]);
    assert!(!store.drop_letter(letter(1).id, 7).await.unwrap(), "it is another's now");
    assert!(!store.put_off_letter(letter(1).id, 7, NOW).await.unwrap());
    assert!(store.drop_letter(letter(1).id, 8).await.unwrap());
    assert_eq!(claimed(store, 8, UnixTime(i64::MAX)).await, []);
}

pub(super) async fn s4_a_letter_that_was_put_off_is_due_later_and_counted(store: &Arc<dyn Store>) {
    store.put_letters(&[letter(1)]).await.unwrap();
    assert_eq!(claimed(store, 7, NOW).await, [(1, 0)]);
    assert!(store.put_off_letter(letter(1).id, 7, LATER).await.unwrap());
    assert_eq!(claimed(store, 7, UnixTime(LATER.0 - 1)).await, []);
    assert_eq!(claimed(store, 8, LATER).await, [(1, 1)]);
}

pub(super) async fn s4_what_is_not_due_waits_and_what_is_due_longest_goes_first(store: &Arc<dyn Store>) {
    store.put_letters(&[letter(3), letter(2), letter(20)]).await.unwrap();
    let found = store.claim_letters(7, NOW, LATER, 1).await.unwrap();
    assert_eq!(found.iter().map(|one| one.letter.id).collect::<Vec<_>>(), [letter(2).id]);
    assert_eq!(claimed(store, 7, NOW).await, [(3, 0)], "the twentieth is of the future");
}

pub(super) async fn s4_of_a_hundred_claims_at_once_exactly_one_gets_a_letter(store: &Arc<dyn Store>) {
    store.put_letters(&[letter(1), letter(2)]).await.unwrap();
    let claims =
        a_hundred_times(
            store,
            |store, holder| async move { store.claim_letters(holder, NOW, LATER, 10).await },
        )
        .await;
    let mut all: Vec<_> = claims.into_iter().flatten().map(|one| one.letter.id).collect();
    all.sort();
    assert_eq!(all, [letter(1).id, letter(2).id]);
}
