//! The judgement: what is stored, against what was acknowledged.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context as _, Result, ensure};
use hence::core::{DeadLetterQuery, Engine, Entry, Message, Read, RejectReason};
use hence::{Event, Start};

use super::book::{Book, Step, Went};

/// What Hence says of itself when a storm of failures stops a subscription.
const STORM: &str = "hence.subscription.tripped";

/// In so many lives at least a handler has had an event that is quarantined: three left a mark, and
/// one of them may have ended between the mark and the call.
const LIVES: u32 = 2;

async fn entries(engine: &dyn Engine) -> Result<Vec<Entry>> {
    let read = Read {
        from: Start::Earliest,
        ..Read::default()
    };
    let mut reader = engine.read(read).await?;
    let mut all = Vec::new();
    loop {
        let some = reader.next(512).await?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

fn decoded<E: Event + serde::de::DeserializeOwned>(message: &Message) -> Result<Option<E>> {
    if message.attributes().event_type() != E::TYPE {
        return Ok(None);
    }
    let data = message.data().context("it has data")?;
    Ok(Some(serde_json::from_slice(data)?))
}

/// All of a type, with their positions.
fn of<E: Event + serde::de::DeserializeOwned>(all: &[Entry]) -> Result<Vec<(u64, E)>> {
    let mut found = Vec::new();
    for entry in all {
        if let Some(event) = decoded(&entry.message)? {
            found.push((entry.position.0, event));
        }
    }
    Ok(found)
}

/// Before anything is redriven: every dead letter is kept with its cause and its bytes (G4), and nothing
/// behind one of `hold` was handled (G5).
pub(super) async fn held(engine: &dyn Engine, book: &Book) -> Result<()> {
    let all = entries(engine).await?;
    let (steps, went) = (of::<Step>(&all)?, of::<Went>(&all)?);
    let steps: HashMap<u64, Step> = steps.into_iter().collect();
    let storms = all
        .iter()
        .filter(|entry| entry.message.attributes().event_type() == STORM);
    book.storms(storms.count() as u64);
    for letter in engine.dead_letters(&dead()).await? {
        let stored = steps
            .get(&letter.position.0)
            .context("a dead letter of an event")?;
        let kept: Option<Step> = decoded(&engine.dead_letter(&letter.id).await?.1)?;
        ensure!(
            kept.as_ref() == Some(stored) && !letter.error.is_empty() && letter.attempts > 0,
            "G4: {letter:?} is not {stored:?}"
        );
        if letter.reason == RejectReason::Quarantined {
            let lives = book.quarantined(&letter.subscription, stored);
            ensure!(
                lives >= LIVES,
                "{letter:?} was with a handler in {lives} lives"
            );
        }
        let hold = letter.subscription == "hold";
        ensure!(letter.hold == hold, "G5: {letter:?}");
        let passed = went.iter().find(|(_, went)| {
            went.by == letter.subscription
                && went.key == stored.key
                && (went.number == stored.number || hold && went.number > stored.number)
        });
        ensure!(passed.is_none(), "G5: {passed:?} in spite of {stored:?}");
    }
    Ok(())
}

/// What lies among the dead letters and was not sent again.
pub(super) fn dead() -> DeadLetterQuery {
    DeadLetterQuery {
        redriven: Some(false),
        ..DeadLetterQuery::default()
    }
}

/// The first event that some subscription has neither done nor dead, nor behind a dead letter.
pub(super) async fn open(engine: &dyn Engine) -> Result<Option<String>> {
    let all = entries(engine).await?;
    let (steps, went) = (of::<Step>(&all)?, of::<Went>(&all)?);
    let places: HashMap<u64, &Step> = steps.iter().map(|(place, step)| (*place, step)).collect();
    let mut ended: BTreeSet<(&str, &str, u64)> = went
        .iter()
        .map(|(_, went)| (&*went.by, &*went.key, went.number))
        .collect();
    let letters = engine.dead_letters(&dead()).await?;
    let mut held: BTreeMap<&str, u64> = BTreeMap::new();
    for letter in &letters {
        let step = places
            .get(&letter.position.0)
            .context("a dead letter of an event")?;
        ended.insert((&letter.subscription, &step.key, step.number));
        if letter.hold {
            let first = held.entry(&step.key).or_insert(step.number);
            *first = step.number.min(*first);
        }
    }
    for (_, step) in &steps {
        let waits = held
            .get(&*step.key)
            .is_some_and(|first| *first < step.number);
        for by in ["hold", "go"] {
            let is_done = ended.contains(&(by, &*step.key, step.number));
            if !(is_done || waits && by == "hold") {
                return Ok(Some(format!("{by}, {step:?}")));
            }
        }
    }
    Ok(None)
}

/// At the end: nothing acknowledged is missing (G1), everything was handled by everybody (G2), unless it
/// was given up, with one effect each (G7, G9), in the order of its key (G3, G6).
pub(super) async fn end(engine: &dyn Engine, book: &Book) -> Result<()> {
    let all = entries(engine).await?;
    let (steps, went) = (of::<Step>(&all)?, of::<Went>(&all)?);
    let (sent, acknowledged) = book.published();
    for (step, position) in &acknowledged {
        let there = steps.iter().filter(|(_, stored)| stored == step);
        let places: Vec<_> = there.map(|(place, _)| *place).collect();
        ensure!(
            places == [*position],
            "G1: {step:?}, acknowledged at {position}, is at {places:?}"
        );
    }
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut total = 0;
    for (position, step) in &steps {
        ensure!(sent.contains(step), "{step:?} was never sent");
        let before = last.insert(&step.key, step.number);
        ensure!(
            before.is_none_or(|before| before < step.number),
            "{step:?} after {before:?}"
        );
        for by in ["hold", "go"] {
            let effects = went.iter().filter(|(_, went)| {
                went.by == by && went.key == step.key && went.number == step.number
            });
            let count = effects.count();
            total += count;
            let may_lack = book.has_given_up(by, *position);
            ensure!(
                count == 1 || count == 0 && may_lack,
                "G2, G9: {by} has handled {step:?} {count} times"
            );
        }
    }
    ensure!(went.len() == total, "G9: {} effects", went.len());
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, went) in went.iter().filter(|(_, went)| went.by == "hold") {
        let before = last.insert(&went.key, went.number);
        ensure!(
            before.is_none_or(|before| before < went.number),
            "G3: {went:?} after {before:?}"
        );
    }
    Ok(())
}
