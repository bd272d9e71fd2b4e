//! What Hence itself publishes about a subscription, for whoever is to know of it.
//!
//! They are events like any other: stored, ordered by the name of the subscription, and open to
//! subscribe to. Only Hence publishes types that begin with [`RESERVED`].

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::event::Event;

/// How the types begin that only Hence publishes.
pub const RESERVED: &str = "hence.";

macro_rules! notices {
    ($($(#[$doc:meta])* $name:ident = $type:literal { $($(#[$field:meta])* $member:ident,)* })*) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            /// The subscription.
            pub subscription: String,
            $($(#[$field])* pub $member: String,)*
        }

        impl Event for $name {
            const TYPE: &'static str = $type;
            const KEYED: bool = true;

            fn key(&self) -> Option<Cow<'_, str>> {
                Some(Cow::Borrowed(&self.subscription))
            }
        })*
    };
}

notices! {
    /// A storm of failures has stopped a subscription; it tries with one event at a time.
    SubscriptionTripped = "hence.subscription.tripped" {
        /// The failure that came last.
        error,
    }
    /// So much waits behind keys that fail that a subscription takes no more, or somebody has paused it.
    SubscriptionPaused = "hence.subscription.paused" {
        /// What it stands still for, as an explanation says it: `paused` at a limit, `paused-by`
        /// when somebody has paused it. Empty in events of a version that did not tell them apart.
        #[serde(default)]
        kind,
        /// Which limit was reached, or who has paused it.
        limit,
    }
    /// A dead letter was given up for good.
    DeadLetterDiscarded = "hence.deadletter.discarded" {
        /// The id of the dead letter.
        letter,
        /// The id of its event.
        event,
        /// Why, in words.
        reason,
    }
    /// A dead letter was sent again as an edited copy.
    DeadLetterEdited = "hence.deadletter.edited" {
        /// The id of the dead letter.
        letter,
        /// The id of its event.
        event,
        /// The id of the copy.
        copy,
    }
    /// Events caused one another more often than a subscription permits; the last is a dead letter.
    CycleStopped = "hence.cycle.stopped" {
        /// The id of the dead letter.
        letter,
        /// The id of its event.
        event,
        /// How often, in words.
        error,
    }
    /// The process ended several times while a handler had an event; it is a dead letter now.
    EventQuarantined = "hence.event.quarantined" {
        /// The id of the dead letter.
        letter,
        /// The id of its event.
        event,
        /// How often, in words.
        error,
    }
    /// A subscription that was stopped goes on.
    SubscriptionResumed = "hence.subscription.resumed" {
        /// What it was: `tripped`, `paused` at a limit, or `paused-by` somebody.
        was,
        /// Who let it go on; empty when it did so by itself.
        #[serde(default)]
        by,
    }
}
