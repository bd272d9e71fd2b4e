//! Flow control: how many calls a subscription makes, how fast, of which events, and in whose turn.
//!
//! Each is an option of the subscription, absent unless it is asked for. All of them are written the
//! same in code, in `#[handler]` and in configuration; [`setting`](crate::setting) has the names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::envelope::{Attributes, KEY, Value};

/// What events are told apart by: the value of one attribute.
///
/// ```
/// use hence_core::{Attributes, flow::By};
///
/// let mut attributes = Attributes::new("1", "/shop", "order.placed").unwrap();
/// attributes.set("tenantid", "acme").unwrap();
/// assert_eq!(By::from("tenantid").group(&attributes).as_deref(), Some("acme"));
/// assert_eq!(By::KEY.group(&attributes), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct By(Cow<'static, str>);

impl By {
    /// The ordering key of an event, under the name `key`.
    pub const KEY: Self = Self(Cow::Borrowed("key"));

    /// The attribute of a name, `key` for the ordering key.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self(name.into())
    }

    /// The name of the attribute.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Its value in an event; `None` where the event does not have it.
    #[must_use]
    pub fn group<'a>(&self, attributes: &'a Attributes) -> Option<Cow<'a, str>> {
        match self.name() {
            "key" | KEY => attributes.key().map(Cow::Borrowed),
            "id" => Some(attributes.id().into()),
            "source" => Some(attributes.source().into()),
            "type" => Some(attributes.event_type().into()),
            "subject" => attributes.subject().map(Cow::Borrowed),
            name => attributes.extension(name).map(|value| match value {
                Value::String(text) => text,
                other => other.to_text().into_owned().into(),
            }),
        }
    }
}

impl Default for By {
    fn default() -> Self {
        Self::KEY
    }
}

impl From<&'static str> for By {
    fn from(name: &'static str) -> Self {
        Self::new(name)
    }
}

impl From<String> for By {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

/// At most so many calls at a time for events that have an attribute in common.
///
/// Events without it are one group. What is beyond waits; other groups go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The attribute.
    pub by: By,
    /// Calls at a time for each of its values.
    pub most: usize,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            by: By::KEY,
            most: 1,
        }
    }
}

/// At most so many calls begin within a while; what comes sooner **waits**.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Calls.
    pub calls: u32,
    /// Within this time.
    pub per: Duration,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            calls: 1,
            per: Duration::from_secs(1),
        }
    }
}

/// At most so many events within a while; what comes sooner is **skipped**, and that is recorded.
///
/// The time is that at which the engine took the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Events.
    pub events: u32,
    /// Within this time.
    pub per: Duration,
    /// For each value of this attribute; `None`: of all together.
    pub by: Option<By>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            events: 1,
            per: Duration::from_secs(1),
            by: None,
        }
    }
}

/// Of events in quick succession only the last is handled; those before it are skipped, and that is
/// recorded.
///
/// Events without the attribute are all handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debounce {
    /// What the events have in common.
    pub by: By,
    /// So long no other may come.
    pub quiet: Duration,
    /// The longest that the first of them waits for the last.
    pub most: Duration,
}

impl Default for Debounce {
    fn default() -> Self {
        Self {
            by: By::KEY,
            quiet: Duration::from_secs(1),
            most: Duration::from_secs(60),
        }
    }
}

/// What a singleton does with an event while another of its group is not settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum While {
    /// Skips the one that comes.
    #[default]
    Skip,
    /// Cancels the one that is there, and skips it.
    Cancel,
}

/// One event of a group at a time, from its arrival to its settlement: others are not handled after
/// it but skipped, and that is recorded.
///
/// Events without the attribute are all handled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Singleton {
    /// What the events have in common.
    pub by: By,
    /// Which of two is skipped.
    pub then: While,
}

/// Calls are shared out between groups by weight, whatever the number of events of each.
///
/// Events without the attribute are one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fair {
    /// What the events of a group have in common.
    pub by: By,
    /// Calls in each turn, for each value of the attribute; 1 for one that is not here.
    pub weights: BTreeMap<String, u32>,
}

/// What happens to an event that is shed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shedding {
    /// It waits, its key with it, and is looked at again.
    #[default]
    Later,
    /// It becomes a dead letter with the reason `shed`.
    Reject,
}

/// While events wait too long, those of low priority are not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shed {
    /// The mean time from append to call beyond which there is too much.
    pub wait: Duration,
    /// What happens to those that are shed.
    pub then: Shedding,
}

impl Default for Shed {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(1),
            then: Shedding::Later,
        }
    }
}

/// The number of calls at a time follows how long they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adaptive {
    /// Never fewer.
    pub least: usize,
    /// Never more; a knee that the plan names belongs here.
    pub most: usize,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self {
            least: 1,
            most: 256,
        }
    }
}

/// Why an event was settled without a call, by choice of its subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Skip {
    /// A later one came within the quiet time.
    Debounced,
    /// Too many came within a while.
    RateLimited,
    /// Another one of its group was there, or came.
    Singleton,
}

impl Skip {
    const ALL: [Self; 3] = [Self::Debounced, Self::RateLimited, Self::Singleton];

    /// The reason as the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debounced => "debounced",
            Self::RateLimited => "rate-limited",
            Self::Singleton => "singleton",
        }
    }

    /// The reason that [`Skip::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|skip| skip.as_str() == text)
    }
}
