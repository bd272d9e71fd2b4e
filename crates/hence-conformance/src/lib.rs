//! The contract of a Hence engine as runnable tests, for whoever writes an engine.
//!
//! Implement [`Harness`] for your engine, then [`run`] the suite:
//!
//! ```
//! async fn keeps_the_contract(harness: &dyn hence_conformance::Harness) {
//!     let report = hence_conformance::run(harness).await;
//!     assert!(report.holds(), "{report}");
//! }
//! ```
//!
//! or let [`tests!`] make a test of each case, under the name of the guarantee that it shows.
//!
//! What an engine declares must hold, and what it does not declare it must refuse: an engine
//! without `synced` that takes a commit at `synced` fails. What could not be tried, because the
//! harness cannot break the storage, say, is reported as not covered and never as passed.
//!
//! Moments are those of [`Timestamp::steady`](hence_core::Timestamp::steady), by which an engine waits.
//!
//! The suite does not sleep. What must happen is awaited, up to [`Harness::patience`]; that
//! something does not happen is shown by an event behind it that arrives first. It prints nothing.
//! The suite itself is tested with engines that each have one fault.

mod case;
mod cases;
mod harness;
mod report;
mod world;

use futures_util::{StreamExt, stream};

pub use case::{CASE_PATIENCES, Case, Need, VIOLATION_CHARS_MAX, Verdict, Violation};
pub use harness::{Backlog, Harness, Instance, PATIENCE};
pub use report::{Report, Tally, table};

/// Every case of the contract.
#[must_use]
pub fn suite() -> Vec<Case> {
    cases::all()
}

/// How many cases [`run`] tries at a time.
pub const CASES_AT_A_TIME: usize = 8;

/// Tries every case, each on an engine of its own, some side by side.
///
/// It must be called within a tokio runtime that has time.
pub async fn run(harness: &dyn Harness) -> Report {
    let tried = stream::iter(suite()).map(|case| async move { (case, case.run(harness).await) });
    Report {
        engine: harness.name().to_owned(),
        results: tried.buffered(CASES_AT_A_TIME).collect().await,
    }
}

/// Tries one case on a runtime of its own, for the tests that [`tests!`] makes.
///
/// # Panics
/// When there is no such case, when the engine breaks it, and when it cannot be tried: a test that
/// did nothing must not count as passed. A harness that leaves cases uncovered uses [`run`].
pub fn check(harness: &dyn Harness, name: &str) {
    let case = suite().into_iter().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("there is no case '{name}'"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime starts where a test does");
    match runtime.block_on(case.run(harness)) {
        Verdict::Passed | Verdict::Refused => {}
        Verdict::Failed(violation) => {
            panic!("'{}' breaks the contract: {violation}", harness.name())
        }
        Verdict::NotCovered(why) => panic!("on '{}' it is not covered: {why}", harness.name()),
    }
}

/// Makes a test of each case: `hence_conformance::tests!(MyHarness::new());`.
///
/// The expression is the harness; it is made anew for each test. Put the line into a module for
/// each engine.
#[macro_export]
macro_rules! tests {
    ($harness:expr) => {
        $crate::tests! { @each ($harness)
            g13_receipt_names_what_is_stored
            g13_receipts_come_in_the_order_of_the_batch
            positions_rise_and_are_never_reused
            positions_rise_over_kills
            positions_rise_over_clean_restarts
            commits_apply_in_the_order_of_their_first_poll
            g14_a_batch_with_one_bad_event_stores_none
            g14_a_batch_over_the_limit_is_refused_whole
            g13_an_event_over_the_limit_is_refused
            g17_an_event_that_nobody_wants_is_kept
            g13_try_commit_takes_or_gives_back
            g3_each_of_four_publishers_keeps_its_order
            many_keys_are_as_good_as_few
            g13_accepted_is_reached_or_refused
            g1_written_survives_a_kill
            g1_synced_survives_a_kill
            g1_acknowledged_survives_kill_after_kill
            g1_acknowledged_survives_a_clean_restart
            g19_what_a_reader_saw_survives_a_kill
            g19_what_was_delivered_survives_a_kill
            g13_no_receipt_when_storage_fails
            g13_no_settlement_when_storage_fails
            exotic_data_comes_back_as_it_was
            exotic_data_survives_a_kill
            g18_trace_travels_through_retry_and_dead_letter
            g18_trace_survives_a_kill
            g20_errors_do_not_tell_the_data
            g9_a_duplicate_gets_the_first_receipt
            g9_a_duplicate_is_known_after_a_kill
            g9_a_duplicate_is_known_after_a_clean_restart
            g9_a_duplicate_within_a_batch_is_stored_once
            g9_a_duplicate_beside_new_events_is_absorbed
            the_same_id_of_another_source_is_another_event
            the_same_id_with_other_content_is_refused
            the_same_id_with_other_content_is_refused_after_a_kill
            g15_reading_twice_gives_the_same
            g15_reading_after_a_kill_gives_the_same
            a_reader_begins_where_it_is_told
            a_reader_leaves_out_what_the_filter_says
            a_reader_that_follows_waits_for_more
            a_reader_that_follows_filters
            a_reader_that_does_not_follow_ends
            a_reader_settles_nothing
            g15_readers_and_writers_side_by_side
            a_reader_loses_nothing_when_its_future_is_dropped
            an_unknown_position_is_not_found
            find_tells_where_an_id_stands
            g2_each_subscription_gets_its_types_and_no_other
            g2_fifty_subscriptions_each_get_all
            g3_deliveries_come_in_the_order_of_positions
            next_gives_no_more_than_asked_for
            next_waits_for_the_next_event
            g2_unsettled_is_delivered_again_after_a_detach
            g2_unsettled_is_delivered_again_after_a_kill
            g2_unsettled_is_delivered_again_after_a_clean_restart
            settled_is_not_delivered_again
            settled_is_not_delivered_again_after_a_kill
            g2_a_gap_in_what_is_settled_stays_open
            g2_a_gap_in_what_is_settled_survives_a_kill
            nothing_is_delivered_twice_while_attached
            g10_deliverat_is_not_early
            g10_deliverat_in_the_past_is_now
            g10_deliverat_survives_a_kill
            g3_what_waits_for_another_comes_when_that_is_done
            g3_what_waits_for_another_still_waits_after_a_kill
            what_another_does_not_take_does_not_wait_for_it
            to_wait_for_an_unknown_subscription_is_refused
            start_latest_begins_with_what_comes
            start_earliest_begins_with_the_oldest
            start_position_begins_there
            start_time_begins_then
            a_known_subscription_goes_on_where_it_was
            a_known_subscription_is_known_after_a_kill
            g2_latest_misses_nothing_while_detached
            g2_latest_misses_nothing_over_a_kill
            g11_a_second_attach_is_refused
            a_dropped_attach_leaves_nothing_behind
            g2_another_task_can_take_over
            g7_settling_and_publishing_are_one
            g7_settling_and_publishing_are_one_over_a_kill
            g7_a_refused_commit_settles_nothing
            g7_a_refused_commit_settles_nothing_over_a_kill
            g7_a_commit_given_up_is_whole_or_nothing
            g7_a_commit_killed_is_whole_or_nothing
            several_settlements_in_one_commit
            g9_a_repeated_settlement_publishes_nothing_more
            g9_a_repeated_settlement_publishes_nothing_more_after_a_kill
            g11_an_attempt_that_has_ended_cannot_commit
            what_is_not_delivered_cannot_be_settled
            g3_emitted_events_stand_in_their_order
            subscriptions_settle_for_themselves
            an_empty_commit_changes_nothing
            g7_a_value_changes_with_its_settlement
            g7_a_value_changes_once
            g7_a_refused_commit_writes_no_value
            values_belong_to_a_subscription_and_a_key
            g7_a_value_survives_a_kill
            g7_a_value_and_its_settlement_are_one_over_a_kill
            g10_a_timer_fires_once_and_not_early
            a_timer_is_replaced_and_cancelled_by_name
            g7_a_refused_commit_sets_no_timer
            g10_a_timer_survives_a_kill_and_fires_once
            g9_a_counted_batch_is_stored_once
            a_gap_in_a_sequence_is_refused
            g9_a_counted_batch_is_known_after_a_kill
            g3_a_retry_stays_with_the_runtime
            attempts_count_on_while_attached
            attempts_count_on_over_a_detach
            attempts_count_on_over_a_kill
            g10_a_retry_is_not_early_after_a_detach
            g10_a_retry_survives_a_kill_and_is_not_early
            g10_a_retry_survives_a_clean_restart
            g3_order_survives_a_retry
            g3_order_survives_a_retry_and_a_kill
            a_retry_may_publish_too
            a_retry_holds_nobody_else
            g4_a_rejected_event_keeps_cause_and_bytes
            g4_a_rejected_event_keeps_cause_and_bytes_over_a_kill
            g4_every_reason_is_kept
            g4_attempts_are_kept
            a_rejected_event_is_not_delivered_again
            a_rejected_event_is_not_delivered_again_after_a_kill
            g5_held_keys_are_counted
            g5_held_keys_are_counted_after_a_kill
            g5_a_dead_letter_without_hold_holds_nothing
            g5_later_events_of_a_held_key_are_not_lost
            g4_each_subscription_has_its_own_dead_letters
            g4_a_rejection_may_publish_too
            g4_a_refused_rejection_leaves_no_dead_letter
            g6_redrive_delivers_again_in_order
            g6_redrive_reaches_whoever_attaches_later
            g6_redrive_survives_a_kill
            g6_redrive_twice_does_no_harm
            g6_redrive_twice_does_no_harm_over_a_kill
            g6_done_removes_the_dead_letter
            g6_done_removes_the_dead_letter_over_a_kill
            g6_rejected_again_it_stays
            g6_unsettled_it_comes_again
            g6_retried_it_comes_again
            g11_an_attempt_from_before_a_redrive_cannot_commit
            g11_an_attempt_from_before_a_redrive_cannot_commit_after_a_kill
            g6_an_unknown_dead_letter_stops_all
            g6_only_the_named_are_sent
            g5_discard_frees_the_key
            discard_ends_a_delivery_for_good
            discard_survives_a_kill
            discard_twice_does_no_harm
            an_unknown_dead_letter_cannot_be_discarded
            a_report_tells_why_it_was_discarded
            g6_an_edited_copy_takes_the_place
            g6_an_edited_copy_survives_a_kill
            g6_an_edited_copy_that_dies_stays_edited
            an_edit_that_does_not_fit_is_refused
            dead_letters_come_in_pages
            a_query_of_dead_letters_leaves_out_what_it_says
            g6_a_redriven_dead_letter_is_listed_until_it_is_done
            a_report_tells_where_a_delivery_stands
            a_report_tells_attempts_and_emitted_events
            a_report_tells_attempts_after_a_kill
            what_is_skipped_is_over_and_says_why
            what_is_skipped_is_over_and_says_why_after_a_kill
            settled_waits_for_every_attached_subscription
            settled_is_at_once_when_nothing_is_open
            settled_wakes_for_a_dead_letter
            subscriptions_tell_how_they_stand
            health_tells_the_newest_position
            g12_a_slow_subscription_blocks_no_other
            g12_many_slow_subscriptions_block_no_other
            g12_overload_waits_and_loses_nothing
            g12_try_commit_says_when_it_is_full
            g12_commits_that_wait_keep_their_order
            g7_kills_under_load_keep_effects_and_progress_together
            g9_the_same_event_many_times_at_once_is_stored_once
            of_two_that_contradict_one_is_stored
            g13_what_failed_is_not_known_afterwards
            g2_next_dropped_loses_nothing
            g2_next_dropped_while_publishing_loses_nothing
            g14_a_batch_given_up_is_whole_or_nothing
            g14_a_batch_killed_is_whole_or_nothing
            a_commit_given_up_does_not_stop_the_next
            settled_given_up_does_no_harm
            g16_close_refuses_what_comes_later
            g16_close_may_be_called_again
            g16_close_wakes_whoever_waits
            g16_close_finishes_what_was_taken
            g16_close_under_load_loses_nothing
            g16_close_releases_what_was_delivered
        }
    };
    (@each ($harness:expr) $($name:ident)*) => {
        /// Every case that has a test here.
        #[allow(dead_code, reason = "for whoever counts them")]
        const CASES: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            $crate::check(&$harness, stringify!($name));
        })*
    };
}
