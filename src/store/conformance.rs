//! The one suite that every store must pass, the concurrent part included. A new store adds one call of
//! `conformance!` at the end.

mod agreement;
mod audit;
mod cases;
mod console;
mod feed;
mod invites;
mod jobs;
mod keys;
mod lists;
mod logins;
mod members;
mod outbox;
mod rehearsals;
mod scim;
mod sessions;
mod settings;
mod standing;

use std::future::Future;
use std::sync::Arc;

use super::memory::Memory;
use super::postgres::scratch;
use super::sqlite::Sqlite;
use super::{Store, StoreError};
use crate::model::UnixTime;
use crate::platform::Tasks;

/// The limit of logins in flight, so small that it can be reached.
const MAX_IN_FLIGHT: usize = 40;
/// The beginning of time for these tests.
const NOW: UnixTime = UnixTime(1_800_000_000);

/// A fresh store, and what must live as long as it does.
struct Fresh {
    store: Arc<dyn Store>,
    _folder: Option<tempfile::TempDir>,
}

async fn memory() -> Fresh {
    Fresh { store: Arc::new(Memory::with_max_in_flight(MAX_IN_FLIGHT)), _folder: None }
}

async fn sqlite() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("narthex.db")).await.unwrap();
    Fresh { store: Arc::new(store.with_max_in_flight(MAX_IN_FLIGHT)), _folder: Some(folder) }
}

async fn postgres() -> Fresh {
    let store = scratch::open().await;
    Fresh { store: Arc::new(store.with_max_in_flight(MAX_IN_FLIGHT)), _folder: None }
}

/// Runs `act` a hundred times at once, on several threads.
async fn a_hundred_times<F, T>(store: &Arc<dyn Store>, act: impl Fn(Arc<dyn Store>, u64) -> F) -> Vec<T>
where
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
    T: Send + 'static,
{
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    let running: Vec<_> = (1..=100).map(|number| tasks.spawn(act(Arc::clone(store), number))).collect();
    let mut results = Vec::new();
    for one in running {
        results.push(one.await.unwrap().unwrap());
    }
    results
}

macro_rules! conformance {
    ($($maker:ident $marks:tt)*) => {$(
        mod $maker {
            conformance!(@tests $maker $marks logins:
                a_recorded_login_is_taken_whole
                a_second_taking_is_told_that_it_was_used_and_where_it_went
                another_browser_does_not_get_the_login_nor_spoil_it
                a_browser_without_cookie_does_not_get_the_login
                an_expired_login_is_unknown
                an_unknown_state_is_unknown
                a_state_is_recorded_once
                beyond_the_browsers_limit_its_oldest_login_goes
                beyond_the_browsers_limit_a_taken_login_goes_before_a_waiting_one
                beyond_the_stores_limit_the_oldest_login_goes
                of_a_hundred_takings_at_once_exactly_one_is_fresh
                a_parked_thing_is_taken_once
                an_expired_parked_thing_is_gone
                an_id_is_parked_under_once
                beyond_the_stores_limit_the_oldest_parked_thing_goes
                of_a_hundred_takings_of_a_parked_thing_exactly_one_gets_it
                a_first_use_is_had_once_until_it_may_be_forgotten
                of_a_hundred_first_uses_at_once_exactly_one_is_the_first
                the_latest_refusals_are_kept
                a_sweep_drops_expired_logins_and_parked_things_only
            );
            conformance!(@tests $maker $marks sessions:
                a_session_is_found_as_it_was_recorded
                a_provider_ends_the_sessions_that_it_names_and_no_others
                a_session_without_account_is_kept_too
                e6_no_session_begins_for_a_member_who_is_not_there
                an_unknown_session_is_absent
                a_hash_is_recorded_once
                beyond_the_members_limit_exactly_the_oldest_session_ends
                the_new_session_never_ends_even_where_its_clock_is_behind
                a_limit_of_none_still_leaves_the_new_session
                without_account_the_sessions_of_an_identity_are_counted
                of_a_hundred_sessions_without_account_at_once_as_many_stay_as_may
                of_a_hundred_sessions_at_once_as_many_stay_as_may
                activity_never_goes_backwards
                activity_of_an_unknown_session_is_ignored
                an_ended_session_is_gone_and_ends_once
                a_sweep_ends_what_is_past_its_end_or_idle_for_too_long
            );
            conformance!(@tests $maker $marks members:
                f9_a_finished_member_is_found_by_each_identity_and_by_account
                f9_of_a_hundred_beginnings_at_once_exactly_one_may_create
                f9_another_holder_is_told_until_when_to_wait
                f9_the_holder_may_renew_its_lease
                f9_an_expired_lease_passes_on_with_the_earlier_intent
                f9_only_the_holder_may_intend
                f9_a_holder_that_lost_its_lease_writes_nothing
                f9_giving_up_with_the_outcome_unknown_keeps_the_intent
                f9_giving_up_with_the_outcome_known_forgets_the_intent
                f9_an_intent_is_as_old_as_when_it_was_recorded_last
                f9_another_holder_cannot_give_up_a_lease
                f9_a_finished_creation_leaves_neither_lease_nor_intent
                f9_an_identity_that_is_a_member_already_stays_that_member
                f9_an_account_of_another_member_is_not_given_twice
                f9_a_member_id_is_used_once
                a_login_updates_names_and_time
                a_login_of_an_earlier_generation_updates_the_time_only
                a_logins_time_never_goes_backwards
                a_login_of_no_member_is_refused
                e2_an_intent_carries_the_job_that_cleans_up_after_it
                e1_a_member_that_lands_is_recorded_with_the_job_that_settles_it
                e1_a_login_that_lands_needs_the_right_and_gives_it_up
                identities_of_two_providers_do_not_mix
            );
            conformance!(@tests $maker $marks rehearsals:
                x1_a_told_login_is_found_as_it_was_told_first
                x1_the_latest_logins_are_kept
                m6_the_latest_outcome_of_each_identity_is_kept
                m6_outcomes_are_listed_page_by_page_in_the_order_of_their_bytes
                m6_of_a_hundred_outcomes_at_once_the_latest_stays
                m6_a_forgotten_report_is_empty
                e6_of_a_forgotten_person_nothing_is_kept_and_of_others_everything
            );
            conformance!(@tests $maker $marks standing:
                e2_of_a_hundred_at_once_exactly_one_has_the_right_to_work_on_a_member
                e2_the_right_to_work_on_a_member_runs_out_and_can_be_given_up
                an_update_writes_everything_of_a_member
                an_update_from_an_earlier_revision_is_refused
                of_a_hundred_updates_at_once_exactly_one_is_made
                an_update_needs_the_right_where_it_says_so
                an_update_does_not_take_another_members_account
                e3_an_account_id_that_was_deleted_may_be_the_next_ones
                e4_an_update_may_end_all_sessions_of_its_member_and_no_others
                e1_an_account_does_not_go_while_a_session_lives_or_lands
                e1_no_session_begins_for_an_account_that_goes_or_is_anothers
                e1_of_sessions_and_a_deletion_at_once_only_one_side_happens
                a_standing_shows_live_sessions_in_order_and_a_session_ends_the_landing
                e2_whatever_ends_a_session_makes_its_members_job_due
                g3_removals_are_counted_within_their_time_over_all
                g3_of_a_hundred_removals_at_once_as_many_are_let_through_as_may
                g1_of_a_hundred_at_once_exactly_one_has_a_right
                g1_a_right_runs_out_and_can_be_given_up_and_names_do_not_mix
                e6_the_longest_absent_present_members_are_listed_first
                e6_members_with_a_live_session_do_not_stand_before_the_absent
                g6_a_blocked_members_email_is_known_whatever_its_case
                g6_the_email_that_an_identity_came_with_last_is_blocked_with_its_member
            );
            conformance!(@tests $maker $marks jobs:
                e2_a_job_is_claimed_when_it_is_due_and_by_one
                a2_a_job_that_catches_up_keeps_what_the_identity_provider_said
                e2_of_a_hundred_claims_at_once_each_job_is_had_once
                e2_the_job_that_is_due_for_longest_is_claimed_first
                e2_a_done_job_goes_and_one_that_is_put_off_waits_with_its_tries
                e2_a_parked_job_waits_for_somebody_to_hasten_it
                e2_a_job_that_was_put_or_hastened_meanwhile_stays_due_whatever_the_outcome
                e2_who_lost_a_job_concludes_nothing
                e2_there_is_one_job_for_a_key_and_the_last_put_counts
            );
            conformance!(@tests $maker $marks keys:
                keys_are_listed_by_purpose
                a_purpose_has_one_first_key
                a_key_has_one_successor
                a_key_succeeds_only_one_that_is_there
                of_a_hundred_first_keys_at_once_one_wins
                of_a_hundred_successors_at_once_one_wins
                a_sweep_drops_retired_keys_only
                a_document_is_found_as_it_was_put_last
                an_unknown_document_is_absent
            );
            conformance!(@tests $maker $marks lists:
                sessions_are_listed_newest_first_and_in_pages
                sessions_are_listed_by_member_and_by_identity
                e4_all_sessions_of_a_member_end_and_no_others
                all_sessions_end_at_once
                all_sessions_of_a_provider_end_and_no_others
                members_are_listed_by_id_and_in_pages
                members_are_found_by_the_beginning_of_address_or_username
                members_are_found_by_account_and_by_identity
                f8_whether_a_member_came_with_an_address_is_known
                e6_of_an_erased_member_nothing_is_left_and_of_others_everything
                g6_a_blocked_member_is_not_erased
                e6_a_member_for_whom_something_is_owed_to_the_application_is_not_erased
            );
            conformance!(@tests $maker $marks invites:
                f6_an_invite_is_found_and_listed_as_it_was_added
                f6_an_invite_is_for_its_address_its_provider_and_its_time
                f6_of_several_invites_the_claimed_come_first_and_then_the_oldest
                f6_an_invite_is_consumed_once_and_its_identity_may_try_again
                f6_of_a_hundred_identities_at_once_one_consumes_the_invite
                f6_an_invite_is_changed_and_revoked_until_it_is_used
            );
            conformance!(@tests $maker $marks console:
                s5_a_session_is_used_as_it_was_begun_until_it_is_idle_or_over
                s5_a_use_keeps_a_session_from_being_idle
                s5_an_ended_session_is_gone_and_told_of_once
                s5_beyond_its_persons_limit_the_oldest_session_ends
                s5_of_a_hundred_beginnings_at_once_as_many_sessions_stay_as_may
                s5_living_sessions_are_listed_the_newest_first
                s5_a_person_is_known_by_the_latest_sign_in_until_forgotten
                s5_a_sweep_drops_what_is_over_or_idle_only
            );
            conformance!(@tests $maker $marks settings:
                m4_there_are_none_at_first
                m4_versions_follow_one_another_and_are_kept
                m4_of_a_hundred_changes_of_one_version_one_wins
                the_latest_versions_are_kept
            );
            conformance!(@tests $maker $marks feed:
                changes_are_numbered_from_one_and_found_from_a_number_on
                a_page_of_changes_is_found_at_once
                a_sweep_leaves_the_newest_changes_and_the_numbers_go_on
                lesson_38_each_way_for_a_session_to_end_is_a_change
                sessions_that_are_there_are_told_from_those_that_are_not
                of_a_hundred_changes_at_once_none_becomes_visible_before_an_earlier_one
            );
            conformance!(@tests $maker $marks audit:
                s3_an_entry_is_read_as_it_was_appended
                s4_letters_are_put_with_the_entries_that_they_tell_of
                s3_a_chain_is_appended_to_at_its_end_only
                s3_of_a_hundred_appended_at_once_exactly_one_goes_on
                s3_heads_tell_how_far_each_chain_has_come
                s3_a_head_is_loose_until_another_chain_has_noted_it
                s3_the_log_is_read_page_by_page_by_chain
                s3_entries_are_listed_by_time_member_and_event
                e6_what_is_said_of_a_person_is_found_and_erased_and_the_digests_stay
                e6_what_names_nobody_is_found_by_a_word_that_stands_there_whole
            );
            conformance!(@tests $maker $marks outbox:
                s4_a_letter_is_claimed_as_it_was_put
                s4_a_letter_is_put_once
                s4_what_one_sender_has_no_other_gets_until_its_time_is_over
                s4_a_letter_that_was_put_off_is_due_later_and_counted
                s4_what_is_not_due_waits_and_what_is_due_longest_goes_first
                s4_of_a_hundred_claims_at_once_exactly_one_gets_a_letter
            );
            conformance!(@tests $maker $marks cases:
                f7_a_case_is_found_and_listed_as_it_was_opened
                f7_an_identity_has_one_case_about_one_account
                f7_of_a_hundred_who_ask_at_once_exactly_one_opens_the_case
                f7_an_identity_has_no_more_cases_than_it_may
                f7_a_decision_starts_from_the_revision_that_was_seen
                f7_of_a_hundred_decisions_at_once_exactly_one_is_made
                f7_a_decided_case_is_not_asked_about_again_unless_it_is_about_something_else
                f7_what_has_ended_is_swept_and_denials_stay
                e6_of_an_erased_person_no_case_is_left_but_denials_without_words
            );
            conformance!(@tests $maker $marks scim:
                a_resource_is_found_as_it_was_made
                a_user_name_is_had_once
                of_a_hundred_creations_of_one_user_name_exactly_one_is_done
                a_change_wants_the_revision_that_there_is
                of_a_hundred_changes_of_one_revision_exactly_one_is_done
                a_change_does_not_take_another_users_name
                members_are_users_that_are_there
                of_a_hundred_changes_of_members_none_is_lost
                a_deleted_user_leaves_its_groups
                a_deleted_group_lets_its_members_be
                resources_are_listed_page_by_page
                resources_are_found_by_what_is_indexed
                links_are_told_of_either_side
                e2_each_write_puts_a_job_for_each_user_whom_it_concerns
                an_identity_is_linked_to_one_member
            );
        }
    )*};
    (@tests $maker:ident $marks:tt $topic:ident: $($test:ident)*) => {$(
        conformance!(@test $maker $marks $topic $test);
    )*};
    (@test $maker:ident { $($mark:tt)* } $topic:ident $test:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        $($mark)*
        async fn $test() {
            let fresh = super::$maker().await;
            super::$topic::$test(&fresh.store).await;
        }
    };
}

conformance! { memory {} sqlite {} postgres { #[ignore = "real parties: tests/run"] } }
