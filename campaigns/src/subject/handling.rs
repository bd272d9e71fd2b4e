//! The events and handlers of the subject.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use hence::{Attempt, Envelope, Event, Failure, State};
use serde::{Deserialize, Serialize};

use super::Told;
use crate::line::Line;

/// Numbers divisible by this need three attempts in `flaky`.
pub(crate) const THIRD_TIME: u64 = 7;
/// Numbers divisible by this are rejected by `flaky`.
pub(crate) const NEVER: u64 = 31;
/// Numbers divisible by this are rejected by `strict`, until it has mercy.
pub(crate) const HELD: u64 = 53;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $type:literal { $($field:ident: $kind:ty),* };)*) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub(crate) struct $name {
            /// The ordering key.
            pub(crate) key: String,
            /// The number within the key.
            pub(crate) number: u64,
            $(#[allow(missing_docs, reason = "said by its name")] pub $field: $kind,)*
        }

        impl Event for $name {
            const TYPE: &'static str = $type;
            const KEYED: bool = true;

            fn key(&self) -> Option<Cow<'_, str>> {
                Some(Cow::Borrowed(&self.key))
            }
        })*
    };
}

events! {
    /// What publishers send.
    Step = "campaign.step" { filler: String };
    /// Emitted by `plain`.
    Done = "campaign.done" { attempt: u32 };
    /// Emitted by `flaky`.
    Flaked = "campaign.flaked" { attempt: u32 };
    /// Emitted by `strict`.
    Kept = "campaign.kept" { attempt: u32 };
    /// Emitted by `chain`.
    Chained = "campaign.chained" { attempt: u32 };
}

impl Told {
    fn tried<E>(&self, by: &str, event: &Envelope<E>, attempt: u32) {
        let id = event.attributes.id().to_owned();
        self.pipe.say(&Line::Try {
            by: by.to_owned(),
            id,
            attempt,
        });
    }
}

/// Emits one event for each.
pub(crate) async fn plain(
    step: Envelope<Step>,
    told: State<Told>,
    Attempt(attempt): Attempt,
) -> Done {
    told.tried("plain", &step, attempt);
    Done {
        key: step.data.key,
        number: step.data.number,
        attempt,
    }
}

/// Fails twice with some, and always with others.
pub(crate) async fn flaky(
    step: Envelope<Step>,
    told: State<Told>,
    Attempt(attempt): Attempt,
) -> Result<Flaked, Failure> {
    told.tried("flaky", &step, attempt);
    let number = step.data.number;
    if number.is_multiple_of(NEVER) {
        return Err(Failure::reject("never"));
    }
    if number.is_multiple_of(THIRD_TIME) && attempt < 3 {
        return Err(Failure::retry("not yet"));
    }
    Ok(Flaked {
        key: step.data.key,
        number,
        attempt,
    })
}

/// Rejects some, and so holds their keys, until it has mercy.
pub(crate) async fn strict(
    step: Envelope<Step>,
    told: State<Told>,
    Attempt(attempt): Attempt,
) -> Result<Kept, Failure> {
    told.tried("strict", &step, attempt);
    let number = step.data.number;
    if number.is_multiple_of(HELD) && !told.mercy.load(Ordering::Relaxed) {
        return Err(Failure::reject("held"));
    }
    Ok(Kept {
        key: step.data.key,
        number,
        attempt,
    })
}

/// The second hop.
pub(crate) async fn chain(
    done: Envelope<Done>,
    told: State<Told>,
    Attempt(attempt): Attempt,
) -> Chained {
    told.tried("chain", &done, attempt);
    Chained {
        key: done.data.key,
        number: done.data.number,
        attempt,
    }
}

/// Emits nothing, so that a full disk does not hinder it.
pub(crate) async fn drain(step: Envelope<Step>, told: State<Told>, Attempt(attempt): Attempt) {
    told.tried("drain", &step, attempt);
}
