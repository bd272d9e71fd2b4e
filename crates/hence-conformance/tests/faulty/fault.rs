//! The faults: each is one way to break the contract.

use bytes::Bytes;
use hence_core::envelope::{DELIVER_AT, KEY};
use hence_core::{Commit, Message};

use crate::reference::Dead;

/// Lists the faults, and the case that must catch each.
macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident => $case:ident;)*) => {
        /// One way to break the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Fault {
            /// No fault: the engine is correct.
            None,
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// Every fault, and the case that must catch it.
            pub(crate) const ALL: &[(Self, &str)] =
                &[$((Self::$fault, stringify!($case))),*];
        }
    };
}

faults! {
    /// A position is given out again.
    PositionReused => positions_rise_and_are_never_reused;
    /// The newest position is given out again after a kill.
    PositionReusedAfterKill => positions_rise_over_kills;
    /// A batch is stored backwards.
    BatchReversed => g13_receipts_come_in_the_order_of_the_batch;
    /// Deliveries come backwards.
    DeliveriesReversed => g3_deliveries_come_in_the_order_of_positions;
    /// `next` gives more than it was asked for.
    TooManyDeliveries => next_gives_no_more_than_asked_for;
    /// A known id is stored again.
    DuplicateApplied => g9_a_duplicate_gets_the_first_receipt;
    /// A second receipt looks like a first.
    DuplicateNotTold => g9_a_duplicate_gets_the_first_receipt;
    /// Ids are forgotten when the engine is killed.
    DuplicatesForgotten => g9_a_duplicate_is_known_after_a_kill;
    /// The same id of two sources counts as one event.
    SourceIgnored => the_same_id_of_another_source_is_another_event;
    /// A known id with other content counts as a duplicate.
    OtherContentAccepted => the_same_id_with_other_content_is_refused;
    /// What stands before a bad event of a batch is stored.
    BatchHalfApplied => g14_a_batch_with_one_bad_event_stores_none;
    /// A batch of any size is taken.
    BatchLimitIgnored => g14_a_batch_over_the_limit_is_refused_whole;
    /// An event of any size is taken.
    EventLimitIgnored => g13_an_event_over_the_limit_is_refused;
    /// A commit that settles does not publish.
    SettleWithoutPublish => g7_settling_and_publishing_are_one;
    /// A commit that publishes does not settle.
    PublishWithoutSettle => g7_settling_and_publishing_are_one;
    /// A commit that is refused settles all the same.
    RefusedCommitSettles => g7_a_refused_commit_settles_nothing;
    /// Progress is stored before the effect, and the engine may be stopped in between.
    CursorBeforeEffect => g7_a_commit_given_up_is_whole_or_nothing;
    /// The effect is stored before the progress.
    EffectBeforeCursor => g7_a_commit_killed_is_whole_or_nothing;
    /// A settlement that is repeated publishes again.
    RepetitionPublishes => g9_a_repeated_settlement_publishes_nothing_more;
    /// An attempt that has ended may end again.
    ZombieCommits => g11_an_attempt_that_has_ended_cannot_commit;
    /// A delivery that does not exist can be settled.
    StrangersSettle => what_is_not_delivered_cannot_be_settled;
    /// Settling a delivery settles all before it.
    CommitPastGap => g2_a_gap_in_what_is_settled_stays_open;
    /// A subscription waits for nobody.
    GateIgnored => g3_what_waits_for_another_comes_when_that_is_done;
    /// A dead letter counts as handled for those that wait.
    DeadLetterOpensGate => g3_what_waits_for_another_comes_when_that_is_done;
    /// A subscription waits for one that does not take the event.
    GateForEveryType => what_another_does_not_take_does_not_wait_for_it;
    /// A subscription may wait for one that there is not.
    UnknownGateAccepted => to_wait_for_an_unknown_subscription_is_refused;
    /// One subscription settles for all.
    SettlesForAll => subscriptions_settle_for_themselves;
    /// What is settled is forgotten when the engine is killed.
    SettlementsForgotten => settled_is_not_delivered_again_after_a_kill;
    /// What was delivered and not settled is not delivered again.
    DeliveredOnce => g2_unsettled_is_delivered_again_after_a_detach;
    /// What was delivered before a kill counts as settled.
    DeliveredOnceOverKill => g2_unsettled_is_delivered_again_after_a_kill;
    /// A retried delivery does not say when it is due.
    EarlyRetry => g10_a_retry_survives_a_kill_and_is_not_early;
    /// A retry is given out again although the runtime keeps it.
    RetryGivenOutAgain => g3_a_retry_stays_with_the_runtime;
    /// A retry comes behind what came after it.
    RetryAtTheEnd => g3_order_survives_a_retry;
    /// Attempts begin at 1 after a detach.
    AttemptReset => attempts_count_on_over_a_detach;
    /// Attempts and due times are forgotten when the engine is killed.
    RetryForgotten => attempts_count_on_over_a_kill;
    /// A rejected delivery is thrown away.
    RejectedIsDropped => g4_a_rejected_event_keeps_cause_and_bytes;
    /// A dead letter has no bytes.
    DeadLetterLosesBytes => g4_a_rejected_event_keeps_cause_and_bytes;
    /// A dead letter has no cause.
    DeadLetterLosesCause => g4_a_rejected_event_keeps_cause_and_bytes;
    /// A dead letter counts one attempt.
    DeadLetterLosesAttempts => g4_attempts_are_kept;
    /// Dead letters are forgotten when the engine is killed.
    DeadLettersForgotten => g4_a_rejected_event_keeps_cause_and_bytes_over_a_kill;
    /// The dead letters of all subscriptions are listed as those of one.
    DeadLettersOfAll => g4_each_subscription_has_its_own_dead_letters;
    /// No key is held.
    HoldLost => g5_held_keys_are_counted;
    /// Every dead letter holds its key.
    HoldForced => g5_a_dead_letter_without_hold_holds_nothing;
    /// A redriven dead letter is removed and not delivered.
    RedriveDrops => g6_redrive_delivers_again_in_order;
    /// A redriven delivery does not say so.
    RedriveNotTold => g6_redrive_delivers_again_in_order;
    /// Dead letters come in the order in which they were named.
    RedriveUnordered => g6_redrive_delivers_again_in_order;
    /// A dead letter that is redriven twice is delivered twice.
    RedriveAppliesTwice => g6_redrive_twice_does_no_harm;
    /// A redrive is forgotten when the engine is killed.
    RedriveForgotten => g6_redrive_survives_a_kill;
    /// Attempts begin at 1 after a redrive, so that one of before may end.
    AttemptsRestart => g11_an_attempt_from_before_a_redrive_cannot_commit;
    /// The known ones of a redrive are sent although one is unknown.
    RedriveHalf => g6_an_unknown_dead_letter_stops_all;
    /// What is rejected a second time is gone.
    RejectedAgainVanishes => g6_rejected_again_it_stays;
    /// A dead letter that was discarded is still there.
    DiscardDoesNothing => g5_discard_frees_the_key;
    /// The runtime is not told of a dead letter that was discarded.
    DiscardNotTold => g5_discard_frees_the_key;
    /// What was discarded is delivered again.
    DiscardDeliversAgain => discard_ends_a_delivery_for_good;
    /// A discard is forgotten when the engine is killed.
    DiscardForgotten => discard_survives_a_kill;
    /// What was discarded cannot be discarded again.
    DiscardTwiceRefused => discard_twice_does_no_harm;
    /// A dead letter that never was can be discarded.
    DiscardUnknown => an_unknown_dead_letter_cannot_be_discarded;
    /// The reason of a discard is forgotten.
    DiscardForgetsReason => a_report_tells_why_it_was_discarded;
    /// An edited dead letter is sent as it was.
    EditIgnored => g6_an_edited_copy_takes_the_place;
    /// An edited copy becomes the original when the engine is killed.
    EditForgottenByKill => g6_an_edited_copy_survives_a_kill;
    /// An edited copy becomes the original when it is rejected.
    EditForgotten => g6_an_edited_copy_that_dies_stays_edited;
    /// An edited copy may leave its key.
    EditChangesKey => an_edit_that_does_not_fit_is_refused;
    /// What is on its way is edited.
    EditTwice => an_edit_that_does_not_fit_is_refused;
    /// The second page of the dead letters is the first.
    PageRepeated => dead_letters_come_in_pages;
    /// Dead letters are not filtered.
    LettersUnfiltered => a_query_of_dead_letters_leaves_out_what_it_says;
    /// A dead letter that was redriven and waits is not listed.
    RedrivenHidden => g6_a_redriven_dead_letter_is_listed_until_it_is_done;
    /// A dead letter stays when it was redriven and is done.
    DoneStaysDead => g6_done_removes_the_dead_letter;
    /// A reader sees what a kill takes away.
    VisibleBeforeDurable => g19_what_a_reader_saw_survives_a_kill;
    /// The newest acknowledged event is gone after a kill.
    NewestLost => g1_synced_survives_a_kill;
    /// Storage fails, and there is a receipt.
    ReceiptForFailedStore => g13_no_receipt_when_storage_fails;
    /// Storage fails, and a settlement is acknowledged.
    SettlementForFailedStore => g13_no_settlement_when_storage_fails;
    /// A level is lowered, and the receipt says so.
    LevelLowered => g13_receipt_names_what_is_stored;
    /// A level that is not declared is taken.
    UndeclaredLevelTaken => g1_synced_survives_a_kill;
    /// A level that is not declared is refused, after the event was stored.
    UndeclaredLevelStored => g1_synced_survives_a_kill;
    /// Types match when they begin alike.
    TypeFilterLeaks => g2_each_subscription_gets_its_types_and_no_other;
    /// An event that nobody takes is thrown away.
    UnwantedDropped => g17_an_event_that_nobody_wants_is_kept;
    /// A subscription gets nothing while another is behind.
    SlowBlocksOthers => g12_a_slow_subscription_blocks_no_other;
    /// The backlog has no limit.
    UnboundedBacklog => g12_overload_waits_and_loses_nothing;
    /// A full backlog is an error in place of a wait.
    FullIsAnError => g12_overload_waits_and_loses_nothing;
    /// Commits that wait for room are applied in any order.
    WaitersUnordered => g12_commits_that_wait_keep_their_order;
    /// A commit that is given back is empty.
    GivenBackEmpty => g12_try_commit_says_when_it_is_full;
    /// A commit that is given back is stored all the same.
    GivenBackStored => g12_try_commit_says_when_it_is_full;
    /// `deliverat` is not looked at.
    DeliverAtIgnored => g10_deliverat_is_not_early;
    /// Events with a `deliverat` are never delivered.
    DeliverAtForever => g10_deliverat_in_the_past_is_now;
    /// A delayed event is forgotten when the engine is killed.
    DelayedForgotten => g10_deliverat_survives_a_kill;
    /// A subscription may be attached twice.
    SecondAttachAllowed => g11_a_second_attach_is_refused;
    /// A subscription stays attached when its deliveries are dropped.
    NeverDetached => g2_another_task_can_take_over;
    /// Every new subscription begins with the oldest event.
    StartIgnored => start_latest_begins_with_what_comes;
    /// A start by position begins behind it.
    StartOffByOne => start_position_begins_there;
    /// A start by time begins with the oldest event.
    StartTimeIgnored => start_time_begins_then;
    /// A known subscription is moved to where the next attach says.
    StartMoves => a_known_subscription_goes_on_where_it_was;
    /// Subscriptions are forgotten when the engine is killed.
    SubscriptionsForgotten => g2_latest_misses_nothing_over_a_kill;
    /// `settled` waits for ever.
    SettledNeverWakes => settled_waits_for_every_attached_subscription;
    /// `settled` does not wait.
    SettledAtOnce => settled_waits_for_every_attached_subscription;
    /// `settled` waits for subscriptions that nobody runs.
    SettledWaitsForDetached => settled_waits_for_every_attached_subscription;
    /// Extension attributes are dropped.
    ExtensionsDropped => exotic_data_comes_back_as_it_was;
    /// The trace is lost on the way to the dead letters.
    TraceDropped => g18_trace_travels_through_retry_and_dead_letter;
    /// Empty data becomes no data.
    EmptyIsNone => exotic_data_comes_back_as_it_was;
    /// Data that is not UTF-8 is mended.
    DataMended => exotic_data_comes_back_as_it_was;
    /// An error tells the data of the event.
    SecretTold => g20_errors_do_not_tell_the_data;
    /// A commit is taken after the end.
    CommitAfterClose => g16_close_refuses_what_comes_later;
    /// A subscription can begin after the end.
    SubscribeAfterClose => g16_close_refuses_what_comes_later;
    /// Whoever waits is not woken by the end.
    CloseWakesNobody => g16_close_wakes_whoever_waits;
    /// The end forgets what it acknowledged.
    CloseLoses => g16_close_under_load_loses_nothing;
    /// A delivery is lost when the future that brings it is dropped.
    NextLosesWhenDropped => g2_next_dropped_loses_nothing;
    /// An entry is lost when the future that brings it is dropped.
    ReaderLosesWhenDropped => a_reader_loses_nothing_when_its_future_is_dropped;
    /// A batch is stored one by one, and may be stopped in between.
    BatchOneByOne => g14_a_batch_given_up_is_whole_or_nothing;
    /// A reader does not look at `until`.
    UntilIgnored => a_reader_leaves_out_what_the_filter_says;
    /// A reader does not look at what caused an event.
    CauseIgnored => a_reader_leaves_out_what_the_filter_says;
    /// A reader that follows ends.
    FollowEnds => a_reader_that_follows_waits_for_more;
    /// A reader that does not follow goes on with what comes later.
    ReaderDoesNotEnd => a_reader_that_does_not_follow_ends;
    /// A reader skips every hundredth entry.
    ReaderSkips => g15_reading_twice_gives_the_same;
    /// The moment of an entry is the moment of reading.
    AppendedIsNow => g15_reading_twice_gives_the_same;
    /// An unknown position is answered with another error.
    UnknownIsInternal => an_unknown_position_is_not_found;
    /// `find` does not look at the source.
    FindIgnoresSource => find_tells_where_an_id_stands;
    /// A report does not tell what was emitted.
    EmittedNotTold => a_report_tells_attempts_and_emitted_events;
    /// A report does not say why an event was skipped.
    SkipForgetsWhy => what_is_skipped_is_over_and_says_why;
    /// Reports are forgotten when the engine is killed.
    ReportsForgotten => a_report_tells_attempts_after_a_kill;
    /// A delivery that was given out is reported as waiting.
    RunningNotTold => a_report_tells_where_a_delivery_stands;
    /// It is not told where a subscription begins.
    SinceNotTold => subscriptions_tell_how_they_stand;
    /// The lag counts what is settled.
    LagGrows => subscriptions_tell_how_they_stand;
    /// The newest position is told too low.
    HealthLags => health_tells_the_newest_position;
    /// A reader that follows does not filter.
    FollowUnfiltered => a_reader_that_follows_filters;
    /// A dead letter is delivered again.
    DeadDeliveredAgain => a_rejected_event_is_not_delivered_again;
    /// Whoever waits for the next event is not woken by it.
    WakeLost => next_waits_for_the_next_event;
    /// An empty commit is an error.
    EmptyRefused => an_empty_commit_changes_nothing;
    /// Commits overtake one another.
    CommitsOvertake => commits_apply_in_the_order_of_their_first_poll;
    /// Reading settles for every subscription.
    ReadingSettles => a_reader_settles_nothing;
    /// What `try_commit` takes is lost now and then.
    TryCommitLoses => g13_try_commit_takes_or_gives_back;
    /// A dead letter does not count as settled.
    DeadIsNotSettled => settled_wakes_for_a_dead_letter;
    /// A subscription is attached by whoever gives up in the middle.
    AttachLeaks => a_dropped_attach_leaves_nothing_behind;
    /// Closing twice is a panic.
    SecondClosePanics => g16_close_may_be_called_again;
    /// Ids of what storage refused are known.
    FailedIsKnown => g13_what_failed_is_not_known_afterwards;
    /// What is not declared is taken, and nothing comes of it.
    FeatureIgnored => g7_a_value_changes_with_its_settlement;
    /// A value is not written.
    ValueIgnored => g7_a_value_changes_with_its_settlement;
    /// State changes also when the attempt is over.
    StateOfZombies => g7_a_value_changes_once;
    /// A commit that is refused changes state.
    RefusedCommitChanges => g7_a_refused_commit_writes_no_value;
    /// Subscriptions share their values.
    ValuesShared => values_belong_to_a_subscription_and_a_key;
    /// Values are lost by a kill.
    ValuesForgotten => g7_a_value_survives_a_kill;
    /// A value is written before its delivery is settled, in a commit of its own.
    StateBeforeSettle => g7_a_value_and_its_settlement_are_one_over_a_kill;
    /// A timer fires when it is set.
    TimerEarly => g10_a_timer_fires_once_and_not_early;
    /// A timer publishes two events.
    TimerTwice => g10_a_timer_fires_once_and_not_early;
    /// Setting a timer again changes nothing.
    TimerNotReplaced => a_timer_is_replaced_and_cancelled_by_name;
    /// A timer cannot be cancelled.
    TimerNotCancelled => a_timer_is_replaced_and_cancelled_by_name;
    /// Timers are lost by a kill.
    TimersForgotten => g10_a_timer_survives_a_kill_and_fires_once;
    /// Nobody looks at the number of a batch.
    SequenceIgnored => g9_a_counted_batch_is_stored_once;
    /// A batch may be missing.
    GapTaken => a_gap_in_a_sequence_is_refused;
    /// How far senders are is lost by a kill.
    SequencesForgotten => g9_a_counted_batch_is_known_after_a_kill;
    /// The engine panics when it is asked for an unknown id.
    Panics => find_tells_where_an_id_stands;
}

impl Fault {
    /// What becomes of a message on its way into the store.
    pub(crate) fn spoil(self, message: Message) -> Message {
        let data = message.data().cloned();
        let mut attributes = message.attributes().clone();
        match self {
            Self::ExtensionsDropped => {
                let names: Vec<_> = attributes
                    .extensions()
                    .map(|(name, _)| name.to_owned())
                    .collect();
                for name in names
                    .iter()
                    .filter(|name| *name != KEY && *name != DELIVER_AT)
                {
                    attributes.remove_extension(name);
                }
                Message::new(attributes, data)
            }
            Self::EmptyIsNone => Message::new(attributes, data.filter(|data| !data.is_empty())),
            Self::DataMended => {
                let mend = |data: Bytes| String::from_utf8_lossy(&data).into_owned().into();
                Message::new(attributes, data.map(mend))
            }
            _ => message,
        }
    }

    /// What becomes of a dead letter.
    pub(crate) fn spoil_letter(self, dead: Dead) -> Dead {
        let Dead {
            mut letter,
            mut message,
        } = dead;
        let mut attributes = message.attributes().clone();
        match self {
            Self::DeadLetterLosesBytes => message = Message::new(attributes, None),
            Self::TraceDropped => {
                attributes.remove_extension("traceparent");
                message = Message::new(attributes, message.data().cloned());
            }
            Self::DeadLetterLosesCause => letter.error = String::new(),
            Self::DeadLetterLosesAttempts => letter.attempts = 1,
            Self::HoldForced => letter.hold = true,
            _ => {}
        }
        Dead { letter, message }
    }

    /// The parts in which a commit is applied that should be one.
    pub(crate) fn tear(self, commit: &Commit) -> Option<Vec<Commit>> {
        let settle = || Commit {
            publish: Vec::new(),
            ..commit.clone()
        };
        let change = || Commit {
            change: commit.change.clone(),
            durability: commit.durability,
            ..Commit::default()
        };
        let without = || Commit {
            change: Vec::new(),
            ..commit.clone()
        };
        let publish = || Commit {
            settle: Vec::new(),
            ..commit.clone()
        };
        let both = !commit.settle.is_empty() && !commit.publish.is_empty();
        let one = |message: &Message| Commit {
            publish: vec![message.clone()],
            ..publish()
        };
        match self {
            Self::CursorBeforeEffect if both => Some(vec![settle(), publish()]),
            Self::EffectBeforeCursor if both => Some(vec![publish(), settle()]),
            Self::StateBeforeSettle if !commit.settle.is_empty() && !commit.change.is_empty() => {
                Some(vec![change(), without()])
            }
            Self::BatchOneByOne if commit.publish.len() > 1 => {
                Some(commit.publish.iter().map(one).collect())
            }
            _ => None,
        }
    }
}

/// The cases that no fault above is meant for, and a fault that breaks each: a case that nothing
/// breaks shows nothing.
pub(crate) const MORE: &[(Fault, &str)] = &[
    (
        Fault::RefusedCommitChanges,
        "g7_a_refused_commit_sets_no_timer",
    ),
    (
        Fault::SettlementsForgotten,
        "g7_kills_under_load_keep_effects_and_progress_together",
    ),
    (
        Fault::EffectBeforeCursor,
        "g7_kills_under_load_keep_effects_and_progress_together",
    ),
    (
        Fault::NewestLost,
        "g7_kills_under_load_keep_effects_and_progress_together",
    ),
    (
        Fault::DuplicateApplied,
        "g9_the_same_event_many_times_at_once_is_stored_once",
    ),
    (
        Fault::OtherContentAccepted,
        "of_two_that_contradict_one_is_stored",
    ),
    (Fault::CloseLoses, "positions_rise_over_clean_restarts"),
    (
        Fault::DeliveriesReversed,
        "g3_each_of_four_publishers_keeps_its_order",
    ),
    (Fault::BatchReversed, "many_keys_are_as_good_as_few"),
    (Fault::BatchReversed, "g13_accepted_is_reached_or_refused"),
    (Fault::NewestLost, "g1_written_survives_a_kill"),
    (
        Fault::NewestLost,
        "g1_acknowledged_survives_kill_after_kill",
    ),
    (
        Fault::CloseLoses,
        "g1_acknowledged_survives_a_clean_restart",
    ),
    (Fault::NewestLost, "g19_what_was_delivered_survives_a_kill"),
    (Fault::EmptyIsNone, "exotic_data_survives_a_kill"),
    (Fault::TraceDropped, "g18_trace_survives_a_kill"),
    (
        Fault::DuplicatesForgotten,
        "g9_a_duplicate_is_known_after_a_clean_restart",
    ),
    (
        Fault::DuplicateApplied,
        "g9_a_duplicate_within_a_batch_is_stored_once",
    ),
    (
        Fault::DuplicateApplied,
        "g9_a_duplicate_beside_new_events_is_absorbed",
    ),
    (
        Fault::DuplicatesForgotten,
        "the_same_id_with_other_content_is_refused_after_a_kill",
    ),
    (
        Fault::AppendedIsNow,
        "g15_reading_after_a_kill_gives_the_same",
    ),
    (Fault::AppendedIsNow, "a_reader_begins_where_it_is_told"),
    (Fault::ReaderSkips, "g15_readers_and_writers_side_by_side"),
    (Fault::SettlesForAll, "g2_fifty_subscriptions_each_get_all"),
    (
        Fault::DeliveredOnceOverKill,
        "g2_unsettled_is_delivered_again_after_a_clean_restart",
    ),
    (
        Fault::GateIgnored,
        "g3_what_waits_for_another_still_waits_after_a_kill",
    ),
    (Fault::CommitPastGap, "settled_is_not_delivered_again"),
    (
        Fault::CommitPastGap,
        "g2_a_gap_in_what_is_settled_survives_a_kill",
    ),
    (
        Fault::TooManyDeliveries,
        "nothing_is_delivered_twice_while_attached",
    ),
    (
        Fault::BatchReversed,
        "start_earliest_begins_with_the_oldest",
    ),
    (
        Fault::SubscriptionsForgotten,
        "a_known_subscription_is_known_after_a_kill",
    ),
    (Fault::StartMoves, "g2_latest_misses_nothing_while_detached"),
    (
        Fault::SettlementsForgotten,
        "g7_settling_and_publishing_are_one_over_a_kill",
    ),
    (
        Fault::RefusedCommitSettles,
        "g7_a_refused_commit_settles_nothing_over_a_kill",
    ),
    (
        Fault::PublishWithoutSettle,
        "several_settlements_in_one_commit",
    ),
    (
        Fault::RepetitionPublishes,
        "g9_a_repeated_settlement_publishes_nothing_more_after_a_kill",
    ),
    (
        Fault::SettleWithoutPublish,
        "g3_emitted_events_stand_in_their_order",
    ),
    (
        Fault::ReportsForgotten,
        "what_is_skipped_is_over_and_says_why_after_a_kill",
    ),
    (Fault::AttemptReset, "attempts_count_on_while_attached"),
    (
        Fault::AttemptsRestart,
        "g11_an_attempt_from_before_a_redrive_cannot_commit_after_a_kill",
    ),
    (Fault::EarlyRetry, "g10_a_retry_is_not_early_after_a_detach"),
    (
        Fault::RetryForgotten,
        "g10_a_retry_survives_a_clean_restart",
    ),
    (Fault::RetryAtTheEnd, "g3_order_survives_a_retry_and_a_kill"),
    (Fault::PublishWithoutSettle, "a_retry_may_publish_too"),
    (Fault::SlowBlocksOthers, "a_retry_holds_nobody_else"),
    (Fault::RejectedIsDropped, "g4_every_reason_is_kept"),
    (
        Fault::SettlementsForgotten,
        "a_rejected_event_is_not_delivered_again_after_a_kill",
    ),
    (Fault::HoldLost, "g5_held_keys_are_counted_after_a_kill"),
    (
        Fault::HoldLost,
        "g5_later_events_of_a_held_key_are_not_lost",
    ),
    (
        Fault::PublishWithoutSettle,
        "g4_a_rejection_may_publish_too",
    ),
    (
        Fault::RefusedCommitSettles,
        "g4_a_refused_rejection_leaves_no_dead_letter",
    ),
    (
        Fault::RedriveDrops,
        "g6_redrive_reaches_whoever_attaches_later",
    ),
    (
        Fault::DoneStaysDead,
        "g6_redrive_twice_does_no_harm_over_a_kill",
    ),
    (
        Fault::DoneStaysDead,
        "g6_done_removes_the_dead_letter_over_a_kill",
    ),
    (Fault::RedriveDrops, "g6_unsettled_it_comes_again"),
    (Fault::DoneStaysDead, "g6_retried_it_comes_again"),
    (Fault::RedriveDrops, "g6_only_the_named_are_sent"),
    (
        Fault::SettledNeverWakes,
        "settled_is_at_once_when_nothing_is_open",
    ),
    (
        Fault::SlowBlocksOthers,
        "g12_many_slow_subscriptions_block_no_other",
    ),
    (
        Fault::NextLosesWhenDropped,
        "g2_next_dropped_while_publishing_loses_nothing",
    ),
    (
        Fault::BatchOneByOne,
        "g14_a_batch_killed_is_whole_or_nothing",
    ),
    (
        Fault::DuplicateApplied,
        "a_commit_given_up_does_not_stop_the_next",
    ),
    (Fault::SettledNeverWakes, "settled_given_up_does_no_harm"),
    (Fault::CloseLoses, "g16_close_finishes_what_was_taken"),
    (
        Fault::DeliveredOnceOverKill,
        "g16_close_releases_what_was_delivered",
    ),
];
