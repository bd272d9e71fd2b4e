//! `Book`: what the handlers are to do, and what was seen of every call while it happened.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use hence::core::Position;
use hence::{Attempt, Envelope, Event, Failure, State};
use hence_log::sim::Dice;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// One event in so many is rejected whenever it comes.
const DOOMED: u64 = 12;
/// One event in so many ends the process whenever a handler has it, where something outlives that.
const DEADLY: u64 = 60;
/// The most processes that an event ends: the first one stores no mark, and three marks are enough.
const ENDS_MAX: u32 = 4;
/// In one seed of so many most first attempts fail.
const STORMY: u64 = 5;

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) key: String,
    /// Rising within its key.
    pub(super) number: u64,
}

impl Event for Step {
    const TYPE: &'static str = "handlers.step";
    const KEYED: bool = true;

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.key))
    }
}

/// What a handler that is done emits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Went {
    pub(super) by: String,
    pub(super) key: String,
    pub(super) number: u64,
}

impl Event for Went {
    const TYPE: &'static str = "handlers.went";
    const KEYED: bool = true;

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.key))
    }
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fired {
    failed: u64,
    rejected: u64,
    hung: u64,
    panicked: u64,
    dropped: u64,
    exhausted: u64,
    redriven: u64,
    edited: u64,
    discarded: u64,
    ended: u64,
    quarantined: u64,
    pub(super) storms: u64,
}

impl Fired {
    fn all(&self) -> [(&'static str, u64); 12] {
        [
            ("failed", self.failed),
            ("rejected", self.rejected),
            ("timed out", self.hung),
            ("panicked", self.panicked),
            ("dropped with their process", self.dropped),
            ("out of attempts", self.exhausted),
            ("redriven", self.redriven),
            ("of them edited", self.edited),
            ("discarded", self.discarded),
            ("processes ended", self.ended),
            ("quarantined", self.quarantined),
            ("storms", self.storms),
        ]
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.failed += other.failed;
        self.rejected += other.rejected;
        self.hung += other.hung;
        self.panicked += other.panicked;
        self.dropped += other.dropped;
        self.exhausted += other.exhausted;
        self.redriven += other.redriven;
        self.ended += other.ended;
        self.quarantined += other.quarantined;
        self.edited += other.edited;
        self.discarded += other.discarded;
        self.storms += other.storms;
    }

    pub(super) fn sum(&self) -> u64 {
        self.all().iter().map(|(_, count)| count).sum()
    }

    pub(super) fn lacks_any(&self) -> bool {
        self.all().iter().any(|(_, count)| *count == 0)
    }
}

impl fmt::Display for Fired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all().map(|(name, count)| format!("{count} {name}"));
        f.write_str(&all.join(", "))
    }
}

/// What a handler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Done,
    Slow(u64),
    Fail,
    Reject,
    Hang,
    Panic,
    End,
}

/// How the last call of a lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// Nothing is known: a new life, or a redrive.
    Fresh,
    Running(u64, u32),
    Done(u64),
    /// To be tried again next.
    Failed(u64, u32),
    Dead(u64),
}

#[derive(Default)]
struct Pages {
    next: BTreeMap<String, u64>,
    sent: Vec<Step>,
    acknowledged: Vec<(Step, u64)>,
    lanes: HashMap<(&'static str, String), Last>,
    mercy: bool,
    /// Ids of dead letters that were given up.
    discarded: BTreeSet<String>,
    ending: bool,
    /// A handler has ended the process.
    ended: bool,
    /// How many processes ended, one after the other, while a handler had an event.
    ends: HashMap<(&'static str, String, u64), u32>,
    /// In how many lives a handler had an event at all; and those of this life.
    lives: HashMap<(String, String, u64), u32>,
    had: HashSet<(String, String, u64)>,
    /// Lives in which what was not synced may be lost.
    disturbed: u32,
    fired: Fired,
    problems: Vec<Problem>,
}

/// What should not have been.
struct Problem {
    what: String,
    /// Whether it can be so because something was not stored.
    excusable: bool,
}

/// A handle to the book.
#[derive(Clone)]
pub(super) struct Book {
    seed: u64,
    attempts: u32,
    /// Whether anything outlives the process.
    lasts: bool,
    pages: Arc<Mutex<Pages>>,
    end: Arc<Notify>,
}

impl Book {
    pub(super) fn new(seed: u64, attempts: u32, lasts: bool) -> Self {
        Self {
            seed,
            attempts,
            lasts,
            pages: Arc::default(),
            end: Arc::default(),
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next event of a key.
    pub(super) fn next(&self, key: u64) -> Step {
        let key = format!("k{key}");
        let mut pages = self.pages();
        let number = pages.next.entry(key.clone()).or_default();
        *number += 1;
        let number = *number;
        Step { key, number }
    }

    pub(super) fn sent(&self, step: &Step) {
        self.pages().sent.push(step.clone());
    }

    pub(super) fn acknowledged(&self, step: &Step, position: Option<Position>) {
        let position = position.map_or(0, |position| position.0);
        self.pages().acknowledged.push((step.clone(), position));
    }

    /// What was sent, and what of it was acknowledged where.
    pub(super) fn published(&self) -> (Vec<Step>, Vec<(Step, u64)>) {
        let pages = self.pages();
        (pages.sent.clone(), pages.acknowledged.clone())
    }

    /// From now on every handler is done; what was rejected may come in any order of keys.
    pub(super) fn have_mercy(&self) {
        let mut pages = self.pages();
        pages.mercy = true;
        pages.lanes.clear();
    }

    pub(super) fn edited(&self) {
        self.pages().fired.edited += 1;
    }

    /// A dead letter is given up, perhaps while it is on its way again.
    pub(super) fn gives_up(&self, id: &str) {
        let mut pages = self.pages();
        pages.fired.discarded += 1;
        pages.discarded.insert(id.to_owned());
        pages.lanes.clear();
    }

    /// Whether the dead letter of an event was given up.
    pub(super) fn has_given_up(&self, by: &str, position: u64) -> bool {
        self.pages().discarded.contains(&format!("{by}.{position}"))
    }

    pub(super) fn redriven(&self, count: u64) {
        let mut pages = self.pages();
        pages.fired.redriven += count;
        pages.lanes.clear();
    }

    pub(super) fn storms(&self, count: u64) {
        self.pages().fired.storms += count;
    }

    /// Whatever runs now is dropped with its process.
    pub(super) fn end_life(&self) {
        self.pages().ending = true;
    }

    /// Waits until a handler ends the process.
    pub(super) async fn end(&self) {
        while !self.pages().ended {
            self.end.notified().await;
        }
    }

    /// In the life that ended something was lost that was not synced.
    pub(super) fn disturbed(&self) {
        self.pages().disturbed += 1;
    }

    /// An event is quarantined; in how many lives a handler had it.
    pub(super) fn quarantined(&self, by: &str, step: &Step) -> u32 {
        let mut pages = self.pages();
        pages.fired.quarantined += 1;
        let event = (by.to_owned(), step.key.clone(), step.number);
        pages.lives.get(&event).copied().unwrap_or(0)
    }

    pub(super) fn fired(&self) -> Fired {
        self.pages().fired
    }

    /// What was seen in the life that ended; the next one knows nothing. Where storage failed, what
    /// a handler did may not have been stored, and it may be called again at once; but no failure to
    /// store lets a later event of a key go first.
    pub(super) fn verdict(&self, storage_failed: bool) -> Result<()> {
        let mut pages = self.pages();
        if storage_failed {
            pages.problems.retain(|problem| !problem.excusable);
        }
        (pages.ending, pages.ended) = (false, false);
        pages.had.clear();
        pages.lanes.clear();
        match pages.problems.first() {
            Some(problem) => bail!("{}", problem.what),
            None => Ok(()),
        }
    }

    /// What a handler does with an attempt; the same in every run.
    fn mood(&self, by: &str, step: &Step, attempt: u32) -> Mood {
        if self.pages().mercy {
            return Mood::Done;
        }
        let mut seed = self.seed;
        for byte in by.bytes().chain(step.key.bytes()) {
            seed = seed.wrapping_mul(0x0100_0000_01B3) ^ u64::from(byte);
        }
        let mut deadly = Dice::new(seed ^ (step.number << 40));
        if self.lasts && deadly.below(DEADLY) == 0 {
            return Mood::End;
        }
        let mut dice = Dice::new(seed ^ (step.number << 32));
        if dice.below(DOOMED) == 0 {
            return Mood::Reject;
        }
        // What all of them depend on may be broken for a while.
        if self.seed.is_multiple_of(STORMY) && attempt == 1 && dice.below(3) > 0 {
            return Mood::Fail;
        }
        let mut dice = Dice::new(dice.roll() ^ u64::from(attempt));
        match dice.below(12) {
            0 | 1 => Mood::Fail,
            2 => Mood::Hang,
            3 => Mood::Panic,
            4..=6 => Mood::Slow(dice.below(2000)),
            _ => Mood::Done,
        }
    }

    /// A call begins; what it may be follows from how the one before it ended.
    fn begin(&self, by: &'static str, step: &Step, attempt: u32) -> Call {
        let mut pages = self.pages();
        let lane = (by, step.key.clone());
        let number = step.number;
        let event = (by.to_owned(), step.key.clone(), number);
        if pages.had.insert(event.clone()) {
            *pages.lives.entry(event).or_default() += 1;
        }
        let last = pages.lanes.insert(lane, Last::Running(number, attempt));
        let last = last.unwrap_or(Last::Fresh);
        let fits = match last {
            Last::Fresh => true,
            Last::Running(..) => false,
            // Of what went on behind dead letters each may be sent again by itself.
            Last::Done(before) if pages.mercy && by == "go" => number != before,
            Last::Done(before) => number > before,
            Last::Failed(before, ended) => number == before && attempt == ended + 1,
            Last::Dead(before) => by == "go" && number > before,
        };
        if !fits || attempt > self.attempts || attempt == 0 {
            let overtakes = match last {
                Last::Running(before, _) | Last::Failed(before, _) => number > before,
                Last::Dead(before) => by == "hold" && number > before,
                Last::Fresh | Last::Done(_) => false,
            };
            pages.problems.push(Problem {
                what: format!("{by}: {step:?} came as attempt {attempt} after {last:?}"),
                excusable: !overtakes,
            });
        }
        Call {
            book: self.clone(),
            by,
            step: step.clone(),
            attempt,
            end: None,
        }
    }

    async fn act(&self, by: &'static str, step: Step, attempt: u32) -> Result<Went, Failure> {
        let mood = self.mood(by, &step, attempt);
        let mut call = self.begin(by, &step, attempt);
        match mood {
            Mood::Done => {}
            Mood::Slow(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Mood::Hang => std::future::pending().await,
            Mood::End => {
                {
                    let mut pages = self.pages();
                    pages.fired.ended += 1;
                    pages.ended = true;
                }
                self.end.notify_one();
                std::future::pending::<()>().await;
            }
            Mood::Fail => {
                call.end = Some(mood);
                return Err(Failure::retry("it failed as it was told"));
            }
            Mood::Reject => {
                call.end = Some(mood);
                return Err(Failure::reject("it is doomed"));
            }
            Mood::Panic => {
                call.end = Some(mood);
                drop(call);
                // As a panic, but without its words on the screen.
                resume_unwind(Box::new("it panicked as it was told"));
            }
        }
        call.end = Some(Mood::Done);
        Ok(Went {
            by: by.to_owned(),
            key: step.key,
            number: step.number,
        })
    }
}

/// A call that runs; when it is dropped it has ended, one way or another.
struct Call {
    book: Book,
    by: &'static str,
    step: Step,
    attempt: u32,
    end: Option<Mood>,
}

impl Drop for Call {
    fn drop(&mut self) {
        let (number, attempt) = (self.step.number, self.attempt);
        let mut pages = self.book.pages();
        let ending = pages.ending;
        let event = (self.by, self.step.key.clone(), number);
        if self.end.is_none() && ending {
            let ends = pages.ends.entry(event).or_default();
            *ends += 1;
            if *ends > ENDS_MAX + pages.disturbed {
                let what = format!("{}: {:?} ended too many processes", self.by, self.step);
                let excusable = true;
                pages.problems.push(Problem { what, excusable });
            }
        } else {
            pages.ends.remove(&event);
        }
        let fired = &mut pages.fired;
        match self.end {
            Some(Mood::Done) => {}
            Some(Mood::Reject) => fired.rejected += 1,
            Some(Mood::Panic) => fired.panicked += 1,
            Some(_) => fired.failed += 1,
            None if ending => fired.dropped += 1,
            None => fired.hung += 1,
        }
        let last = match self.end {
            Some(Mood::Done) => Last::Done(number),
            Some(Mood::Reject) => Last::Dead(number),
            _ if attempt == self.book.attempts => {
                fired.exhausted += 1;
                Last::Dead(number)
            }
            _ => Last::Failed(number, attempt),
        };
        let lane = (self.by, self.step.key.clone());
        pages.lanes.insert(lane, last);
    }
}

/// Holds the later events of a key behind a dead letter.
pub(super) async fn hold(
    step: Envelope<Step>,
    book: State<Book>,
    Attempt(attempt): Attempt,
) -> Result<Went, Failure> {
    book.act("hold", step.data, attempt).await
}

/// Goes on behind a dead letter.
pub(super) async fn go(
    step: Envelope<Step>,
    book: State<Book>,
    Attempt(attempt): Attempt,
) -> Result<Went, Failure> {
    book.act("go", step.data, attempt).await
}

#[cfg(test)]
mod tests {
    use super::{Book, Step};

    /// Whether these calls, each of which ends without a word, are a fault of theirs.
    fn blamed(numbers: &[u64], storage_failed: bool) -> bool {
        let book = Book::new(1, 3, true);
        for &number in numbers {
            let key = "k0".to_owned();
            drop(book.begin("hold", &Step { key, number }, 1));
        }
        book.verdict(storage_failed).is_err()
    }

    #[test]
    fn storage_that_failed_excuses_a_second_call_and_no_overtaking() {
        for storage_failed in [false, true] {
            assert!(!blamed(&[1], storage_failed));
            assert_eq!(blamed(&[1, 1], storage_failed), !storage_failed);
            assert!(blamed(&[1, 2], storage_failed));
        }
    }
}
