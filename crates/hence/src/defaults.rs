//! What happens when nothing else was said, as a table.
//!
//! It is the one source of `docs/reference/defaults.md` and of `hence config show --defaults`. The
//! numbers are those of the code, and each row has a test of its name.

use std::fmt::Write as _;
use std::time::Duration;

use hence_core::flow::{Adaptive, Debounce, Fair, Limit, RateLimit, Shed, Singleton, Throttle};
use hence_core::subscription::BREAKER_ATTEMPTS;
use hence_core::{Breaker, Options, RetryBudget};

use crate::app::DRAIN_MAX;
use crate::runtime::lanes::{BLOCKED_MAX, BLOCKED_PER_KEY_MAX, PARKED_MAX, WAITING_BYTES_MAX};

/// One default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Default {
    /// The test that holds it.
    pub name: &'static str,
    /// What it is about: `Handling`, `Publishing` or `Ending`.
    pub group: &'static str,
    /// When it applies.
    pub when: String,
    /// What happens.
    pub then: String,
    /// Why; empty where it goes without saying.
    pub because: &'static str,
}

/// Every default, in the order of the page.
#[must_use]
pub fn defaults() -> Vec<Default> {
    let mut rows = Vec::new();
    failures(&mut rows);
    poison(&mut rows);
    storms(&mut rows);
    amounts(&mut rows);
    controls(&mut rows);
    publishing(&mut rows);
    rows
}

/// The page `docs/reference/defaults.md`.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(
        "# Defaults\n\nWhat happens when nothing else was said. A default is the choice that loses \
         nothing; what is faster and\nmay lose something has to be asked for. `hence config show \
         --defaults` prints this table, and each row has a\ntest.\n",
    );
    let mut group = "";
    for row in defaults() {
        if row.group != group {
            group = row.group;
            let _ = write!(
                out,
                "\n## {group}\n\n| When | Then | Because |\n|---|---|---|\n"
            );
        }
        let _ = writeln!(out, "| {} | {} | {} |", row.when, row.then, row.because);
    }
    out
}

fn failures(rows: &mut Vec<Default>) {
    let Options { retry, .. } = Options::default();
    let waits: Vec<_> = (1..4).map(|n| text(retry.bound(n))).collect();
    let (attempts, max) = (retry.attempts, text(retry.max));
    let waits = waits.join(", ");
    let mut row = |name, when: &str, then: String, because| {
        rows.push(row("Handling", name, when.to_owned(), then, because));
    };
    row(
        "an_error_is_retried_with_a_rising_attempt",
        "a handler returns an error",
        format!(
            "it is tried again, {attempts} attempts in all; before the next attempt it waits a \
             random time of at most {waits} … {max}; its key waits with it"
        ),
        "order survives, and a system that recovers is not overrun",
    );
    row(
        "exhausted_retries_end_with_the_dead_letters",
        "the last attempt failed, or the handler said reject",
        "the event is kept as a dead letter, with cause, attempts and bytes".to_owned(),
        "nothing disappears",
    );
    row(
        "later_events_of_a_key_wait_for_its_dead_letter",
        "an event behind a dead letter has the same key",
        "it waits until the dead letter is redriven; *continue* by choice".to_owned(),
        "order survives failure",
    );
    row(
        "an_event_that_does_not_decode_is_kept_with_its_bytes",
        "an event cannot be decoded",
        "it becomes a dead letter at once".to_owned(),
        "the same bytes fail the same way",
    );
}

fn poison(rows: &mut Vec<Default>) {
    let Options {
        timeout,
        causation_depth,
        crashes,
        ..
    } = Options::default();
    let mut row = |name, when: &str, then: String, because| {
        rows.push(row("Handling", name, when.to_owned(), then, because));
    };
    row(
        "a_panic_fails_one_attempt_and_nothing_else",
        "a handler panics",
        "that attempt failed; all else goes on".to_owned(),
        "one poisonous event must not stop the others",
    );
    row(
        "an_event_that_ends_the_process_is_quarantined",
        "a process ends while a handler has an event",
        format!(
            "it is delivered again; seen at {} counted crashes in a row (the first of a new event is \
             not counted) it becomes a dead letter, with the reason `quarantined`, and \
             `hence.event.quarantined` says so",
            crashes.unwrap_or(u32::MAX)
        ),
        "one poisonous event must not end every process",
    );
    row(
        "a_handler_that_hangs_is_stopped_by_its_time_out",
        &format!("an attempt takes {}", text(timeout)),
        "it is ended and counts as failed".to_owned(),
        "a call that hangs would hold its key for ever",
    );
    row(
        "an_expired_event_is_skipped",
        "the `expirytime` of an event is over before a handler has it",
        "it is settled without a call, counted, and reported as `expired`".to_owned(),
        "work that nobody waits for any more delays work that somebody waits for",
    );
    row(
        "a_cycle_of_events_ends_with_a_dead_letter",
        &format!("more than {causation_depth} events caused one another"),
        "the next one becomes a dead letter, with the reason `cycle`, and `hence.cycle.stopped` \
         says so"
            .to_owned(),
        "loops end",
    );
}

fn storms(rows: &mut Vec<Default>) {
    let (breaker, budget) = (Breaker::default(), RetryBudget::default());
    let (failures, probe) = (breaker.failures, text(breaker.probe));
    let mut row = |name, when: String, then: String, because| {
        rows.push(row("Handling", name, when, then, because));
    };
    row(
        "a_storm_of_failures_stops_the_subscription",
        format!(
            "{failures} first attempts in a row failed, each with another key, or more than {:.0} % \
             of the last {BREAKER_ATTEMPTS}",
            breaker.share * 100.0
        ),
        format!(
            "the subscription trips: it tries with one event every {probe}, and goes on when one \
             succeeds; `hence.subscription.tripped` and `hence.subscription.resumed` say so. A \
             restart goes on like this: with one event"
        ),
        "a broken dependency must not turn everything into dead letters",
    );
    row(
        "retries_beyond_the_budget_wait_longer",
        format!(
            "retries are more than {:.0} % of the last minute's deliveries and {} each second",
            budget.share * 100.0,
            budget.per_second
        ),
        "they wait longer; none is lost".to_owned(),
        "a storm of retries would take the room that new events need",
    );
    row(
        "too_much_behind_failures_pauses_the_subscription",
        format!(
            "behind failures wait {} events of one key, or {} of one subscription, or {} MiB",
            thousands(BLOCKED_PER_KEY_MAX),
            thousands(BLOCKED_MAX),
            WAITING_BYTES_MAX >> 20
        ),
        "the subscription takes no more until some of them are free; `hence.subscription.paused` \
         says so"
            .to_owned(),
        "memory stays bounded, and nothing is forgotten",
    );
}

fn amounts(rows: &mut Vec<Default>) {
    let Options {
        concurrency,
        batch_events,
        batch_age,
        batch_bytes,
        ..
    } = Options::default();
    let mut row = |name, when: &str, then: String, because| {
        rows.push(row("Handling", name, when.to_owned(), then, because));
    };
    row(
        "so_many_are_handled_at_a_time",
        "several events are ready",
        format!(
            "{concurrency} are handled at a time for each subscription, one at a time for each key"
        ),
        "",
    );
    row(
        "a_hot_key_keeps_no_other_key_waiting",
        "a key has more events than it can handle",
        format!(
            "up to {} wait behind keys that are busy, and {} MiB in all, while other keys go on",
            thousands(PARKED_MAX),
            WAITING_BYTES_MAX >> 20
        ),
        "memory stays bounded, and one key takes no place of others",
    );
    row(
        "a_batch_is_what_came_in_time",
        "a batch handler",
        format!(
            "gets up to {batch_events} events of at most {} MiB, or what came within {} of the first",
            batch_bytes >> 20,
            text(batch_age)
        ),
        "",
    );
    row(
        "a_new_subscription_starts_where_it_is_told",
        "a subscription is new",
        "it begins with the first event after its creation".to_owned(),
        "nobody wants a year of old mail sent again",
    );
}

/// What is off unless it is asked for, and its numbers where only that was asked.
fn controls(rows: &mut Vec<Default>) {
    let mut row = |name, when: &str, then: String| {
        let group = "Flow control, off unless it is asked for";
        rows.push(row(group, name, when.to_owned(), then, ""));
    };
    let limit = Limit::default();
    row(
        "a_limit_holds_across_keys",
        "`limit`",
        format!("{} at a time for each `{}`", limit.most, limit.by.name()),
    );
    let Throttle { calls, per } = Throttle::default();
    row(
        "a_throttle_spreads_calls",
        "`throttle`",
        format!("{calls} each {}, others wait", text(per)),
    );
    let RateLimit { events, per, .. } = RateLimit::default();
    row(
        "a_rate_limit_skips_what_is_beyond_it",
        "`ratelimit`",
        format!("{events} each {}, others are skipped", text(per)),
    );
    let Debounce { by, quiet, most } = Debounce::default();
    let (quiet, most) = (text(quiet), text(most));
    row(
        "the_last_of_a_burst_is_handled",
        "`debounce`",
        format!(
            "after {quiet} without another of the same `{}`, or {most}",
            by.name()
        ),
    );
    row(
        "a_singleton_skips_what_comes_while_one_runs",
        "`singleton`",
        format!(
            "what comes while one of its `{}` is in progress is skipped",
            Singleton::default().by.name()
        ),
    );
    row(
        "a_small_tenant_is_not_behind_a_large_one",
        "`fair`",
        format!("each `{}` has the weight 1", Fair::default().by.name()),
    );
    row(
        "what_is_shed_comes_later_and_in_order",
        "`shed`",
        format!(
            "while the mean event waits {}, the less urgent come later",
            text(Shed::default().wait)
        ),
    );
    let Adaptive { least, most } = Adaptive::default();
    row(
        "the_number_of_calls_follows_how_long_they_take",
        "`adaptive`",
        format!("between {least} and {most} at a time"),
    );
}

fn publishing(rows: &mut Vec<Default>) {
    let mut row = |group, name, when: &str, then: &str, because| {
        let (when, then) = (when.to_owned(), then.to_owned());
        rows.push(row(group, name, when, then, because));
    };
    row(
        "Publishing",
        "the_receipt_names_the_durability_that_was_reached",
        "an event is published",
        "it is acknowledged at the strongest level that the engine has: `synced` on `log:`, \
         `accepted` on `memory:`",
        "an acknowledged event is not lost",
    );
    row(
        "Publishing",
        "fire_and_forget_gives_the_event_back_when_there_is_no_room",
        "the engine has no room",
        "`publish` waits; `try_publish` gives the event back",
        "memory stays bounded",
    );
    row(
        "Publishing",
        "the_same_event_again_is_a_duplicate",
        "the same source and id come again",
        "with equal content the first receipt, marked as a duplicate; with other content an error",
        "",
    );
    row(
        "Publishing",
        "an_event_that_nobody_wants_is_kept",
        "no subscription wants an event",
        "it is kept",
        "it is a fact all the same",
    );
    row(
        "Publishing",
        "a_reserved_type_is_refused",
        "a type begins with `hence.`",
        "it is refused; only Hence publishes such events",
        "whoever reads them can trust them",
    );
    let drain = text(DRAIN_MAX);
    row(
        "Ending",
        "a_drain_lets_handlers_finish",
        "the process is asked to end",
        &format!("it pulls nothing new and finishes what runs, for at most {drain}"),
        "what is not finished is delivered again after the restart",
    );
    row(
        "Ending",
        "a_restart_goes_on_where_it_was",
        "the process is killed",
        "the same, without the finishing",
        "",
    );
}

fn row(
    group: &'static str,
    name: &'static str,
    when: String,
    then: String,
    because: &'static str,
) -> Default {
    Default {
        name,
        group,
        when,
        then,
        because,
    }
}

/// A time as people write it: `200 ms`, `1.8 s`, `1 min`.
fn text(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1.0 {
        format!("{} ms", time.as_millis())
    } else if seconds < 60.0 {
        format!("{seconds} s")
    } else {
        format!("{} min", seconds / 60.0)
    }
}

fn thousands(number: usize) -> String {
    format!("{},{:03}", number / 1_000, number % 1_000)
}
